"""Random and complete resampling: the two-stage bootstrap, and permutations with their p-values."""

from itertools import permutations
from math import factorial, prod

import numpy as np
import pandas as pd

from vilbert_lib.stats.clusters import ROUNDING, Clusters, read, unit

# Shape legend: P orders or signs, the first of which is what was observed; others as in clusters.py.

ALL_ORDERS = 5040  # of 7 clusters
ALL_WITHIN = 50_000
SAME = 1e-10  # values of r that differ by less are equal: sums in another order differ by rounding


def two_stage(clusters: Clusters, draws: int, seed: int) -> np.ndarray:
    """How often each draw holds each row, (draws, N): clusters with replacement, then as many rows as each has."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(clusters.count, size=(draws, clusters.count))
    sizes = clusters.sizes[drawn][..., None]
    places = np.arange(clusters.sizes.max())
    rows = clusters.starts[drawn][..., None] + (rng.random((*drawn.shape, len(places))) * sizes).astype(int)
    rows += clusters.n * np.arange(draws)[:, None, None]
    return np.bincount(rows[places < sizes], minlength=draws * clusters.n).reshape(draws, clusters.n)


def weighted_means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (..., N) in each draw (draws, N), (..., draws)."""
    return values @ weights.T / weights.sum(-1)


def weighted_r(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's r of ``x`` and ``y`` (..., N) in each draw (draws, N), (..., draws); NaN for a constant side."""
    dx, dy = (values[..., None, :] - weighted_means(weights, values)[..., None] for values in (x, y))
    sxx, syy, sxy = (np.einsum("dn,...dn,...dn->...d", weights, a, b) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    total = weights.sum(-1)
    flat = [s <= total * (ROUNDING * np.abs(v).max(-1, keepdims=True)) ** 2 for s, v in ((sxx, x), (syy, y))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat[0] | flat[1], np.nan, sxy / np.sqrt(sxx * syy))


def quantile_interval(draws: np.ndarray) -> np.ndarray:
    """2.5 % and 97.5 % quantiles of the last axis, (2, ...), without NaN; NaN where there is nothing else."""
    unknown = np.isnan(draws).all(-1, keepdims=True)
    ends = np.nanquantile(np.where(unknown, 0, draws), [0.025, 0.975], axis=-1)
    return np.where(unknown[..., 0], np.nan, ends)


def mean_interval(
    table: pd.DataFrame, value: str, *, cluster: str = "architecture", draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Approximate 95 % interval of a mean by a two-stage bootstrap: clusters, then rows within each."""
    clusters, (values,) = read(table, [value], cluster)
    low, high = quantile_interval(weighted_means(two_stage(clusters, draws, seed), values))
    return float(low), float(high)


def orders(count: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Orders (P, count) of ``count`` things, and whether they are all that there are (up to seven things)."""
    return orders_within(Clusters(np.array([count])), draws, seed, most=ALL_ORDERS)


def orders_within(clusters: Clusters, draws: int, seed: int, most: int = ALL_WITHIN) -> tuple[np.ndarray, bool]:
    """Orders (P, N) that leave every row in its cluster, and whether they are all, which are then at ``most``."""
    blocks = [np.arange(start, start + size) for start, size in zip(clusters.starts, clusters.sizes, strict=True)]
    counts = [factorial(len(block)) for block in blocks]
    if prod(counts) <= most:
        picks = np.unravel_index(np.arange(prod(counts)), counts)
        every = [np.array(list(permutations(block)))[pick] for block, pick in zip(blocks, picks, strict=True)]
        return np.hstack(every), True
    rng = np.random.default_rng(seed)
    drawn = np.hstack([rng.permuted(np.tile(block, (draws, 1)), axis=1) for block in blocks])
    return np.vstack([np.arange(clusters.n), drawn]), False


def orders_of_blocks(orders: np.ndarray, size: int) -> np.ndarray:
    """Orders (P, A) of blocks as those of their rows (P, A size), which stay as they are within a block."""
    return (orders[..., None] * size + np.arange(size)).reshape(len(orders), -1)


def signs(count: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Signs (P, count) of ``count`` things, and whether they are all (up to 16 things).

    Turning all signs at once turns that of a sum, not its size: of all signs half are enough, those with the
    first one up.
    """
    if 2 ** (count - 1) <= ALL_WITHIN:
        bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count)[::-1] & 1
        return 1.0 - 2.0 * bits, True
    drawn = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, count))
    return np.vstack([np.ones(count), drawn]), False


def permuted_r(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """r of the columns of ``x`` (..., m, N) and ``y`` (..., k, N) in every order (P, N): (..., k, P, m)."""
    return unit(y)[..., orders] @ np.swapaxes(unit(x), -1, -2)[..., None, :, :]


def p_values(null: np.ndarray) -> np.ndarray:
    """Two-sided p (...) of the first of the values (..., P): the share of them that are as large in size."""
    return np.mean(np.abs(null) >= np.abs(null[..., :1]) - SAME, axis=-1)


def p_of_largest(null: np.ndarray) -> np.ndarray:
    """The share of orders whose largest \\|r\\| reaches each of the first, (..., k, P, m) to (..., k, m)."""
    largest = np.abs(null).max((-3, -1))[..., None, :, None]
    return np.mean(largest >= np.abs(null[..., :1, :]) - SAME, axis=-2)
