"""Two tables of how alike models are, pair by pair: pairs share models, so models are permuted."""

from collections.abc import Sequence

import numpy as np

from vilbert_lib.stats.clusters import unit, varies
from vilbert_lib.stats.permutations import of_blocks, orders, p_values

AT_ONCE = 2_000_000  # pairs in all orders that are looked up together


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
    a, b = (_checked(matrix, name) for matrix, name in ((a, "a"), (b, "b")))
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}: they must be over the same models")
    n = len(a)
    labels = np.arange(n) if clusters is None else np.asarray(clusters)
    every, exact = _orders(labels, n, draws, seed)
    by_label = np.ix_(*[np.argsort(labels, kind="stable")] * 2)
    null = correlations_of_pairs(a[by_label], b[by_label], every)
    return {"r": float(null[0]), "p": float(p_values(null)), "n": n, "exact": exact}


def _checked(matrix: np.ndarray, name: str) -> np.ndarray:
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 3:
        raise ValueError(f"{name} has shape {matrix.shape}: a square matrix over at least 3 models is needed")
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    if not (np.isfinite(pairs).all() and np.isfinite(matrix.T[np.triu_indices(len(matrix), 1)]).all()):
        raise ValueError(f"{name} holds NaN or infinity")
    if not np.allclose(pairs, matrix.T[np.triu_indices(len(matrix), 1)]):
        raise ValueError(f"{name} is not symmetric")
    if not varies(pairs - pairs.mean(), pairs):
        raise ValueError(f"{name} is constant off the diagonal: it has no correlation")
    return matrix


def _orders(labels: np.ndarray, n: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Orders (P, n) of the models, once they are sorted by label: blocks of equal labels stay together."""
    if labels.shape != (n,):
        raise ValueError(f"clusters has shape {labels.shape}: ({n},) is needed, a name a model")
    _, sizes = np.unique(labels, return_counts=True)
    if len(sizes) < 3 or len(set(sizes.tolist())) > 1:
        raise ValueError(f"clusters of {sizes.tolist()} models: at least 3 of one size are needed")
    every, exact = orders(len(sizes), draws, seed)
    return of_blocks(every, sizes[0]), exact


def correlations_of_pairs(a: np.ndarray, b: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """r of the upper triangles of ``a`` and ``b`` (..., n, n) with b's models in every order (P, n), (..., P)."""
    n = a.shape[-1]
    i, j = np.triu_indices(n, 1)
    x, y = (unit(matrix[..., i, j]) for matrix in (a, b))
    square = np.zeros(b.shape)
    square[..., i, j] = square[..., j, i] = y
    flat = square.reshape(*b.shape[:-2], n * n)
    step = max(1, AT_ONCE // len(i))
    parts = [orders[start : start + step] for start in range(0, len(orders), step)]
    return np.concatenate([(flat[..., o[:, i] * n + o[:, j]] @ x[..., None])[..., 0] for o in parts], axis=-1)
