"""Alignment against performance: the declared comparison, and the family of all others."""

from itertools import combinations

import numpy as np
import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.stats import alignment
from vilbert_lib.stats.resampling import weighted_r


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
    ``within_high``, ``within_p`` (permutation) and ``dof``; ``note``. What cannot be estimated on a task, as where
    all models predict one class or there is one seed, is NaN, and ``note`` says why.
    """
    rows = []
    for task, of_task in table.groupby("task", sort=False):
        row = dict.fromkeys(DECLARED, np.nan) | {"task": task, "n": len(of_task), "left_out": ""}
        reasons = []
        for estimate in (_pooled, _clustering, _between, _without, _within):
            found = statistics.estimated(estimate, of_task, x, y)
            reasons.append(found.pop("note").removeprefix("not estimated: "))
            row |= found
        missing = "; ".join(dict.fromkeys(filter(None, reasons)))
        rows.append(row | {"note": missing and f"not estimated: {missing}"})
    found = pd.DataFrame(rows)
    return found.assign(between_holm=statistics.adjust(found.between_p, "holm"))


DECLARED = (
    *("task", "n", "effective_n", "icc_x", "icc_y", "pooled", "low", "high"),
    *("between", "between_low", "between_high", "between_p", "between_holm", "left_out", "between_without"),
    *("without_p", "kept", "within", "within_low", "within_high", "within_p", "dof"),
)


#: What the columns of :func:`declared` are called in a table.
HEADS = {
    "n": "runs",
    "effective_n": "what their number is worth",
    "icc_x": "intraclass correlation of alignment",
    "icc_y": "intraclass correlation of performance",
    "pooled": "pooled: r",
    "low": "pooled: from",
    "high": "pooled: to",
    "between": "between: r",
    "between_low": "between: from",
    "between_high": "between: to",
    "between_p": "between: p",
    "between_holm": "between: p after Holm",
    "left_out": "architecture on which most hangs",
    "between_without": "between without it: r",
    "without_p": "between without it: p",
    "kept": "share of a perfect r that is left",
    "within": "within: r",
    "within_low": "within: from",
    "within_high": "within: to",
    "within_p": "within: p",
    "dof": "within: degrees of freedom",
}


def _pooled(of_task: pd.DataFrame, x: str, y: str) -> dict:
    found = statistics.correlation(of_task, x, y)
    if np.isnan(found["r"]):
        constant = x if of_task[x].nunique() < 2 else y
        raise statistics.NotEstimableError(f"column {constant} is constant over all rows")
    return {"pooled": found["r"], "low": found["low"], "high": found["high"]}


def _clustering(of_task: pd.DataFrame, x: str, y: str) -> dict:
    shares = {"icc_x": statistics.icc(of_task, x), "icc_y": statistics.icc(of_task, y)}
    kept = np.sqrt(statistics.reliability(of_task, x) * statistics.reliability(of_task, y))
    return shares | {"effective_n": statistics.effective_n(of_task, x, y), "kept": kept}


def _between(of_task: pd.DataFrame, x: str, y: str) -> dict:
    found = statistics.between(of_task, x, y)
    return {"between": found["r"]} | {f"between_{name}": found[name] for name in ("low", "high", "p")}


def _without(of_task: pd.DataFrame, x: str, y: str) -> dict:
    most = statistics.between_without(of_task, x, y).iloc[0]
    rest = statistics.between(of_task[of_task.architecture != most.left_out], x, y)
    return {"left_out": most.left_out, "between_without": most.r, "without_p": rest["p"]}


def _within(of_task: pd.DataFrame, x: str, y: str) -> dict:
    found = statistics.within(of_task, x, y)
    ends = {"within_low": found["low"], "within_high": found["high"], "within_p": found["p_permutation"]}
    return {"within": found["r"], "dof": found["dof"]} | ends


def together(table: pd.DataFrame, declared: pd.DataFrame, x: str, y: str) -> dict[str, float]:
    """:func:`vilbert_lib.stats.together` of the tasks whose r between architectures is estimated.

    ``declared`` is the table of :func:`declared`. Where there is no such task ``tasks`` is 0 and all else NaN.
    """
    usable = declared.task[declared.between.notna()]
    if usable.empty:
        return dict.fromkeys(("r", "p", "low", "high"), np.nan) | {"tasks": 0, "clusters": 0, "exact": False}
    return statistics.together(table[table.task.isin(usable)], x, y)


def forest(declared: pd.DataFrame) -> pd.DataFrame:
    """:func:`vilbert_lib.stats.combine` of the tasks whose r within architectures is estimated."""
    rows = declared.assign(r=declared.within)[["task", "r", "dof"]]
    rows = rows[rows.r.abs() < 1]
    return statistics.combine(rows) if len(rows) else rows.assign(low=np.nan, high=np.nan, note="")


def intervals(declared: pd.DataFrame, together: dict[str, float]) -> pd.DataFrame:
    """Intervals of r between and within architectures: ``task``, ``r``, ``low``, ``high``, ``panel``."""
    names = ["task", "r", "low", "high"]
    rows = declared[["task", "between", "between_low", "between_high"]].set_axis(names, axis=1)
    if len(declared) > 1:
        rows = pd.concat([rows, pd.DataFrame([together | {"task": "tasks together"}])])
    between = rows.assign(panel="between architectures")
    return pd.concat([between, forest(declared).assign(panel="within architectures")])


TRAINED, UNTRAINED, LEARNED, MIXED = (
    "at the best epoch",
    "before training",
    "what training adds",
    "layers after the first block",
)


BLOCKS = "number of blocks"


def adjusted(
    table: pd.DataFrame, before: pd.DataFrame, mixed: dict[str, int], blocks: dict[str, int], x: str, y: str
) -> pd.DataFrame:
    """The declared comparison: x and y between architectures, with what blocks do before training taken out.

    The partial correlation given alignment before training (``before`` has x of the same ``run``), the number of
    layers after the first block (``mixed``, by architecture) and the number of ``blocks``
    (:func:`vilbert_lib.stats.partial`). One row for all tasks together on which x and y vary, then one a task:
    ``task``, ``r``, ``low``, ``high``, ``p``, ``clusters``, ``p_holm`` over the single tasks, and ``note``.
    """
    wide = table.assign(
        **{UNTRAINED: table.run.map(before.set_index("run")[x])},
        **{MIXED: table.architecture.map(mixed), BLOCKS: table.architecture.map(blocks)},
    )
    given = [UNTRAINED, MIXED, BLOCKS]
    rows = [
        {"task": task} | statistics.estimated(statistics.partial, of_task, x, y, given)
        for task, of_task in wide.groupby("task", sort=False)
    ]
    columns = ["task", "r", "low", "high", "p", "clusters", "note"]
    single = pd.DataFrame(rows).reindex(columns=columns)
    single["p_holm"] = statistics.adjust(single.p)
    usable = [task for task, of_task in wide.groupby("task") if _varies(of_task, x) and _varies(of_task, y)]
    if len(single) == 1:
        return single
    of_all = {"note": "not estimated on any task"}
    if usable:
        of_all = statistics.estimated(statistics.partial, wide[wide.task.isin(usable)], x, y, given)
    whole = pd.DataFrame([{"task": "all tasks"} | of_all]).reindex(columns=columns)
    return pd.concat([whole, single], ignore_index=True)


def every_target(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """x against every recorded metric of the validation and the test split, between architectures.

    One row a task, ``target`` and ``coefficient`` (Pearson's, and Spearman's, which is Pearson's of the ranks of
    the architectures' means): ``r``, ``p`` by permuting the architectures, ``p_by`` over all rows.
    """
    metrics = [f"{split}_{name}" for split in ("val", "test") for name in METRICS]
    rows = []
    for task, of_task in table.groupby("task", sort=False):
        for target in (name for name in metrics if name in of_task and of_task[name].notna().all()):
            means = of_task.groupby("architecture")[[x, target]].mean()
            for coefficient, values in (("Pearson", means), ("Spearman", means.rank())):
                found = statistics.estimated(statistics.between, values.reset_index(), x, target)
                rows.append({"task": task, "target": target, "coefficient": coefficient} | found)
    found = pd.DataFrame(rows).reindex(columns=["task", "target", "coefficient", "r", "p", "note"])
    return found.assign(p_by=statistics.adjust(found.p, "by"))


METRICS = ("accuracy", "auroc", "micro_f1", "macro_f1", "loss")


def beside(table: pd.DataFrame, before: pd.DataFrame, mixed: dict[str, int], x: str, y: str) -> pd.DataFrame:
    """What y goes with between architectures: x, x before training, what training adds, and where blocks are.

    Co-attention makes streams alike before anything is learned, the more so the more layers it has mixed: a
    correlation with the trained x need not speak of what was learned. ``before`` has x of the same ``run`` before
    training, ``mixed`` the number of layers after an architecture's first block. One row a ``task`` (of several,
    also ``all tasks``) and ``source``: ``r``, ``low``, ``high``, ``p``, and a ``note`` where these are not
    estimated. ``all tasks`` are those on which y and the source vary between architectures.
    """
    untrained = table.run.map(before.set_index("run")[x])
    wide = table.assign(
        **{TRAINED: table[x], UNTRAINED: untrained, LEARNED: table[x] - untrained},
        **{MIXED: table.architecture.map(mixed)},
    )
    sources = (TRAINED, UNTRAINED, LEARNED, MIXED)
    rows = [
        {"task": task, "source": source} | statistics.estimated(statistics.between, of_task, source, y)
        for task, of_task in wide.groupby("task", sort=False)
        for source in sources
    ]
    columns = ["task", "source", "r", "low", "high", "p", "note"]
    found = pd.DataFrame(rows).reindex(columns=columns)
    if found.task.nunique() == 1:
        return found
    everywhere = []
    for source in sources:
        usable = found.task[(found.source == source) & found.r.notna()]
        rows_of = wide[wide.task.isin(usable)]
        tested = statistics.estimated(statistics.together, rows_of, source, y) if len(usable) else {}
        everywhere.append({"task": "all tasks", "source": source, "note": "not estimated on any task"} | tested)
    return pd.concat([found, pd.DataFrame(everywhere).reindex(columns=columns)], ignore_index=True)


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
    over tasks, after bringing every task to mean 0 and deviation 1. Where x or y is constant or NaN on a task the
    row is NaN and no part of the family; so is x over all tasks unless it is known on each that has a y.
    """
    parts, known = [], {}
    for task, of_task in wide.groupby("task", sort=False):
        known[task] = [x for x in xs if _varies(of_task, x, level)] if _varies(of_task, y, level) else []
        parts.append(_family(of_task, xs, known[task], y, level).assign(task=task))
    if len(parts) > 1:
        usable = [task for task, kept in known.items() if kept]
        kept = [x for x in xs if usable and all(x in known[task] for task in usable)]
        rows = standardised(wide[wide.task.isin(usable)], [*kept, y])
        parts.append(_family(rows, xs, kept, y, level).assign(task="all tasks"))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(p_by=statistics.adjust(found.p, "by"))[["task", "x", "r", "p", "p_family", "p_by"]]


def strongest(explored: pd.DataFrame, count: int = 3) -> str:
    """The ``count`` largest correlations of either sign of a table of :func:`explored`, as a sentence."""
    known = explored.dropna(subset="r").sort_values("r")
    if known.empty:
        return "No correlation can be estimated."
    low = ", ".join(f"{row.x} {row.r:+.2f}" for row in known.head(count).itertuples())
    high = ", ".join(f"{row.x} {row.r:+.2f}" for row in known[::-1].head(count).itertuples())
    return f"The highest r: {high}. The lowest: {low}."


def _varies(of_task: pd.DataFrame, column: str, level: str = "between") -> bool:
    """Whether a column is known for all rows, and differs between architectures, or within some of them."""
    groups = of_task.groupby("architecture")[column]
    spread = groups.mean() if level == "between" else of_task[column] - groups.transform("mean")
    return bool(of_task[column].notna().all() and spread.std() > 1e-9 * of_task[column].abs().max())


def _family(table: pd.DataFrame, xs: list[str], kept: list[str], y: str, level: str) -> pd.DataFrame:
    """A row an x; NaN for those that are not ``kept``."""
    if not kept:
        return pd.DataFrame({"x": xs}).assign(r=np.nan, p=np.nan, p_family=np.nan)
    return statistics.max_t(table, kept, y, level=level).set_index("x").reindex(xs).reset_index()


def correlations_by_layer(
    measured: pd.DataFrame, results: pd.DataFrame, measure: str, y: str, *, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """r between placements of ``y`` and alignment at every depth, with a band that holds for all layers at once.

    The band is that of a bootstrap of whole architectures on Fisher's z: as many standard errors wide as the
    largest deviation over the layers of a task is in 95 % of the draws.

    Parameters
    ----------
    measured : pandas.DataFrame
        Rows of :func:`vilbert_lib.runs.alignments` of one moment and split.
    results : pandas.DataFrame
        A row a run, with ``run``, ``task``, ``architecture`` and ``y``.

    Returns
    -------
    pandas.DataFrame
        A row a task and pair of layers at the same relative depth: ``task``, ``layer``, ``r``, ``low``, ``high``.
        NaN at layers at which placements do not differ, and where there are fewer than four placements.
    """
    rows = alignment.paired_rows(measured[measured.measure == measure])[["run", "pair", "value"]]
    joined = rows.merge(results[["run", "task", "architecture", y]], on="run")
    parts = []
    for task, of_task in joined.groupby("task", sort=False):
        wide = of_task.pivot_table("value", "architecture", "pair")
        target = of_task.groupby("architecture")[y].mean().reindex(wide.index).to_numpy()
        if len(wide) < 4 or np.ptp(target) == 0:
            parts.append(
                pd.DataFrame({"task": task, "layer": wide.columns}).assign(r=np.nan, low=np.nan, high=np.nan)
            )
            continue
        weights = np.random.default_rng(seed).multinomial(len(wide), np.full(len(wide), 1 / len(wide)), draws)
        values = wide.T.to_numpy()  # (layers, architectures)
        with np.errstate(invalid="ignore", divide="ignore"):
            r = np.array([np.corrcoef(row, target)[0, 1] for row in values])
            drawn = np.arctanh(np.array([weighted_r(weights, row, target) for row in values]).clip(-1, 1))
            z = np.arctanh(r.clip(-1, 1))
            drawn[~np.isfinite(drawn)] = np.nan
            error = np.nanstd(drawn, axis=1)
            largest = np.nanmax(np.abs(drawn - z[:, None]) / error[:, None], axis=0)
        reach = np.nanquantile(largest, 0.95) * error
        ends = {"low": np.tanh(z - reach), "high": np.tanh(z + reach)}
        parts.append(pd.DataFrame({"task": task, "layer": wide.columns, "r": r} | ends))
    return pd.concat(parts, ignore_index=True)


def most_and_last_together(wide: pd.DataFrame, measure: str) -> pd.DataFrame:
    """r between placements of the most alike layer and the last: above .9 the two cannot be distinguished.

    ``wide`` is a table of :func:`side_by_side`. Columns ``task``, ``r``, ``clusters``, ``note``.
    """
    rows = [
        {"task": task} | statistics.estimated(statistics.between, of_task, f"max {measure}", f"last {measure}")
        for task, of_task in wide.groupby("task", sort=False)
    ]
    return pd.DataFrame(rows).reindex(columns=["task", "r", "low", "high", "clusters", "note"])


def last_against_most(wide: pd.DataFrame, measures: list[str], y: str) -> pd.DataFrame:
    """Does the most alike layer go with y better than the last does? One row a task and measure.

    ``last`` and ``max`` are r between architectures, ``difference`` = max - last with its interval (``low``,
    ``high``) and p, which of fewer than six architectures cannot reach .05; ``p_by`` is over all rows; ``note``
    says why a row could not be estimated. For measures of similarity: of a distance the sign would be the other.
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
                | statistics.estimated(statistics.difference_of_correlations, of_task, x1, x2, y)
            )
    columns = ["task", "measure", "last", "max", "difference", "low", "high", "p", "note"]
    found = pd.DataFrame(rows).reindex(columns=columns)
    return found.assign(p_by=statistics.adjust(found.p, "by"))


def agreement_of_tasks(results: pd.DataFrame, y: str) -> pd.DataFrame:
    """Is the order of the architectures the same on every task? One row a pair of tasks.

    ``r`` is Spearman's of the architectures' means, ``p`` by permuting the architectures, ``p_holm``
    adjusted for the number of pairs; ``note`` says why a pair could not be estimated.
    """
    means = results.groupby(["architecture", "task"], sort=False)[y].mean().unstack()
    ranks = means.rank().reset_index()
    rows = [
        {"task": a, "other": b} | statistics.estimated(statistics.between, ranks, a, b)
        for a, b in combinations(means.columns, 2)
    ]
    found = pd.DataFrame(rows, columns=["task", "other", "r", "p", "clusters", "exact", "note"])
    return found.assign(p_holm=statistics.adjust(found.p, "holm"))


def design_notes(n_runs: int, architectures: int, seeds: int, tasks: list[str]) -> list[str]:
    """State how many independent units the study has, and which correlation it detects with a power of 80 %."""
    found = [
        f"{n_runs} runs: {architectures} architectures, {seeds} seeds; tasks {', '.join(tasks)}. The number of"
        f" independent units for a claim about architectures is {architectures}.",
    ]
    if architectures > 3:
        least = statistics.smallest_detectable(architectures)
        found.append(f"A power of 80 % needs a correlation of {least:.2f} between architectures.")
    if architectures * (seeds - 1) > 2:
        within = statistics.smallest_detectable_within(architectures, seeds)
        found.append(f"Within architectures it needs {within:.2f}.")
    return found
