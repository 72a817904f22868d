"""What comes of pushing alignment on purpose: the same runs at several weights of the alignment term.

Where co-attention stands changes alignment and performance alike, so that their correlation is not a cause.
Here nothing but the weight differs between the runs of one architecture, task and seed.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from studies import task_structure
from studies.contrasts import EVERYWHERE, contrasts
from vilbert_lib import runs, synthetic
from vilbert_lib import stats as statistics
from vilbert_lib.config import AlignmentConfig, Profile, RunConfig
from vilbert_lib.stats import alignment, findings
from vilbert_lib.synthetic.knobs import DISH_BITS


def places(profile: Profile, root: Path, tasks: list[str], structures: list[str]) -> pd.DataFrame:
    """Where runs are trained: ``tasks`` of ``root``, and synthetic dishes whose label is told in different ways.

    ``structures`` are of :data:`studies.task_structure.STRUCTURES`; all four bits are told so.
    Columns ``task`` (as the tables name it), ``trained`` (the task's own name), ``root``, ``best`` (the best
    possible accuracy, NaN where it is not known). A ValueError for another structure, or nothing at all.
    """
    if not tasks and not structures:
        raise ValueError("tasks and structures are empty: nothing to train on")
    known = (synthetic.read_manifest(root) or {}).get("best_possible_accuracy", {})
    rows = [{"task": t, "trained": t, "root": root, "best": known.get(t, {}).get("both", np.nan)} for t in tasks]
    if structures:
        rows += [
            {
                "task": f"dishes, {row.structure}",
                "trained": task_structure.TASK,
                "root": row.root,
                "best": row.best,
            }
            for row in task_structure.roots(profile, structures, DISH_BITS).itertuples()
        ]
    return pd.DataFrame(rows)


def configurations(
    profile: Profile,
    where: pd.DataFrame,
    architectures: list[str],
    seeds: list[int],
    weights: list[float],
    term: str,
    layers: list[int],
) -> list[tuple[dict, Path, RunConfig]]:
    """Every run with the columns that name it and its root. Weight 0 is the run without the term."""
    if 0 not in weights or len(set(weights)) < 2:
        raise ValueError(f"weights {weights}: 0, which the others are held against, and another one are needed")
    found = []
    for place in where.itertuples():
        for name in architectures:
            for seed in seeds:
                for weight in weights:
                    pushed = {
                        "alignment_weight": weight,
                        "alignment_term": term,
                        "alignment_layers": tuple(layers),
                    }
                    config = runs.configure(
                        profile, place.root, place.trained, name, seed, train=pushed if weight else {}
                    )
                    named = {"task": place.task, "architecture": name, "seed": seed, "weight": float(weight)}
                    found.append((named | {"best": place.best}, place.root, config))
    return found


def measured(
    configs: list[tuple[dict, Path, RunConfig]],
    measures: list[str],
    layers: list[int],
    settings: AlignmentConfig,
    run_list: runs.RunList = runs.NOT_LISTED,
) -> pd.DataFrame:
    """The runs of :func:`configurations`, trained where they are missing: one row each.

    What names it, its summary, ``reached`` (test accuracy as a share of the best possible) and for each of
    ``measures`` the mean over the pushed ``layers`` (none named: the last), above chance, at the best epoch.
    ``run_list`` is that of :func:`vilbert_lib.runs.ensure`.
    """
    by_root: dict[Path, list[RunConfig]] = {}
    for _, root, config in configs:
        by_root.setdefault(root, []).append(config)
    finished = [run for root, own in by_root.items() for run in runs.ensure(own, root, run_list=run_list)]
    trained = {run.config.id: run for run in finished}
    rows = []
    for named, root, config in configs:
        run = trained[config.id]
        pushed = _at_layers(runs.alignments([run], settings, root, epochs=("best",)), layers)
        values = alignment.per_run(pushed, "mean", above_chance=True)[measures].iloc[0].to_dict()
        rows.append(named | {"run": config.id} | run.summary | values)
    table = pd.DataFrame(rows)
    return table.assign(reached=table.test_accuracy / table.best.fillna(1))


def _at_layers(rows: pd.DataFrame, layers: list[int]) -> pd.DataFrame:
    rows = alignment.paired_rows(rows)
    return rows[rows.pair.isin(layers or [rows.pair.max()])]


def per_unit(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """How much y changes per unit of x when the weight moves both, for every task.

    The slope of y on x over the weights of one architecture and seed, by least squares through their means, then
    the mean over architectures and seeds: one row a task with ``mean``, the two-stage bootstrap's ``low`` and
    ``high`` (Student's over models for fewer than three architectures, none for one model), and ``models``. Models
    whose x the weight did not move, or is NaN, are left out; where none is left the row is NaN. ``note`` says so.
    """
    rows = []
    for task, of_task in table.groupby("task", sort=False):
        slopes = pd.DataFrame(
            {"architecture": name, "seed": seed, "slope": np.polyfit(group[x], group[y], 1)[0]}
            for (name, seed), group in of_task.groupby(["architecture", "seed"], sort=False)
            if np.ptp(group[x]) > 1e-9 and group[y].notna().all()
        )
        row = {"task": task, "models": len(slopes)}
        if slopes.empty:
            rows.append(row | {"note": f"not estimated: the weight moves {x} in no model"})
            continue
        found = statistics.estimated(_mean_slope, slopes)
        rows.append(row | {"mean": slopes.slope.mean()} | found)
    return pd.DataFrame(rows).reindex(columns=["task", "mean", "low", "high", "models", "note"])


def _mean_slope(slopes: pd.DataFrame) -> dict:
    few = slopes.architecture.nunique() < 3
    low, high = statistics.seed_interval(slopes.slope) if few else statistics.mean_interval(slopes, "slope")
    return {"low": low, "high": high}


def compared(moved: pd.DataFrame, changed: pd.DataFrame) -> pd.DataFrame:
    """What every weight did to alignment and to accuracy, beside weight 0.

    ``moved`` and ``changed`` are tables of :func:`studies.contrasts.contrasts`. One row a task and
    weight, and of fewer than three architectures for each of these: ``difference``, ``low``, ``high`` of
    alignment, the same with ``_accuracy``, and ``reached``: whether alignment went where it was pushed, by its
    interval.
    """
    both = moved.dropna(subset="difference").merge(
        changed.dropna(subset="difference"), on=["task", "architecture", "weight"], suffixes=("", "_accuracy")
    )
    if EVERYWHERE in set(both.architecture):
        both = both[both.architecture == EVERYWHERE]
    return both.assign(reached=((both.weight > 0) & (both.low > 0)) | ((both.weight < 0) & (both.high < 0)))


def differences_of(results: pd.DataFrame, measures: list[str], architectures: list[str]) -> pd.DataFrame:
    """Differences of every measure to weight 0, for a heat map.

    Columns of :func:`studies.contrasts.contrasts`, ``measure``, ``where`` (task, and architecture if there are
    several), and ``shows``: 0 where the interval excludes zero, else 1.
    """
    parts = [contrasts(results, name, of="weight", against=0.0).assign(measure=name) for name in measures]
    table = pd.concat(parts).query("weight != 0")
    where = table.task + (",\n" + table.architecture if len(architectures) > 1 else "")
    shows = 1.0 - ((table.low > 0) | (table.high < 0))
    return table.assign(where=where, shows=shows, weight=table.weight.map("{:+g}".format))


def of_weights(table: pd.DataFrame, measure: str) -> Iterator[dict]:
    """Findings on what every weight did to alignment, and where it moved it, to accuracy.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of :func:`compared`.
    measure : str
        The measure that was pushed.
    """
    for row in table.itertuples():
        where = f"{row.task}, {row.architecture}, weight {row.weight:+g}"
        yield findings.finding(
            f"{where}: does the term move {measure}?",
            f"On {row.task} a weight of {row.weight:+g} changes {measure} by {{}}.",
            row.difference,
            row.low,
            row.high,
            direction="positive" if row.weight > 0 else "negative",
            digits=2,
        )
        if row.reached:
            yield findings.finding(
                f"{where}: does test accuracy follow?",
                f"On {row.task} a weight of {row.weight:+g} changes test accuracy by {{}}.",
                100 * row.difference_accuracy,
                100 * row.low_accuracy,
                100 * row.high_accuracy,
                direction="positive" if row.weight > 0 else "negative",
                margin=5,
                unit="points",
                digits=1,
            )


def of_slopes(slopes: pd.DataFrame, measure: str) -> Iterator[dict]:
    """Findings on the change of test accuracy per unit of alignment, from :func:`per_unit`."""
    for row in slopes.itertuples():
        yield findings.finding(
            f"{row.task}: does test accuracy change with {measure} when the term moves both?",
            f"On {row.task} test accuracy changes by {{}} per unit of {measure}.",
            100 * row.mean,
            100 * row.low,
            100 * row.high,
            direction="positive",
            margin=5,
            unit="points",
            n=row.models,
            digits=1,
        )


def note_on_batches(within: pd.DataFrame, size: int) -> str:
    """State the largest difference between CKA in batches of ``size`` and CKA of all samples."""
    sizes = sorted(within.batch.unique())
    near = within[within.batch == (size if size in sizes else sizes[-1])]
    worst = near.loc[near.bias.abs().fillna(0).idxmax()]
    return (
        f"Within batches of {int(worst.batch)} the mean CKA differs from that of all samples by at most"
        f" {abs(worst.bias):.3f} ({worst['pair']}: {worst['mean of ratios']:.3f} for {worst['all']:.3f})."
    )
