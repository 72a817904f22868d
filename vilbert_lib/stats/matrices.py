"""Mantel's test: two tables of how alike models are, pair by pair. Pairs share models, so models are permuted."""

from collections.abc import Sequence

import numpy as np

from vilbert_lib.stats.clusters import unit, varies
from vilbert_lib.stats.resampling import orders, orders_of_blocks, p_values


def mantel(
    a: np.ndarray, b: np.ndarray, *, clusters: Sequence | None = None, draws: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Mantel's test (1967): Pearson's r of two symmetric matrices (n, n) over the pairs of n >= 3 models.

    Entries are similarities or distances; the diagonals are not looked at. The models of ``b`` are permuted: all
    orders up to seven models (``exact``), ``draws`` random ones beyond. Returns ``r``, two-sided ``p``, ``n``,
    ``exact``.

    The test takes models to be exchangeable. Seeds of one architecture are not, and p is then far too small: give
    matrices over architectures, or name each model's architecture in ``clusters`` (n,), of at least three and
    equally many models each; they change places as wholes. A ValueError for matrices that are not symmetric or
    not finite, differ in shape, or are constant off the diagonal.
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}: they must be over the same models")
    n = len(a)
    labels = np.arange(n) if clusters is None else np.asarray(clusters)
    if labels.shape != (n,):
        raise ValueError(f"clusters has shape {labels.shape}: ({n},) is needed, a name a model")
    sizes = np.unique(labels, return_counts=True)[1]
    if len(sizes) < 3 or len(set(sizes.tolist())) > 1:
        raise ValueError(f"clusters of {sizes.tolist()} models: at least 3 of one size are needed")
    every, exact = orders(len(sizes), draws, seed)
    by_label = np.ix_(*[np.argsort(labels, kind="stable")] * 2)
    null = correlations_of_pairs(a[by_label], b[by_label], orders_of_blocks(every, sizes[0]))
    return {"r": float(null[0]), "p": float(p_values(null)), "n": n, "exact": exact}


def _checked(matrix: np.ndarray, name: str) -> np.ndarray:
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 3:
        raise ValueError(f"{name} has shape {matrix.shape}: a square matrix over at least 3 models is needed")
    above, below = (side[np.triu_indices(len(matrix), 1)] for side in (matrix, matrix.T))
    if not np.isfinite([above, below]).all():
        raise ValueError(f"{name} holds NaN or infinity")
    if not np.allclose(above, below):
        raise ValueError(f"{name} is not symmetric")
    if not varies(above - above.mean(), above):
        raise ValueError(f"{name} is constant off the diagonal: it has no correlation")
    return matrix


def correlations_of_pairs(a: np.ndarray, b: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """r of the upper triangles of ``a`` and ``b`` (..., n, n) with b's models in every order (P, n), (..., P)."""
    i, j = np.triu_indices(a.shape[-1], 1)
    x, y = unit(a[..., i, j]), np.zeros(b.shape)
    y[..., i, j] = y[..., j, i] = unit(b[..., i, j])
    return np.stack([(x * y[..., order[i], order[j]]).sum(-1) for order in orders], axis=-1)
