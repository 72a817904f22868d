"""The two-stage bootstrap: clusters are drawn, then rows within each drawn cluster."""

import numpy as np
import pandas as pd

from vilbert_lib.stats.clusters import ROUNDING, Clusters, read


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


def middle(draws: np.ndarray) -> tuple:
    """From the 2.5 % to the 97.5 % quantile of the last axis, NaN left out; NaN where there is nothing else."""
    known = ~np.isnan(draws)
    if known.all():
        low, high = np.quantile(draws, [0.025, 0.975], axis=-1)
    else:
        some = known.any(-1)
        low, high = np.nanquantile(np.where(some[..., None], draws, 0), [0.025, 0.975], axis=-1)
        low, high = np.where(some, low, np.nan), np.where(some, high, np.nan)
    return (float(low), float(high)) if draws.ndim == 1 else (low, high)


def mean_interval(
    table: pd.DataFrame, value: str, *, cluster: str = "architecture", draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Approximate 95 % interval of a mean by a two-stage bootstrap: clusters, then rows within each."""
    clusters, (values,) = read(table, [value], cluster)
    return middle(weighted_means(two_stage(clusters, draws, seed), values))
