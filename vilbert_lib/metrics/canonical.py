"""Canonical correlations between the leading directions of two layers."""

from collections.abc import Callable
from dataclasses import dataclass

import scipy.linalg
import torch
from torch import Tensor

from vilbert_lib.metrics.covariances import Factored, whitenings
from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.parallel import each
from vilbert_lib.metrics.shape import nuclear_norms_of_pairs


@dataclass(frozen=True)
class Directions:
    """Left singular vectors of every centred layer, (n, r) each; r may differ."""

    bases: list[Tensor]
    dtype: torch.dtype

    def width(self, i: int) -> int:
        """Directions of layer ``i``."""
        return self.bases[i].shape[1]

    def between(self, other: "Directions", a: int, b: int) -> Tensor:
        """Products of the directions of layer ``a`` here with those of layer ``b`` there, (r, s)."""
        return self.bases[a].T @ other.bases[b]

    def permuted(self, order: Tensor) -> "Directions":
        """The same directions with the samples in another ``order`` (n,)."""
        return Directions([basis[order] for basis in self.bases], self.dtype)


def singular_vectors(layers: Layers, most: int) -> list[tuple[Tensor, Tensor]]:
    """Up to ``most`` leading left singular vectors (n, r) of every centred layer, and their values (r,).

    Exact: two randomized decompositions of one matrix span two subspaces, and identical inputs
    come out below 1. Values below about 1e-7 of the largest count as 0.
    """
    if layers.device.type == "cpu":
        found = each(lambda i: _eigenvectors(_symmetric(layers, i), most), layers, layers.device)
    else:  # layers of one size are decomposed in one call
        symmetric = [_symmetric(layers, i) for i in layers]
        found = [(torch.empty(0), torch.empty(0))] * len(layers)
        for size in {len(matrix) for matrix in symmetric}:
            members = [i for i in layers if len(symmetric[i]) == size]
            parts = torch.linalg.eigh(torch.stack([symmetric[i] for i in members]))
            for i, values, vectors in zip(members, *parts, strict=True):
                found[i] = (values, vectors)
    return each(lambda i: _left_vectors(layers, i, *found[i], most), layers, layers.device)


def _symmetric(layers: Layers, i: int) -> Tensor:
    """The smaller of the Gram matrix (n, n) and the covariance (d, d) of a centred layer."""
    return layers.gram(i) if layers.width(i) >= layers.n else (x := layers.centred(i)).T @ x


def _eigenvectors(symmetric: Tensor, most: int) -> tuple[Tensor, Tensor]:
    size = len(symmetric)
    if most >= size:
        return torch.linalg.eigh(symmetric)
    # Some eigenvectors cost a third of all.
    chosen = [size - most, size - 1]
    found = scipy.linalg.eigh(symmetric.numpy(), subset_by_index=chosen, driver="evr", check_finite=False)
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def _left_vectors(layers: Layers, i: int, values: Tensor, vectors: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Left singular vectors and values from eigenvalues, in ascending order, and eigenvectors."""
    n, d = layers.n, layers.width(i)
    values, vectors = values.flip(0)[:most].clamp_min(0).sqrt(), vectors.flip(1)[:, :most]
    rank = int((values > values[0] * (torch.finfo(torch.float64).eps * max(n, d)) ** 0.5).sum())
    values, vectors = values[:rank], vectors[:, :rank]
    return (vectors if d >= n else layers.centred(i) @ vectors / values), values


def top_directions(layers: Layers) -> Directions | Factored:
    """The ``q`` leading directions of every layer, or as many as its rank gives."""
    most = min(layers.settings.q, layers.n - 1)
    return _directions(layers, most, lambda values: len(values))


def variance_directions(layers: Layers) -> Directions | Factored:
    """As many leading directions as hold the share ``variance`` of a layer's variance."""

    def kept(values: Tensor) -> int:
        shares = values.square().cumsum(0) / values.square().sum()
        # Rounding must not ask for one more direction than there is.
        return int((shares < layers.settings.variance - 1e-12).sum()) + 1

    return _directions(layers, layers.n - 1, kept)


def _directions(layers: Layers, most: int, kept: Callable[[Tensor], int]) -> Directions | Factored:
    """So many of up to ``most`` leading directions of every layer as ``kept`` says of the singular values."""
    found = whitenings(layers, most) if layers.is_narrow else singular_vectors(layers, most)
    chosen = [vectors[:, : kept(values)] for vectors, values in found]
    return Factored(layers, chosen) if layers.is_narrow else Directions(chosen, layers.dtype)


def svcca(left: Directions | Factored, right: Directions | Factored, x: Tensor, y: Tensor) -> Tensor:
    """Mean canonical correlation of the top q left singular vectors, in [0, 1] (Raghu et al. 2017).

    A layer whose rank is below q gives as many directions as it has; the mean is over the
    smaller of the two numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import svcca
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(svcca(X, Y, q=3), 3)
    0.424
    """
    if isinstance(left, Factored):
        return cca(left, right, x, y)
    a, b = (_padded(side.bases) for side in (left, right))
    products = (a.flatten(1).T @ b.flatten(1)).view(a.shape[1], a.shape[2], b.shape[1], b.shape[2])
    correlations = torch.linalg.svdvals(products[x, :, y]).clamp(0, 1)
    return correlations.sum(1) / _smaller(left, right, x, y)


def _padded(bases: list[Tensor]) -> Tensor:
    """All bases, each filled up with zeros to the width of the widest: (n, L, q)."""
    most = max(basis.shape[1] for basis in bases)
    return torch.stack([torch.nn.functional.pad(basis, (0, most - basis.shape[1])) for basis in bases], 1)


def _smaller(left: Directions | Factored, right: Directions | Factored, x: Tensor, y: Tensor) -> Tensor:
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return torch.tensor([min(left.width(a), right.width(b)) for a, b in pairs], device=x.device)


def cca(left: Directions | Factored, right: Directions | Factored, x: Tensor, y: Tensor) -> Tensor:
    """Mean canonical correlation of the directions that hold 99 % of the variance, in [0, 1].

    Raghu et al. 2017; the sum is divided by the smaller number of directions. Where that is no
    small part of n, chance alone gives values near 1.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import cca
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(cca(X, Y, variance=0.9), 3)
    0.667
    """
    return (nuclear_norms_of_pairs(left, right, x, y) / _smaller(left, right, x, y)).clamp(0, 1)
