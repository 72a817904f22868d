"""The same correlation on several tasks, put together."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from vilbert_lib.stats.clusters import numbers, read, refuse_constant_means, require_columns, unit
from vilbert_lib.stats.correlations import fisher_interval
from vilbert_lib.stats.resampling import orders, p_values, permuted_r

ENOUGH = 5  # tasks
COLUMNS = ["kind", "task", "r", "low", "high", "weight", "dof", "note"]


def combine(rows: pd.DataFrame | Iterable[Mapping]) -> pd.DataFrame:
    """Correlations within architectures, one a task, and what they are together: the rows of a forest plot.

    ``rows`` is a table, or the rows of one, with columns ``task``, ``r`` and ``dof``, such as
    ``{"task": name, **within(...)}``. They are combined as Fisher's z with variance 1 / (dof - 1), as one effect
    that all tasks have (``fixed``), and as effects that differ from task to task (``random``, variance by
    Paule and Mandel, 1982); the tasks must share no runs. Where tasks differ,
    the interval of the random effect is too narrow for few of them: of five or six it leaves out the mean in up to
    12 % of simulated cases, the fixed effect in far more. Columns ``kind`` (``task``, ``fixed``, ``random``),
    ``task``, ``r``, ``low``, ``high`` (95 %), ``weight`` (of a task in the fixed effect), ``dof``, ``note``.

    Of fewer than five tasks nothing can be said about how tasks differ: the combined rows are left out, and
    ``note`` says so in every row. Otherwise the note of the random effect gives I2, the share of the variance of
    z that lies between tasks. A ValueError for a column that is missing, a task that is there twice, no task at
    all, \\|r\\| >= 1, or dof < 2.
    """
    table = _checked(pd.DataFrame(rows))
    variance = 1 / (table.dof.to_numpy() - 1)
    low, high = fisher_interval(table.r.to_numpy(), variance)
    weight = 1 / variance / (1 / variance).sum()
    found = table.assign(kind="task", low=low, high=high, weight=weight, note="")[COLUMNS]
    if len(table) < ENOUGH:
        note = (
            f"Tasks are not combined: of {len(table)} instead of {ENOUGH} nothing is known about how they differ."
        )
        return found.assign(note=note)
    # "chi2" as method_re lets the variance fall below 0
    result = combine_effects(np.arctanh(table.r), variance, method_re="iterated")
    z = result.summary_frame().loc[["fixed effect", "random effect"], ["eff", "ci_low", "ci_upp"]]
    combined = pd.DataFrame(np.tanh(z.to_numpy()), columns=["r", "low", "high"]).assign(
        kind=["fixed", "random"], task="all tasks", note=["", f"I2 = {max(0.0, result.i2):.2f}"]
    )
    return pd.concat([found, combined.reindex(columns=COLUMNS)], ignore_index=True)


def together(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    task: str = "task",
    cluster: str = "architecture",
    draws: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Mean over tasks of r between architectures, tested by permuting the architectures alike on all tasks.

    What an architecture brings along to every task stays together so, and p is right however few tasks there
    are: it speaks of these tasks, and not, as :func:`combine` does, of tasks like them. Permutations are those of
    :func:`vilbert_lib.stats.between`. ``low`` and ``high`` are an approximate 95 % interval:
    the jackknife over architectures of Fisher's z, averaged over tasks, with Student's t; NaN for fewer than four
    architectures. Returns also ``r``, ``p``, ``tasks``, ``clusters``, ``exact``. A ValueError where tasks have
    other architectures, fewer than three of them, or means that are all alike.
    """
    means = []
    for name, of_task in table.groupby(task, sort=False):
        clusters, values = read(of_task, [x, y], cluster, at_least=3)
        refuse_constant_means(clusters, values, [x, y], cluster)
        if set(of_task[cluster]) != set(table[cluster]):
            lacking = sorted(set(table[cluster]) - set(of_task[cluster]))
            raise ValueError(f"task {name} lacks {', '.join(map(str, lacking))}, which other tasks have")
        means.append(clusters.means(values))
    if not means:
        raise ValueError("there is no task to put together")
    xs, ys = np.moveaxis(np.array(means), 1, 0)[..., None, :]
    every, exact = orders(clusters.count, draws, seed)
    null = permuted_r(xs, ys, every)[:, 0, :, 0].mean(0)
    low, high = jackknife_interval(xs[:, 0], ys[:, 0])
    tests = {"p": float(p_values(null)), "low": float(low), "high": float(high), "tasks": len(means)}
    return {"r": float(null[0]), **tests, "clusters": clusters.count, "exact": exact}


def jackknife_interval(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval (...), low and high, of the correlation of ``x`` and ``y`` (..., T, A) in the mean over T tasks.

    The same architecture is left out on all tasks at a time: what it shares between them is not counted twice.
    """
    count = x.shape[-1]
    if count < 4:
        return np.full(x.shape[:-2], np.nan), np.full(x.shape[:-2], np.nan)
    without = np.array([[j for j in range(count) if j != i] for i in range(count)])
    with np.errstate(divide="ignore", invalid="ignore"):  # where r is 1, z is infinite, and the interval NaN
        whole = np.arctanh((unit(x) * unit(y)).sum(-1)).mean(-1)
        parts = np.arctanh((unit(x[..., without]) * unit(y[..., without])).sum(-1)).mean(-2)
        error = (count - 1) / np.sqrt(count) * parts.std(-1, ddof=1)
        reach = stats.t.ppf(0.975, count - 1) * error
        return np.tanh(whole - reach), np.tanh(whole + reach)


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    if table.empty:
        raise ValueError("there is no task to combine")
    require_columns(table, ["task", "r", "dof"])
    if table.task.duplicated().any():
        raise ValueError(f"task {table.task[table.task.duplicated()].iloc[0]} is there twice")
    found = pd.DataFrame({"task": table.task, **{c: numbers(table[c], c) for c in ("r", "dof")}})
    for row in found.itertuples():
        if not abs(row.r) < 1 or row.dof < 2:
            raise ValueError(f"task {row.task}: r={row.r}, dof={row.dof:g}; |r| < 1 and dof >= 2 are needed")
    return found.reset_index(drop=True)
