"""One thing changed, architecture by architecture and seed by seed, and over all architectures."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd

from vilbert_lib import runs
from vilbert_lib import stats as statistics
from vilbert_lib.config import Profile, RunConfig
from vilbert_lib.metrics import MEASURES
from vilbert_lib.stats import findings

EVERYWHERE = "all architectures"


def pretraining_runs(
    scale: Profile, root: Path, architectures: list[str], seeds: list[int], objectives: str, weight: float
) -> dict[tuple, RunConfig]:
    """Configure the pretraining of every architecture and seed, without and with the contrastive term.

    Returns configurations by (kind, architecture, seed).
    """
    kinds = {"pretrained": {}, "pretrained, contrastive": {"contrastive_weight": weight}}
    return {
        (kind, a, s): runs.configure(
            scale, root, "conceptual_captions", a, s, objectives=tuple(objectives.split("+")), train=kinds[kind]
        )
        for kind, a, s in product(kinds, architectures, seeds)
    }


def finetuning_runs(scale: Profile, root: Path, starts: dict[tuple, RunConfig], p) -> dict[tuple, RunConfig]:
    """Configure all fine-tuning runs by (comparison, kind, task, architecture, seed).

    The comparisons are ``fusion``, ``start`` (from scratch, or from the pretraining ``starts``) and ``term`` (with
    the contrastive term or without); ``p`` are the notebook's parameters.
    """
    configs = {}
    for t, a, s in product(p.tasks, p.architectures, p.seeds):
        for fusion in p.fusions:
            configs["fusion", fusion, t, a, s] = runs.configure(scale, root, t, a, s, model={"fusion": fusion})
        configs["start", "fine-tuned only", t, a, s] = runs.configure(scale, root, t, a, s)
        for kind in ("pretrained", "pretrained, contrastive"):
            start = starts[kind, a, s].id
            configs["start", kind, t, a, s] = runs.configure(scale, root, t, a, s, start_from=start)
        configs["term", "without", t, a, s] = configs["start", "fine-tuned only", t, a, s]
        term = {"contrastive_weight": p.contrastive_weight}
        configs["term", "contrastive", t, a, s] = runs.configure(scale, root, t, a, s, train=term)
    return configs


def contrasts(results: pd.DataFrame, value: str, *, of: str, against: str) -> pd.DataFrame:
    """Each kind in column ``of`` beside the kind ``against``, in the form of the thesis' tables.

    One row a task, architecture and kind: ``mean`` and ``sd`` of ``value`` over ``seeds``, and the mean
    ``difference`` to the kind ``against`` with the same seed, with Student's 95 % interval (``low``, ``high``).
    Of three architectures and more a row for all of them follows, with the interval and ``p`` of
    :func:`vilbert_lib.stats.paired`. ``note`` says where one seed gives no interval, and where a
    value that is NaN gives no difference. A ValueError where a seed lacks a kind.
    """
    rows = []
    for task, of_task in results.groupby("task", sort=False):
        for architecture, group in of_task.groupby("architecture", sort=False):
            steps = statistics.over_seeds(
                statistics.differences(group, value, of=of, against=against),
                [of],
                value,
                within=statistics.range_of(value, difference=True),
            )
            steps = steps.set_index(of)
            for kind, own in group.groupby(of, sort=False):
                row = {"task": task, "architecture": architecture, of: kind, "mean": own[value].mean()}
                row |= {"sd": own[value].std(), "seeds": len(own), "note": ""}
                if kind != against:
                    step = steps.loc[kind]
                    row |= {"difference": step["mean"], "low": step.low, "high": step.high}
                    row["note"] = _note(value, step)
                rows.append(row)
        if of_task.architecture.nunique() > 2 and of_task[value].notna().all():
            rows += _over_architectures(of_task, value, of, against, task)
    columns = ["task", "architecture", of, "mean", "sd", "seeds", "difference", "low", "high", "p", "note"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _note(value: str, step: pd.Series) -> str:
    if pd.isna(step["mean"]):
        return f"not estimated: {value} is NaN"
    return "no interval: one seed" if step.seeds < 2 else ""


def _over_architectures(of_task: pd.DataFrame, value: str, of: str, against: str, task: str) -> list[dict]:
    found = statistics.paired(of_task, value, of=of, against=against)
    means = of_task.groupby(of)[value].mean()
    return [
        {"task": task, "architecture": EVERYWHERE, of: row["of"], "mean": means[row["of"]]}
        | {"difference": row["mean"], "low": row["low"], "high": row["high"], "p": row["p"], "note": ""}
        for row in found.to_dict("records")
    ]


def of_all_measures(table: pd.DataFrame, measures: tuple[str, ...]) -> pd.DataFrame:
    """:func:`contrasts` of every measure against the kind ``pretrained``, with a column ``measure``."""
    parts = [contrasts(table, m, of="kind", against="pretrained").assign(measure=m) for m in measures]
    return pd.concat(parts).query("kind != 'pretrained'")


def of_differences(
    table: pd.DataFrame, of: str, against: str, what: str, *, percent: bool = True, margin: float = 0.02
) -> Iterator[dict]:
    """Findings on what each kind changed, for every task; over all architectures where there is such a row.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of :func:`contrasts`.
    of, against, what : str
        Column of the kinds, the kind that the others are compared with, and the name of the value.
    percent : bool
        Whether the value is a share that is told in percentage points.
    margin : float
        Smallest difference of interest, in units of the value.
    """
    scale = 100 if percent else 1
    for task, of_task in table[table[of] != against].groupby("task", sort=False):
        for _, row in _shown(of_task).iterrows():
            yield findings.finding(
                f"{task}, {row.architecture}: does {row[of]} differ from {against} in {what}?",
                f"On {task} ({row.architecture}), {row[of]} differs from {against} in {what} by {{}}.",
                scale * row.difference,
                scale * row.low,
                scale * row.high,
                margin=scale * margin,
                unit="points" if percent else "",
                p=row.p,
                n=row.seeds,
                digits=1 if percent else 3,
            )


def note_on_measures(table: pd.DataFrame) -> str:
    """State by how many measures alignment differs, exploratory, from contrasts with a column ``measure``."""
    rows = _shown(table.dropna(subset="low"))
    if rows.empty:
        return "Exploratory: one seed, so that no measure has an interval."
    sign = rows.measure.map(lambda name: MEASURES[name].sign)
    ends = pd.concat([sign * rows.low, sign * rows.high], axis=1)
    higher, lower = (
        ", ".join(rows.measure[which]) or "none" for which in (ends.min(axis=1) > 0, ends.max(axis=1) < 0)
    )
    return (
        f"Exploratory, {len(rows)} intervals, of which chance alone has {0.05 * len(rows):.0f} without zero:"
        f" alignment is higher by {higher}; lower by {lower}."
    )


def detectable_difference(*tables: pd.DataFrame) -> float:
    """Return the largest half width of an interval: the difference that these seeds could have shown."""
    rows = pd.concat([_shown(table.dropna(subset="difference")) for table in tables])
    return float((rows.high - rows.low).max() / 2)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    everywhere = table[table.architecture == EVERYWHERE]
    return everywhere if len(everywhere) else table
