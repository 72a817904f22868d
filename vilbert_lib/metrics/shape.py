"""Similarity up to rotation, translation and scale."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.parallel import each

ALIKE = 0.9999  # beyond it the distance, a root of what is missing to 1, would show the rounding


@dataclass(frozen=True)
class Factors:
    """A factor F (n, r) of every centred Gram matrix K of trace 1.

    Either F F' = K; or, for a layer of full rank, F is the triangular Cholesky factor of K + J with
    J = 11'/n^2, and ``grams`` holds that sum. J meets no centred matrix, so that it adds its own
    trace, 1/n, to what is measured between two such layers, and nothing elsewhere.
    """

    factors: list[Tensor]
    grams: list[Tensor | None]
    dtype: torch.dtype

    def permuted(self, order: Tensor) -> "Factors":
        """The same factors with the samples in another ``order`` (n,)."""
        grams = [gram if gram is None else gram[order][:, order] for gram in self.grams]
        return Factors([factor[order] for factor in self.factors], grams, self.dtype)


def gram_factors(layers: Layers) -> Factors:
    """Factors with as few columns as a layer's width, the number of samples and its rank allow."""
    factors, grams = zip(*each(partial(_factor, layers), layers, layers.device), strict=True)
    return Factors(list(factors), list(grams), layers.dtype)


def _factor(layers: Layers, i: int) -> tuple[Tensor, Tensor | None]:
    n = layers.n
    if layers.width(i) < n:
        features = layers.centred(i)
        return features / features.norm(), None
    gram = layers.gram(i) / layers.gram(i).trace()
    whole = gram + 1 / n**2
    cholesky, failed = torch.linalg.cholesky_ex(whole)
    if not failed and cholesky.diagonal().min() ** 2 > 1e-10 * whole.diagonal().max():
        return cholesky, whole
    values, vectors = torch.linalg.eigh(gram)
    kept = values > torch.finfo(torch.float64).eps * n * values[-1]
    return vectors[:, kept] * values[kept].sqrt(), None


def nuclear_norm(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Sum of the singular values of a float64 ``matrix``.

    For features that came in float32 from the eigenvalues of M M', which takes half the time and
    is exact to about 1e-8 of the largest singular value each.
    """
    if dtype == torch.float64 or min(matrix.shape) <= 32:
        return torch.linalg.svdvals(matrix).sum()
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares = short @ short.T
    return _root_sum(torch.linalg.eigvalsh(squares) if squares.is_cuda else _eigenvalues(squares.numpy()))


def _eigenvalues(matrix: np.ndarray) -> Tensor:
    """Eigenvalues of a symmetric matrix of which the lower triangle is read."""
    return torch.from_numpy(np.linalg.eigvalsh(matrix))  # scipy's would keep other threads waiting


def _root_sum(squares: Tensor) -> Tensor:
    return squares.clamp_min(0).sqrt().sum()


def procrustes(left: Factors, right: Factors, x: Tensor, y: Tensor) -> Tensor:
    """Procrustes similarity s = |Xc' Yc|_* / (|Xc| |Yc|), in [0, 1] (Williams et al. 2021).

    It is the cosine of the smallest angle between the centred clouds over all rotations.
    """
    values = each(partial(_similarity, left, right), zip(x.tolist(), y.tolist(), strict=True), x.device)
    return torch.stack(values).clamp(0, 1)


def _similarity(left: Factors, right: Factors, pair: tuple[int, int]) -> Tensor:
    a, b = pair
    factor, other = left.factors[a], right.factors[b]
    both = left.grams[a] is not None and right.grams[b] is not None
    if both and left.dtype == torch.float32 and factor.device.type == "cpu":
        # F' (G G') F has the squared singular values of F' G; LAPACK makes it from a triangular F
        # with a quarter of the arithmetic of two products.
        product, _ = scipy.linalg.lapack.dsygst(right.grams[b].numpy().T, factor.numpy(), itype=2, lower=1)
        total = _root_sum(_eigenvalues(product))
    else:
        total = nuclear_norm(factor.T @ other, left.dtype)
    if left.dtype == torch.float32 and total > ALIKE:
        total = nuclear_norm(factor.T @ other, torch.float64)
    return total - 1 / left.factors[a].shape[0] if both else total


def procrustes_distance(left: Factors, right: Factors, x: Tensor, y: Tensor) -> Tensor:
    """Procrustes distance sqrt(2 - 2 s) of the centred clouds of norm 1, in [0, sqrt 2] (Williams et al. 2021)."""
    return (2 - 2 * procrustes(left, right, x, y)).clamp_min(0).sqrt()
