"""Correlations of runs: over all of them, between architectures, within architectures, and families of them."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from vilbert_lib.config import choose
from vilbert_lib.stats.clusters import (
    ROUNDING,
    Clusters,
    NotEstimableError,
    read,
    refuse_constant,
    refuse_constant_means,
    unit,
)
from vilbert_lib.stats.resampling import (
    orders,
    orders_within,
    p_of_largest,
    p_values,
    permuted_r,
    quantile_interval,
    signs,
    two_stage,
    weighted_r,
)

Adjustment = Literal["holm", "by"]
Level = Literal["between", "within"]

# Independent pairs


def p_of_r(r: float, n: int) -> float:
    """Two-sided p of Pearson's ``r`` in [-1, 1] over ``n`` independent pairs (Student's t, dof n - 2).

    Runs of one architecture are not independent: over 5 architectures with 3 seeds it is at most .05 in 13 % of
    studies without any effect at an intraclass correlation of .6, and in 30 % at .9. A ValueError for n < 3 or an
    impossible r.
    """
    _check_r(r, n, at_least=3)
    return float(two_sided_p(r, n))


def two_sided_p(r, n: int):
    """p of ``r`` of any shape, by the distribution of r itself: as by t, without its division by zero at 1."""
    return 2 * stats.beta.sf(np.abs(r), n / 2 - 1, n / 2 - 1, loc=-1, scale=2)


def pearson_interval(r: float, n: int) -> tuple[float, float]:
    """Fisher's 95 % interval of Pearson's ``r`` over ``n`` >= 4 independent pairs, in [-1, 1]."""
    _check_r(r, n, at_least=4)
    return fisher_interval(r, 1 / (n - 3))


def spearman_interval(r: float, n: int) -> tuple[float, float]:
    """95 % interval of Spearman's ``r`` over ``n`` >= 10 independent pairs, in [-1, 1].

    tanh(atanh r +- 1.96 sqrt((1 + r^2/2) / (n - 3))), after Bonett and Wright (2000). Of simulated normal
    pairs it leaves out the truth in 4 to 6 % from 10 pairs on, with 5 in up to 39 %: fewer are a ValueError.
    """
    _check_r(r, n, at_least=10)
    return fisher_interval(r, (1 + r**2 / 2) / (n - 3))


def fisher_interval(r, variance: float) -> tuple:
    """95 % interval of a correlation whose Fisher z has the given variance; arrays give arrays."""
    with np.errstate(divide="ignore"):  # atanh of 1 is infinite, and back it is 1
        z = np.arctanh(r)
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    low, high = np.tanh(z - reach), np.tanh(z + reach)
    return (float(low), float(high)) if np.ndim(r) == 0 else (low, high)


def _check_r(r: float, n: int, at_least: int) -> None:
    if not -1 <= r <= 1:
        raise ValueError(f"r={r} is no correlation: it must lie in [-1, 1]")
    if n < at_least:
        raise ValueError(f"n={n}: at least {at_least} pairs are needed")


def smallest_detectable(n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest \\|rho\\| that ``n`` >= 4 independent pairs show with chance ``power`` at level ``alpha``.

    By Fisher's z, which is a little too large for few pairs: .96 with 5, where Pearson's test needs .94 and a
    permutation test .95. Of a correlation between architectures n is their number, however many seeds each has.
    A ValueError for fewer pairs, or unless 0 < alpha < power < 1.
    """
    if n < 4:
        raise ValueError(f"n={n}: at least 4 pairs are needed")
    if not 0 < alpha < power < 1:
        raise ValueError(f"alpha={alpha}, power={power}: they must be 0 < alpha < power < 1")
    return float(np.tanh((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) / np.sqrt(n - 3)))


def smallest_detectable_within(clusters: int, size: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The same for a correlation within ``clusters`` of ``size`` rows each.

    Each cluster's mean costs a row: what is left counts as clusters (size - 1) + 1 independent pairs. A
    ValueError where these are fewer than 4.
    """
    if clusters < 1 or size < 2 or clusters * (size - 1) < 3:
        raise ValueError(f"{clusters} clusters of {size} rows: clusters * (size - 1) must be at least 3")
    return smallest_detectable(clusters * (size - 1) + 1, power, alpha)


# Pairs in clusters


def correlation(
    table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture", draws: int = 2000, seed: int = 0
) -> dict[str, float]:
    """Pearson's r over all rows, with an approximate 95 % interval by a two-stage bootstrap.

    Architectures (``cluster``) are drawn with replacement, then runs within each: seeds of one
    architecture are not independent, and an interval that took them to be would be too narrow.
    With 5 or 12 architectures of 3 seeds it leaves out the truth in 2 to 4 % of simulated studies up to an
    intraclass correlation of .6, and in 6.5 to 8 % at .9.
    Draws in which a side is constant are left out; a side that is constant altogether gives NaN. Returns
    ``r``, ``low``, ``high``, ``n``, ``clusters``. A NotEstimableError for NaN, or one cluster: how much clusters
    differ is then unknown, and the bootstrap would draw runs of that one alone.
    """
    clusters, values = read(table, [x, y], cluster, at_least=2)
    low, high = quantile_interval(weighted_r(two_stage(clusters, draws, seed), *values))
    r = stats.pearsonr(*values).statistic
    return {"r": float(r), "low": float(low), "high": float(high), "n": clusters.n, "clusters": clusters.count}


def between(
    table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture", draws: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Pearson's r over the architectures' means, tested by permuting the architectures.

    All permutations up to seven architectures (``exact``), ``draws`` random ones beyond. ``p`` is
    two-sided. ``low`` and ``high`` are Fisher's 95 % interval of as many independent pairs as there are
    architectures, NaN for fewer than four. It is of the correlation of *means of so many seeds*: noise of single
    runs, of which means keep a part, draws it towards 0. Returns also ``r``, ``clusters``, ``exact``; fewer than
    three architectures, or means that are all alike, raise ValueError.
    """
    clusters, values = read(table, [x, y], cluster, at_least=3)
    refuse_constant_means(clusters, values, [x, y], cluster)
    every, exact = orders(clusters.count, draws, seed)
    null = permuted_r(clusters.means(values[:1]), clusters.means(values[1:]), every)[0, :, 0]
    r = float(np.clip(null[0], -1, 1))
    low, high = fisher_interval(r, 1 / (clusters.count - 3)) if clusters.count > 3 else (np.nan, np.nan)
    tests = {"p": float(p_values(null)), "low": low, "high": high}
    return {"r": r, **tests, "clusters": clusters.count, "exact": exact}


def between_without(table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture") -> pd.DataFrame:
    """r over the architectures' means when each architecture is left out: how much depends on a single one.

    One row an architecture, with columns ``left_out`` and ``r``, in order of how far r is from that of all, the
    farthest first. Errors are those of :func:`between`, of four architectures at least.
    """
    read(table, [x, y], cluster, at_least=4)
    whole = between(table, x, y, cluster=cluster, draws=1)["r"]
    names = sorted(table[cluster].unique())
    rows = [between(table[table[cluster] != name], x, y, cluster=cluster, draws=1)["r"] for name in names]
    found = pd.DataFrame({"left_out": names, "r": rows})
    farthest = (found.r - whole).abs().sort_values(ascending=False, kind="stable")
    return found.loc[farthest.index].reset_index(drop=True)


def within(
    table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture", draws: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """r of both sides less their architecture's mean: repeated-measures correlation (Bakdash and Marusich 2017).

    ``p`` is that of Student's t with ``dof`` = n - clusters - 1, the same as of x in a regression of y on x and
    a constant for each architecture. ``p_permutation`` permutes runs within their architectures: all
    permutations up to 50 000 (``exact``), ``draws`` random ones beyond. ``low`` and ``high`` are the 95 %
    interval by Fisher's z with variance 1 / (dof - 1). Returns also ``r``, ``n`` and ``clusters``. A ValueError
    for dof < 2, or a column that is constant within every architecture.
    """
    clusters, values = read(table, [x, y], cluster)
    dof = clusters.n - clusters.count - 1
    if dof < 2:
        raise NotEstimableError(
            f"{clusters.n} rows of {clusters.count} values of {cluster} leave dof {dof}: 2 are needed"
        )
    centred = clusters.centred(values)
    refuse_constant(centred, values, [x, y], f"within every {cluster}")
    every, exact = orders_within(clusters, draws, seed)
    null = permuted_r(centred[:1], centred[1:], every)[0, :, 0]
    r = float(np.clip(null[0], -1, 1))
    low, high = fisher_interval(r, 1 / (dof - 1))
    tests = {"p": p_of_r(r, dof + 2), "p_permutation": float(p_values(null)), "dof": dof}
    return {"r": r, **tests, "n": clusters.n, "clusters": clusters.count, "low": low, "high": high, "exact": exact}


def difference_of_correlations(
    table: pd.DataFrame,
    x1: str,
    x2: str,
    y: str,
    *,
    cluster: str = "architecture",
    draws: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """r(x1, y) - r(x2, y) over the same rows, with an approximate 95 % interval and a p by permutation.

    The interval is that of a two-stage bootstrap: architectures, then runs of each. ``p``, two-sided, tests that
    x1 and x2, each brought to mean 0 and variance 1 over all rows, may change places within any architecture
    without changing how they are distributed together with y: more than equal correlations, also equally strong
    clusters. Within each of some architectures they change places, and both correlations are computed anew:
    all choices up to 16 architectures, ``draws`` random ones beyond. With five architectures p cannot be below
    1/16, and with twelve it is at most .05 in 5 to 6.5 % of simulated studies without a difference, since the
    runs themselves give mean and variance. Returns ``difference``, ``low``, ``high``,
    ``p``. A ValueError for fewer than three architectures or a constant column.
    """
    clusters, values = read(table, [x1, x2, y], cluster, at_least=3)
    refuse_constant(values - values.mean(-1, keepdims=True), values, [x1, x2, y], "over all rows")
    low, high = quantile_interval(bootstrapped_difference(values, two_stage(clusters, draws, seed)))
    null = swapped_differences(clusters, values, signs(clusters.count, draws, seed)[0])
    return {"difference": float(null[0]), "low": float(low), "high": float(high), "p": float(p_values(null))}


def bootstrapped_difference(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """r(x1, y) - r(x2, y) of ``values`` (..., 3, N) in each draw (draws, N), (..., draws)."""
    x1, x2, y = np.moveaxis(values, -2, 0)
    return weighted_r(weights, x1, y) - weighted_r(weights, x2, y)


def swapped_differences(clusters: Clusters, values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """r(x1, y) - r(x2, y) of ``values`` (..., 3, N) with x1 and x2 swapped where a sign (P, A) is -1, (..., P)."""
    x1, x2, y = np.moveaxis(unit(values), -2, 0)[..., None, :]
    is_kept = np.repeat(signs, clusters.sizes, axis=-1) > 0
    r = []
    for side in (np.where(is_kept, x1, x2), np.where(is_kept, x2, x1)):
        centred = side - side.mean(-1, keepdims=True)
        length = np.linalg.norm(centred, axis=-1)
        r.append(np.where(length > ROUNDING, (centred * y).sum(-1) / np.maximum(length, ROUNDING), 0))
    return r[0] - r[1]


# Many correlations


def max_t(
    table: pd.DataFrame,
    xs: Sequence[str],
    y: str | Sequence[str],
    *,
    level: Level = "between",
    cluster: str = "architecture",
    draws: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every x against y, or every one of several ys: p alone, and p for the largest \\|r\\| of the family.

    Columns ``x``, ``y``, ``r``, ``p``, ``p_family``, a row a pair. ``level`` says which correlation, that of
    :func:`between` or of :func:`within`, and so what is permuted; all pairs share the permutations, so that
    tests of related measures cost little. ``p_family`` is the share of permutations whose largest \\|r\\| reaches
    that of the row: the single-step procedure of Westfall and Young (1993). It holds the chance of any false
    finding where no x goes with any y. A ValueError as of these two, or for an empty family.
    """
    xs, ys = list(xs), [y] if isinstance(y, str) else list(y)
    if not xs or not ys:
        raise ValueError("max_t needs at least one x and one y")
    choose("level", level, get_args(Level))
    names = [*xs, *ys]
    clusters, values = read(table, names, cluster, at_least=3 if level == "between" else 1)
    if level == "between":
        refuse_constant_means(clusters, values, names, cluster)
        values, (every, _) = clusters.means(values), orders(clusters.count, draws, seed)
    else:
        centred, (every, _) = clusters.centred(values), orders_within(clusters, draws, seed)
        refuse_constant(centred, values, names, f"within every {cluster}")
        values = centred
    null = permuted_r(values[: len(xs)], values[len(xs) :], every)
    single, family = p_values(np.swapaxes(null, -1, -2)), p_of_largest(null)
    return pd.DataFrame(
        {"x": name, "y": target, "r": null[j, 0, i], "p": single[j, i], "p_family": family[j, i]}
        for j, target in enumerate(ys)
        for i, name in enumerate(xs)
    )


def adjust(p, method: Adjustment = "holm") -> np.ndarray:
    """p-values (tests,) made larger for their number, in the same order; NaN stays NaN and counts as no test.

    ``holm`` holds the chance of any false finding, ``by`` (Benjamini and Yekutieli) the expected share of false
    ones among the findings; both under any dependence of the tests. A ValueError for a p outside [0, 1], or
    another method.
    """
    choose("method", method, get_args(Adjustment))
    adjusted = np.array(p, dtype=float)
    is_known = ~np.isnan(adjusted)
    known = adjusted[is_known]
    if adjusted.ndim != 1 or (known < 0).any() or (known > 1).any():
        raise ValueError("p must be a list of numbers in [0, 1] or NaN")
    if known.size:
        adjusted[is_known] = multipletests(known, method={"holm": "holm", "by": "fdr_by"}[method])[1]
    return adjusted
