"""Alignment against performance: the declared comparison, and the family of all others."""

from itertools import combinations

import numpy as np
import pandas as pd

from vilbert_lib.analysis import statistics


def standardised(table: pd.DataFrame, columns: list[str], *, within: str = "task") -> pd.DataFrame:
    """``table`` with ``columns`` at mean 0 and deviation 1 inside every value of ``within``.

    Tasks differ in their accuracy and alignment for reasons of their own; what is left is how
    architectures and seeds differ.
    """
    groups = table.groupby(within)[columns]
    return table.assign(**(table[columns] - groups.transform("mean")) / groups.transform("std"))


def declared(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """x against y for every task: pooled, between architectures, within them, and what n is worth.

    One row a task: ``pooled`` r with the two-stage bootstrap's ``low`` and ``high``; ``icc_x``, ``icc_y`` and
    ``effective_n`` of ``n`` runs; ``between`` with ``between_low``, ``between_high``, its permutation
    ``between_p``, and ``between_holm``, corrected for the tasks; ``left_out``, on which most hangs, and
    ``between_without`` it with its own ``without_p``; ``kept``, how much smaller r between means of so many seeds
    is than between what they stand for, by the reliability of both; ``within`` with ``within_low``,
    ``within_high``, ``within_p`` (permutation) and ``dof``.
    """
    rows = []
    for task, of_task in table.groupby("task", sort=False):
        pooled, across, inside = (f(of_task, x, y) for f in TESTS)
        most = statistics.between_without(of_task, x, y).iloc[0]
        without = statistics.between(of_task[of_task.architecture != most.left_out], x, y)
        rows.append(
            {
                "task": task,
                "n": pooled["n"],
                "effective_n": statistics.effective_n(of_task, x, y),
                "icc_x": statistics.icc(of_task, x),
                "icc_y": statistics.icc(of_task, y),
                "pooled": pooled["r"],
                "low": pooled["low"],
                "high": pooled["high"],
                "between": across["r"],
                "between_low": across["low"],
                "between_high": across["high"],
                "between_p": across["p"],
                "left_out": most.left_out,
                "between_without": most.r,
                "without_p": without["p"],
                "kept": np.sqrt(statistics.reliability(of_task, x) * statistics.reliability(of_task, y)),
                "within": inside["r"],
                "within_low": inside["low"],
                "within_high": inside["high"],
                "within_p": inside["p_permutation"],
                "dof": inside["dof"],
            }
        )
    found = pd.DataFrame(rows)
    found.insert(found.columns.get_loc("left_out"), "between_holm", statistics.adjust(found.between_p, "holm"))
    return found


TRAINED, UNTRAINED, LEARNED, MIXED = (
    "at the best epoch",
    "before training",
    "what training adds",
    "layers after the first block",
)


def beside(table: pd.DataFrame, before: pd.DataFrame, mixed: dict[str, int], x: str, y: str) -> pd.DataFrame:
    """What y goes with between architectures: x, x before training, what training adds, and where blocks are.

    Co-attention makes streams alike before anything is learned, the more so the more layers it has mixed: a
    correlation with the trained x need not speak of what was learned. ``before`` has x of the same ``run`` before
    training, ``mixed`` the number of layers after an architecture's first block. One row a ``task`` (of several,
    also ``all tasks``) and ``source``: ``r``, ``low``, ``high``, ``p``.
    """
    untrained = table.run.map(before.set_index("run")[x])
    wide = table.assign(
        **{TRAINED: table[x], UNTRAINED: untrained, LEARNED: table[x] - untrained},
        **{MIXED: table.architecture.map(mixed)},
    )
    parts = {task: (statistics.between, of_task) for task, of_task in wide.groupby("task", sort=False)}
    if len(parts) > 1:
        parts["all tasks"] = (statistics.together, wide)
    rows = [
        {"task": task, "source": source} | test(rows, source, y)
        for task, (test, rows) in parts.items()
        for source in (TRAINED, UNTRAINED, LEARNED, MIXED)
    ]
    return pd.DataFrame(rows)[["task", "source", "r", "low", "high", "p"]]


TESTS = (statistics.correlation, statistics.between, statistics.within)


def side_by_side(tables: dict[str, pd.DataFrame], measures: list[str]) -> pd.DataFrame:
    """The tables of several aggregates as one: columns ``<aggregate> <measure>`` beside those of the runs."""
    first = next(iter(tables.values()))
    wide = first.drop(columns=measures)
    for aggregate, table in tables.items():
        renamed = {name: f"{aggregate} {name}" for name in measures}
        wide = wide.merge(table[["run", *measures]].rename(columns=renamed), on="run")
    return wide


def explored(wide: pd.DataFrame, xs: list[str], y: str, *, level: str = "between") -> pd.DataFrame:
    """Every x against y on every task, and over all tasks together: one family of tests a task.

    Columns ``task``, ``x``, ``r``, ``p``, ``p_family`` (against the largest \\|r\\| of the family, permuted
    alike) and ``p_by`` (Benjamini and Yekutieli, over all rows). ``all tasks`` is of architectures' means
    over tasks, after bringing every task to mean 0 and deviation 1. Columns that are constant are left out.
    """
    parts = []
    for task, of_task in wide.groupby("task", sort=False):
        parts.append(_family(of_task, xs, y, level).assign(task=task))
    if len(parts) > 1:
        kept = [x for x in xs if all(x in set(part.x) for part in parts)]
        parts.append(_family(standardised(wide, [*kept, y]), kept, y, level).assign(task="all tasks"))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(p_by=statistics.adjust(found.p, "by"))[["task", "x", "r", "p", "p_family", "p_by"]]


def _family(table: pd.DataFrame, xs: list[str], y: str, level: str) -> pd.DataFrame:
    varied = [x for x in xs if table.groupby("architecture")[x].mean().std() > 1e-9 * table[x].abs().max()]
    return statistics.max_t(table, varied, y, level=level)


def last_against_most(wide: pd.DataFrame, measures: list[str], y: str) -> pd.DataFrame:
    """Does the most alike layer go with y better than the last does? One row a task and measure.

    ``last`` and ``max`` are r between architectures, ``difference`` = max - last with its interval (``low``,
    ``high``) and p, which of fewer than six architectures cannot reach .05; ``p_by`` is over all rows. For
    measures of similarity: of a distance the sign would be the other.
    """
    rows = []
    for task, runs_of_task in wide.groupby("task", sort=False):
        of_task = runs_of_task.groupby("architecture", sort=False).mean(numeric_only=True).reset_index()
        for name in measures:
            x1, x2 = f"max {name}", f"last {name}"
            rows.append(
                {
                    "task": task,
                    "measure": name,
                    "last": of_task[x2].corr(of_task[y]),
                    "max": of_task[x1].corr(of_task[y]),
                }
                | statistics.difference_of_correlations(of_task, x1, x2, y)
            )
    found = pd.DataFrame(rows)
    return found.assign(p_by=statistics.adjust(found.p, "by"))


def agreement_of_tasks(results: pd.DataFrame, y: str) -> pd.DataFrame:
    """Is the order of the architectures the same on every task? One row a pair of tasks.

    ``r`` is Spearman's of the architectures' means, ``p`` by permuting the architectures, ``p_holm``
    adjusted for the number of pairs.
    """
    means = results.groupby(["architecture", "task"], sort=False)[y].mean().unstack()
    ranks = means.rank().reset_index()
    rows = [{"task": a, "other": b, **statistics.between(ranks, a, b)} for a, b in combinations(means.columns, 2)]
    found = pd.DataFrame(rows, columns=["task", "other", "r", "p", "clusters", "exact"])
    return found.assign(p_holm=statistics.adjust(found.p, "holm"))
