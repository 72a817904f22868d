"""Products of n x n matrices from covariances, for many more samples than features.

The Gram matrices K = X X' and L = Y Y' of centred features X (n, d) and Y (n, e) meet in
``<K, L> = |X'Y|^2``, which needs no matrix of n x n. All covariances X'Y are summed in one pass over the
samples, in blocks of rows, in float64.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import ROWS, Layers, require_bytes
from vilbert_lib.metrics.parallel import each
from vilbert_lib.metrics.stacks import Stack

TILE = 4096  # columns of a part of the covariance matrix: those below its diagonal are not computed


@dataclass(frozen=True)
class Factored:
    """Matrices F = X T (n, r) of L layers, given by the centred features X (n, d) and T (d, r).

    Attributes
    ----------
    layers : Layers
        The features.
    transforms : list of Tensor or None
        T of each layer: a number () for so many times the identity, None for the identity.
    order : Tensor or None
        Order (n,) in which the samples of X are taken, None as they are.
    """

    layers: Layers
    transforms: list[Tensor | None]
    order: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the features."""
        return self.layers.dtype

    def permuted(self, order: Tensor) -> Self:
        """The same matrices with the samples in another ``order`` (n,)."""
        return replace(self, order=order if self.order is None else self.order[order])

    def width(self, i: int) -> int:
        """Columns of the matrix of layer ``i``."""
        transform = self.transforms[i]
        return self.layers.width(i) if transform is None or not transform.ndim else transform.shape[1]

    def sum_with(self, other: "Factored") -> None:
        """Do the work that all layers share, before threads ask for :meth:`between`."""
        covariances(self.layers, self.order, other.order)

    def between(self, other: "Factored", a: int, b: int) -> Tensor:
        """F'G of layer ``a`` here and layer ``b`` there, (r, s)."""
        places = _places(self.layers)
        part = covariances(self.layers, self.order, other.order)[places[a], places[b]]
        return _transformed(_transformed(part.T, self.transforms[a]).T, other.transforms[b])


@dataclass(frozen=True)
class FactorStack(Stack):
    """Symmetric matrices F F' of L layers without matrices of n x n: of the same use as a ``SymmetricStack``."""

    factors: Factored

    def permuted(self, order: Tensor) -> "FactorStack":
        """The same matrices with rows and columns in another ``order`` (n,)."""
        return FactorStack(self.diagonal[:, order], self.squares, self.factors.permuted(order))

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which products are summed."""
        return torch.float64

    def products(self, other: "FactorStack") -> Tensor:
        """Inner products <A, B> of every matrix here with every one there, (L, L')."""
        layers = self.factors.layers
        rows = [[self.factors.between(other.factors, a, b).square().sum() for b in layers] for a in layers]
        return torch.stack([torch.stack(row) for row in rows])

    def off_diagonal(self, other: "FactorStack") -> Tensor:
        """Inner products without the diagonals, (L, L')."""
        return self.products(other) - self.diagonal @ other.diagonal.T

    def inner(self) -> list[Tensor]:
        """F'F of every layer, (r, r): it has the eigenvalues of the matrix F F' other than 0."""
        unordered = replace(self.factors, order=None)
        return [unordered.between(unordered, i, i) for i in self.factors.layers]


def _places(layers: Layers) -> list[slice]:
    """Columns of every layer where all layers stand side by side."""
    ends = torch.tensor([layers.width(i) for i in layers]).cumsum(0).tolist()
    return [slice(end - layers.width(i), end) for i, end in enumerate(ends)]


def _transformed(matrix: Tensor, transform: Tensor | None) -> Tensor:
    if transform is None:
        return matrix
    return matrix @ transform if transform.ndim else matrix * transform


def covariances(layers: Layers, order: Tensor | None = None, other: Tensor | None = None) -> Tensor:
    """X[order]'X[other] of all layers side by side, (D, D) with D the sum of the widths.

    Those of samples as they come are kept in ``layers``, and so are the last ones of others: several measures ask
    for them.
    """
    if order is None and other is None:
        if "covariances" not in layers.shared:
            layers.shared["covariances"] = _sum_products(layers, None, None)
        return layers.shared["covariances"]
    orders, found = layers.shared.get("permuted covariances", (None, None))
    if orders is None or orders[0] is not order or orders[1] is not other:
        layers.shared.pop("permuted covariances", None)  # before others take its place
        found = _sum_products(layers, order, other)
        layers.shared["permuted covariances"] = (order, other), found
    return found


def _sum_products(layers: Layers, order: Tensor | None, other: Tensor | None) -> Tensor:
    """Sum of X[order]'X[other] over the samples, X the centred features of all layers side by side, (D, D)."""
    width, same = sum(layers.width(i) for i in layers), order is None and other is None
    # Covariances; those of single layers with their eigenvectors; a block of rows; layers whose sums are made.
    widths = [layers.width(i) for i in layers]
    entries = (1 if same else 2) * width**2 + 3 * sum(size**2 for size in widths)
    entries += 7 * min(ROWS, layers.n) * width + 2 * layers.n * max(widths) * layers.at_once
    require_bytes(
        f"the covariances of {len(layers)} layers of {width} features in all",
        8 * entries,
        layers.device,
    )
    total = torch.zeros(width, width, dtype=torch.float64, device=layers.device)
    starts = range(0, width, TILE)
    for begin in range(0, layers.n, ROWS):
        left = layers.centred_rows(begin, begin + ROWS, order)
        right = left if same else layers.centred_rows(begin, begin + ROWS, other)
        for a in starts:
            for b in range(a if same else 0, width, TILE):
                total[a : a + TILE, b : b + TILE].addmm_(left[:, a : a + TILE].T, right[:, b : b + TILE])
    if same:
        for a in starts:
            total[a + TILE :, a : a + TILE] = total[a : a + TILE, a + TILE :].T
    return total


def gram_stack(layers: Layers) -> FactorStack:
    """The centred linear Gram matrices."""
    return _stack(Factored(layers, [None] * len(layers)))


def projection_stack(layers: Layers) -> FactorStack:
    """The projections onto the columns of every centred layer."""
    return _stack(Factored(layers, [whitening for whitening, _ in whitenings(layers, layers.n)]))


def whitenings(layers: Layers, most: int) -> list[tuple[Tensor, Tensor]]:
    """T (d, r) such that X T are up to ``most`` left singular vectors of every centred layer, and their values."""
    covariance = covariances(layers)

    def whitening(i: int) -> tuple[Tensor, Tensor]:
        place = _places(layers)[i]
        values, vectors = torch.linalg.eigh(covariance[place, place])
        values, vectors = values.flip(0)[:most], vectors.flip(1)[:, :most]
        # Directions below about 1e-7 of the largest singular value are rounding.
        kept = values > values[0] * torch.finfo(torch.float64).eps * max(layers.n, layers.width(i))
        values = values[kept].sqrt()
        return vectors[:, kept] / values, values

    return each(whitening, layers, layers.device)


def _stack(factors: Factored) -> FactorStack:
    layers, places = factors.layers, _places(factors.layers)
    diagonal = torch.empty(len(layers), layers.n, dtype=torch.float64, device=layers.device)
    for begin in range(0, layers.n, ROWS):
        rows = layers.centred_rows(begin, begin + ROWS)
        for i, (place, transform) in enumerate(zip(places, factors.transforms, strict=True)):
            diagonal[i, begin : begin + ROWS] = _transformed(rows[:, place], transform).square().sum(1)
    norms = torch.stack([factors.between(factors, i, i).square().sum() for i in layers])
    return FactorStack(diagonal, (norms - diagonal.square().sum(1)).clamp_min(0), factors)
