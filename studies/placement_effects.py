"""Which placement: whether blocks help, and how their number, centre and spread go with performance."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from scipy.spatial import Delaunay

from studies.placement import Placements
from vilbert_lib import stats as statistics
from vilbert_lib.stats import findings

TERMS = {
    "blocks": "a block more",
    "text_centre": "blocks a layer later in the text stream",
    "vision_centre": "blocks a layer later in the image stream",
    "text_spread": "a layer more of spread in the text stream",
    "vision_spread": "a layer more of spread in the image stream",
}
PER_TERM = 3  # placements, at least, for each term of a regression


def places(placements: Placements) -> pd.DataFrame:
    """Where the blocks of each architecture stand, without those that have none.

    Columns ``architecture`` and those of :data:`TERMS`: the number of blocks, and mean and standard deviation of
    the layers before which they stand, in each stream.
    """
    rows = [
        {
            "architecture": name,
            "blocks": len(text),
            "text_centre": np.mean(text),
            "vision_centre": np.mean(vision),
            "text_spread": np.std(text),
            "vision_spread": np.std(vision),
        }
        for name, (text, vision) in placements.items()
        if text
    ]
    return pd.DataFrame(rows, columns=["architecture", *TERMS])


def means_by_place(table: pd.DataFrame, placements: Placements, y: str) -> pd.DataFrame:
    """Mean of ``y`` over the seeds of every task and placement, with the columns of :func:`places`."""
    means = table.groupby(["task", "architecture"], sort=False)[y].mean().reset_index()
    return means.merge(places(placements), on="architecture")


def regression(means: pd.DataFrame, y: str) -> pd.DataFrame:
    """Linear regression of the means of placements on their places, all terms at once, on every task.

    Parameters
    ----------
    means : pandas.DataFrame
        A table of :func:`means_by_place`.
    y : str
        The column that is explained.

    Returns
    -------
    pandas.DataFrame
        A row a task and term: ``estimate``, the change of ``y`` for one unit of the term, and ``p``, by
        heteroscedasticity-consistent errors (HC3); ``low`` and ``high``, which hold for all terms of a task at
        once in 95 % (Bonferroni); ``p_holm`` over all rows, ``r2`` of the whole regression, ``n`` placements,
        and a ``note`` where there are too few of them.
    """
    rows = []
    for task, of_task in means.groupby("task", sort=False):
        terms = [term for term in TERMS if of_task[term].nunique() > 1]
        named = {"task": task, "n": len(of_task)}
        if len(of_task) < PER_TERM * (len(terms) + 1):
            note = f"not estimated: {len(of_task)} placements, {PER_TERM * (len(terms) + 1)} are needed"
            rows.append(named | {"note": note})
            continue
        fit = sm.OLS(of_task[y], sm.add_constant(of_task[terms])).fit(cov_type="HC3", use_t=True)
        ends = fit.conf_int(0.05 / len(terms))
        rows += [
            named
            | {"term": term, "estimate": fit.params[term], "low": ends.loc[term, 0], "high": ends.loc[term, 1]}
            | {"p": fit.pvalues[term], "r2": fit.rsquared, "note": ""}
            for term in terms
        ]
    columns = ["task", "term", "estimate", "low", "high", "p", "r2", "n", "note"]
    found = pd.DataFrame(rows).reindex(columns=columns)
    return found.assign(p_holm=statistics.adjust(found.p))


def surface(of_task: pd.DataFrame, y: str, steps: int = 23) -> pd.DataFrame:
    """A quadratic surface of ``y`` over the centres of the blocks in both streams, fitted to the placements.

    ``of_task`` is :func:`means_by_place` of one task. A table of ``steps`` x ``steps`` fitted values, indexed by
    the centre in the text stream, a column for each in the image stream; NaN beyond the placements (outside their
    convex hull is extrapolation). Empty for fewer than 18 placements, three a coefficient.
    """
    if len(of_task) < 6 * PER_TERM:
        return pd.DataFrame()
    t, v = of_task.text_centre.to_numpy(), of_task.vision_centre.to_numpy()

    def terms(t: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.stack([np.ones_like(t), t, v, t * v, t**2, v**2], -1)

    solution, *_ = np.linalg.lstsq(terms(t, v), of_task[y].to_numpy(), rcond=None)
    across, along = np.linspace(t.min(), t.max(), steps), np.linspace(v.min(), v.max(), steps)
    grid_t, grid_v = np.meshgrid(across, along, indexing="ij")
    values = terms(grid_t, grid_v) @ solution
    inside = Delaunay(np.stack([t, v], -1)).find_simplex(np.stack([grid_t, grid_v], -1)) >= 0
    values = np.where(inside, values, np.nan)
    return pd.DataFrame(values, index=across.round(2), columns=along.round(2))


def reliable_tasks(table: pd.DataFrame, y: str) -> pd.DataFrame:
    """Whether placements differ in ``y`` by more than the seeds of one placement do, on every task.

    Columns ``task``, ``placements``, ``runs``; ``icc``, the intraclass correlation of single runs, with its 95 %
    interval ``low`` and ``high``, and ``p``, both from the F of a one-way analysis of variance (McGraw and Wong
    1996); and ``reliable``: p below .05. With one seed a placement nothing is known, and the task counts as
    reliable, as it does where no task is: a ``note`` says so.
    """
    rows = []
    for task, of_task in table.groupby("task", sort=False):
        groups = [group[y].to_numpy() for _, group in of_task.groupby("architecture")]
        row = {"task": task, "placements": len(groups), "runs": len(of_task), "note": ""}
        if max(map(len, groups)) > 1 and of_task[y].nunique() > 1:
            f, p = stats.f_oneway(*groups)
            seeds, (low, high) = len(of_task) / len(groups), _f_ends(f, len(groups), len(of_task))
            ends = {"low": (low - 1) / (low + seeds - 1), "high": (high - 1) / (high + seeds - 1)}
            row |= {"icc": statistics.icc(of_task, y), "p": p, "reliable": bool(p < 0.05)} | ends
        else:
            row |= {"reliable": True, "note": "one seed a placement: not known"}
        rows.append(row)
    columns = ["task", "placements", "runs", "icc", "low", "high", "p", "reliable", "note"]
    found = pd.DataFrame(rows).reindex(columns=columns)
    if not found.reliable.any():
        found = found.assign(
            reliable=True, note="no task passes: what follows speaks of runs more than of placements"
        )
    return found


def _f_ends(f: float, groups: int, n: int) -> tuple[float, float]:
    """95 % limits of the ratio of variances behind an observed F of ``groups`` with ``n`` values."""
    within = n - groups
    return f / stats.f.ppf(0.975, groups - 1, within), f * stats.f.ppf(0.975, within, groups - 1)


ENOUGH = 0.7  # reliability of the means of placements


def of_reliability(reliable: pd.DataFrame, y: str) -> Iterator[dict]:
    """Findings on whether placements differ beyond seeds, from :func:`reliable_tasks`."""
    for row in reliable.dropna(subset="icc").itertuples():
        sentence = f"On {row.task} the intraclass correlation of {y} within placements is {{}}."
        if row.low <= 0 < row.icc:
            needed = ENOUGH * (1 - row.icc) / (row.icc * (1 - ENOUGH))
            sentence += (
                f" Were it so, {np.ceil(needed):.0f} seeds a placement would give means of reliability 0.7."
            )
        yield findings.finding(
            f"{row.task}: do placements differ in {y} by more than seeds do?",
            sentence,
            row.icc,
            row.low,
            row.high,
            direction="positive",
            margin=0.1,
            p=row.p,
            n=row.placements,
            digits=2,
        )


def left_out(reliable: pd.DataFrame) -> list[str]:
    """State which tasks of :func:`reliable_tasks` are left out of the correlations."""
    names = ", ".join(reliable.task[~reliable.reliable.astype(bool)])
    reason = "as placements do not differ there by more than seeds do"
    return [f"Left out of the correlations, {reason}: {names}."] if names else []


def beside_baseline(table: pd.DataFrame, y: str, baseline: str = "baseline", *, by: str = "task") -> pd.DataFrame:
    """The mean of all placements less the model without blocks for every value of ``by``, with ``p_holm``."""
    placements = [name for name in table.architecture.unique() if name != baseline]
    weights = {(name,): 1 / len(placements) for name in placements} | {(baseline,): -1.0}
    rows = [
        {by: name} | statistics.estimated(statistics.contrast, group, y, weights, ["architecture"])
        for name, group in table.groupby(by, sort=False)
    ]
    found = pd.DataFrame(rows).reindex(columns=[by, "estimate", "low", "high", "p", "n", "note"])
    return found.assign(p_holm=statistics.adjust(found.p))


def of_blocks(beside: pd.DataFrame, y: str) -> Iterator[dict]:
    """Findings on whether blocks help, from :func:`beside_baseline`."""
    for row in beside.itertuples():
        yield findings.finding(
            f"{row.task}: do blocks raise {y}?",
            f"On {row.task} placements with blocks have on average {{}} of {y} more than the model without.",
            *(100 * end for end in (row.estimate, row.low, row.high)),
            direction="positive",
            margin=1.0,
            unit="points",
            p=row.p_holm,
            n=row.n,
            digits=1,
        )


def of_places(effects: pd.DataFrame, y: str) -> Iterator[dict]:
    """Findings on how the place of blocks goes with ``y``, from :func:`regression`: those of each task's terms."""
    for row in effects.dropna(subset="term").itertuples():
        yield findings.finding(
            f"{row.task}: what is {TERMS[row.term]} worth?",
            f"On {row.task}, with the other terms held, {TERMS[row.term]} goes with {{}} of {y}.",
            *(100 * end for end in (row.estimate, row.low, row.high)),
            margin=0.5,
            unit="points",
            p=row.p_holm,
            n=row.n,
            digits=2,
        )
