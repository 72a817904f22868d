"""Orders, signs, and the p-values that they give: all of them where they are few, else random ones."""

from itertools import permutations
from math import factorial, prod

import numpy as np

from vilbert_lib.stats.clusters import Clusters

# Shape legend: P orders or signs, the first of which is what was observed; others as in clusters.py.

ALL_ORDERS = 5040  # of 7 clusters
ALL_WITHIN = 50_000
SAME = 1e-10  # values of r that differ by less are equal: sums in another order differ by rounding


def orders(count: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Orders (P, count) of ``count`` things, and whether they are all that there are (up to seven things)."""
    if factorial(count) <= ALL_ORDERS:
        return np.array(list(permutations(range(count)))), True
    rng = np.random.default_rng(seed)
    observed = np.arange(count)
    return np.vstack([observed, rng.permuted(np.tile(observed, (draws, 1)), axis=1)]), False


def of_blocks(orders: np.ndarray, size: int) -> np.ndarray:
    """Orders (P, A) of blocks as those of their rows (P, A size), which stay as they are within a block."""
    return (orders[..., None] * size + np.arange(size)).reshape(len(orders), -1)


def orders_within(clusters: Clusters, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Orders (P, N) that leave every row in its cluster, and whether they are all (up to 50 000)."""
    blocks = [np.arange(start, start + size) for start, size in zip(clusters.starts, clusters.sizes, strict=True)]
    counts = [factorial(len(block)) for block in blocks]
    if prod(counts) <= ALL_WITHIN:
        picks = np.unravel_index(np.arange(prod(counts)), counts)
        every = [np.array(list(permutations(block)))[pick] for block, pick in zip(blocks, picks, strict=True)]
        return np.hstack(every), True
    rng = np.random.default_rng(seed)
    drawn = np.hstack([rng.permuted(np.tile(block, (draws, 1)), axis=1) for block in blocks])
    return np.vstack([np.arange(clusters.n), drawn]), False


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


def products(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Inner products of the columns of ``x`` (..., m, N) with those of ``y`` (..., k, N) in every order (P, N).

    Returns (..., k, P, m). Of columns of length 1 that are centred they are correlations.
    """
    return y[..., orders] @ np.swapaxes(x, -1, -2)[..., None, :, :]


def p_values(null: np.ndarray) -> np.ndarray:
    """Two-sided p (...) of the first of the values (..., P): the share of them that are as large in size."""
    return np.mean(np.abs(null) >= np.abs(null[..., :1]) - SAME, axis=-1)
