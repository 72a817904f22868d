"""Many tests at once: p-values for the whole family."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from vilbert_lib.stats.clusters import read, refuse_constant
from vilbert_lib.stats.levels import correlations, refuse_alike
from vilbert_lib.stats.permutations import SAME, orders, orders_within, p_values

Adjustment = Literal["holm", "by"]
Level = Literal["between", "within"]


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
    if level not in get_args(Level):
        raise ValueError(f"level {level!r} is none of {', '.join(get_args(Level))}")
    names = [*xs, *ys]
    clusters, values = read(table, names, cluster, at_least=3 if level == "between" else 1)
    if level == "between":
        refuse_alike(clusters, values, names, cluster)
        values, (every, _) = clusters.means(values), orders(clusters.count, draws, seed)
    else:
        centred, (every, _) = clusters.centred(values), orders_within(clusters, draws, seed)
        refuse_constant(centred, values, names, f"within every {cluster}")
        values = centred
    null = correlations(values[: len(xs)], values[len(xs) :], every)
    alone, family = p_values(np.swapaxes(null, -1, -2)), p_of_largest(null)
    return pd.DataFrame(
        {"x": name, "y": target, "r": null[j, 0, i], "p": alone[j, i], "p_family": family[j, i]}
        for j, target in enumerate(ys)
        for i, name in enumerate(xs)
    )


def adjust_known(p, method: Adjustment = "holm") -> np.ndarray:
    """:func:`adjust` of the p-values that are not NaN; NaN stays NaN and counts as no test."""
    found = np.array(p, dtype=float)
    known = ~np.isnan(found)
    found[known] = adjust(found[known], method)
    return found


def p_of_largest(null: np.ndarray) -> np.ndarray:
    """The share of orders whose largest \\|r\\| reaches each of the first, (..., k, P, m) to (..., k, m)."""
    largest = np.abs(null).max((-3, -1))[..., None, :, None]
    return np.mean(largest >= np.abs(null[..., :1, :]) - SAME, axis=-2)


def adjust(p, method: Adjustment = "holm") -> np.ndarray:
    """p-values (tests,) made larger for their number, in the same order.

    ``holm`` holds the chance of any false finding, ``by`` (Benjamini and Yekutieli) the expected share of false
    ones among the findings; both under any dependence of the tests. No p is no adjusted p. A ValueError for a p
    outside [0, 1] or NaN, or another method.
    """
    if method not in get_args(Adjustment):
        raise ValueError(f"method {method!r} is none of {', '.join(get_args(Adjustment))}")
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p must be a list of numbers in [0, 1], without NaN")
    if not p.size:
        return p
    return (
        multipletests(p, method="holm")[1] if method == "holm" else stats.false_discovery_control(p, method="by")
    )
