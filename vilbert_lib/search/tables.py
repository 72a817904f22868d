"""A search as tables: trials, the best so far, the Pareto front, what mattered, where good placements meet."""

import warnings

import numpy as np
import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState

from vilbert_lib.config import placement
from vilbert_lib.search.record import Record

_NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "ended early", TrialState.FAIL: "diverged"}

FEWEST = 10  # trials that importances are computed of


def trials(record: Record) -> pd.DataFrame:
    """One row a settled trial, in order, with its parameters, architecture, values and runs.

    ``state`` is ``complete``, ``ended early`` or ``diverged``; the columns of the objectives are
    called as they are, and are missing where a trial is not complete. ``t_ids`` and ``v_ids`` are the layers at
    which the streams meet.
    """
    names, rows = record.search.objectives, []
    for slot, trial in sorted(record.slots().items()):
        if not trial.state.is_finished():
            continue
        architecture = trial.user_attrs["architecture"]
        values = trial.values if trial.state == TrialState.COMPLETE else [np.nan] * len(names)
        row = {"number": slot, "state": _NAMES[trial.state], "architecture": architecture}
        row |= trial.params | dict(zip(("t_ids", "v_ids"), placement(architecture), strict=True))
        rows.append(row | dict(zip(names, values, strict=True)) | {"runs": trial.user_attrs["runs"]})
    before, after = ["number", "state", *record.space], ["t_ids", "v_ids", "architecture", *names, "runs"]
    return pd.DataFrame(rows, columns=before + after)


def best_so_far(record: Record) -> pd.DataFrame:
    """The best value after each trial of a search of one objective.

    ``trial`` (from 1), ``value``, ``best`` and ``sampler``.
    """
    [objective] = record.search.objectives
    table = trials(record)
    rising = record.search.directions[0] == "maximize"
    best = table[objective].cummax() if rising else table[objective].cummin()
    columns = {"trial": table.number + 1, "value": table[objective], "best": best.ffill()}
    return pd.DataFrame(columns | {"sampler": record.search.sampler})


def pareto(record: Record) -> pd.DataFrame:
    """The complete trials, with ``best``: no other is at least as good in every objective and better in one.

    With one objective these are the best trials.
    """
    table = trials(record).query("state == 'complete'").reset_index(drop=True)
    return table.assign(
        best=table.number.isin([trial.user_attrs["slot"] for trial in _complete(record).best_trials])
    )


def _complete(record: Record) -> optuna.Study:
    """The complete trials of a search as a study in memory."""
    study = optuna.create_study(directions=record.search.directions)
    study.add_trials(record.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    return study


def importances(record: Record) -> pd.DataFrame:
    """How much each parameter decides whether a trial is among the better half.

    ``objective``, ``parameter`` and ``share``.

    By PED-ANOVA (Watanabe, Bansal and Hutter 2023), which draws nothing at random; the shares of an objective
    add up to 1. Of fewer than ``FEWEST`` complete trials nothing is said: the table is empty.
    """
    rows = []
    complete = _complete(record)
    for i, objective in enumerate(record.search.objectives if len(complete.trials) >= FEWEST else ()):
        sign = 1 if record.search.directions[i] == "minimize" else -1
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*low `target` values")  # which the sign sees to
            shares = optuna.importance.get_param_importances(
                complete,
                evaluator=PedAnovaImportanceEvaluator(target_quantile=0.5, region_quantile=1.0),
                target=lambda trial, i=i, sign=sign: sign * trial.values[i],
            )
        rows += [{"objective": objective, "parameter": name, "share": share} for name, share in shares.items()]
    return pd.DataFrame(rows, columns=["objective", "parameter", "share"])


def placement_density(table: pd.DataFrame, objective: str) -> pd.DataFrame:
    """How good the trials were that let text layer i meet vision layer j, a row a pair that some trial had.

    Of a table of :func:`trials`: ``text_layer``, ``vision_layer``, ``value`` (mean of the objective) and
    ``trials``. A placement that was tried more than once counts once.
    """
    table = table.dropna(subset=[objective]).drop_duplicates("architecture")
    pairs = [
        {"text_layer": t, "vision_layer": v, "value": row[objective]}
        for row in table.to_dict("records")
        for t, v in zip(row["t_ids"], row["v_ids"], strict=True)
    ]
    found = pd.DataFrame(pairs, columns=["text_layer", "vision_layer", "value"])
    return found.groupby(["text_layer", "vision_layer"]).value.agg(value="mean", trials="size").reset_index()


def ready_to_use(record: Record, most: int = 5) -> pd.DataFrame:
    """The best configurations, as other studies take them.

    With one objective the ``most`` best distinct ones, best first; with several those of the Pareto front, by the
    first objective. ``architecture`` is what other studies take; ``line`` goes into ``ARCHITECTURES``, with a name
    put before it. What the search chose of the training stands beside.
    """
    names = list(record.search.objectives)
    table = pareto(record)
    chosen = table if len(names) == 1 else table[table.best]
    rising = record.search.directions[0] == "maximize"
    chosen = chosen.sort_values(names[0], ascending=not rising, kind="stable")
    free = [name for name in ("lr", "dropout", "epochs", "fusion") if name in record.space]
    chosen = chosen.drop_duplicates(["architecture", *free]).head(most).reset_index(drop=True)
    lines = [f"({row.t_ids}, {row.v_ids})," for row in chosen.itertuples()]
    return chosen[["number", "architecture", *names, *free]].assign(line=lines)
