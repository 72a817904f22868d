"""A correlation taken apart: between the architectures' means, and within architectures."""

import numpy as np
import pandas as pd

from vilbert_lib.stats.clusters import Clusters, NotEstimableError, read, refuse_constant, unit
from vilbert_lib.stats.coefficients import around, p_of_r
from vilbert_lib.stats.permutations import orders, orders_within, p_values, products


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
    refuse_alike(clusters, values, [x, y], cluster)
    every, exact = orders(clusters.count, draws, seed)
    null = correlations(clusters.means(values[:1]), clusters.means(values[1:]), every)[0, :, 0]
    r = float(np.clip(null[0], -1, 1))
    low, high = around(r, 1 / (clusters.count - 3)) if clusters.count > 3 else (np.nan, np.nan)
    tests = {"p": float(p_values(null)), "low": low, "high": high}
    return {"r": r, **tests, "clusters": clusters.count, "exact": exact}


def between_without(table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture") -> pd.DataFrame:
    """r over the architectures' means when each architecture is left out: how much hangs on a single one.

    One row an architecture, with columns ``left_out`` and ``r``, in order of how far r is from that of all, the
    farthest first. Errors are those of :func:`between`, of four architectures at least.
    """
    read(table, [x, y], cluster, at_least=4)
    whole = between(table, x, y, cluster=cluster, draws=1)["r"]
    names = sorted(table[cluster].unique())
    rows = [between(table[table[cluster] != name], x, y, cluster=cluster, draws=1)["r"] for name in names]
    found = pd.DataFrame({"left_out": names, "r": rows})
    return found.loc[(found.r - whole).abs().sort_values(ascending=False, kind="stable").index].reset_index(
        drop=True
    )


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
    null = correlations(centred[:1], centred[1:], every)[0, :, 0]
    r = float(np.clip(null[0], -1, 1))
    low, high = around(r, 1 / (dof - 1))
    tests = {"p": p_of_r(r, dof + 2), "p_permutation": float(p_values(null)), "dof": dof}
    return {"r": r, **tests, "n": clusters.n, "clusters": clusters.count, "low": low, "high": high, "exact": exact}


def correlations(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """r of the columns of ``x`` (..., m, N) and ``y`` (..., k, N) in every order (P, N): (..., k, P, m)."""
    return products(unit(x), unit(y), orders)


def refuse_alike(clusters: Clusters, values: np.ndarray, names: list[str], cluster: str) -> None:
    """A NotEstimableError names the first of the columns (columns, N) whose cluster means are all alike."""
    means = clusters.means(values)
    refuse_constant(means - means.mean(-1, keepdims=True), values, names, f"over the means of {cluster}")
