"""Products of n x n matrices from covariances, for many more samples than features.

The Gram matrices K = X X' and L = Y Y' of centred features X (n, d) and Y (n, e) meet in
``<K, L> = |X'Y|^2``, which needs no matrix of n x n. All covariances X'Y are summed in one pass over the
samples, in blocks of rows, in float64.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers, require_bytes

ROWS = 4096  # samples that are read at once
TILE = 4096  # columns of a part of the covariance matrix: those below its diagonal are not computed


@dataclass(frozen=True)
class FactorStack:
    """Symmetric matrices F F' of L layers, given by F = X T with the centred features X (n, d) and T (d, r).

    It offers what :class:`vilbert_lib.metrics.stacks.SymmetricStack` does, without matrices of n x n.

    Attributes
    ----------
    layers : Layers
        The features.
    transforms : list of Tensor or None
        T of each layer, None for the identity.
    diagonal : Tensor
        Diagonals of the matrices, (L, n).
    squares : Tensor
        Sums of the squared entries off the diagonal, (L,).
    order : Tensor or None
        Order (n,) in which the samples of X are taken, None as they are.
    """

    layers: Layers
    transforms: list[Tensor | None]
    diagonal: Tensor
    squares: Tensor
    order: Tensor | None = None

    @property
    def n(self) -> int:
        """Rows of each matrix."""
        return self.diagonal.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which products are summed."""
        return torch.float64

    def permuted(self, order: Tensor) -> "FactorStack":
        """The same matrices with rows and columns in another ``order`` (n,)."""
        earlier = order if self.order is None else self.order[order]
        return replace(self, diagonal=self.diagonal[:, order], order=earlier)

    def products(self, other: "FactorStack") -> Tensor:
        """Inner products <A, B> of every matrix here with every one there, (L, L')."""
        if self.order is None and other.order is None:
            covariance = covariances(self.layers)
        else:
            covariance = _sum_products(self.layers, self.order, other.order)
        places = _places(self.layers)
        products = torch.empty(len(places), len(places), dtype=torch.float64, device=covariance.device)
        for i, rows in enumerate(places):
            block = _transposed_times(self.transforms[i], covariance[rows])
            for j, columns in enumerate(places):
                part, transform = block[:, columns], other.transforms[j]
                products[i, j] = (part if transform is None else part @ transform).square().sum()
        return products

    def off_diagonal(self, other: "FactorStack") -> Tensor:
        """Inner products without the diagonals, (L, L')."""
        return self.products(other) - self.diagonal @ other.diagonal.T

    def norms(self) -> Tensor:
        """Frobenius norms, (L,)."""
        return (self.squares + self.diagonal.square().sum(1)).sqrt()

    def traces(self) -> Tensor:
        """Traces, (L,)."""
        return self.diagonal.sum(1)


def _places(layers: Layers) -> list[slice]:
    """Columns of every layer where all layers stand side by side."""
    ends = torch.tensor([layers.width(i) for i in layers]).cumsum(0).tolist()
    return [slice(end - layers.width(i), end) for i, end in enumerate(ends)]


def _transposed_times(transform: Tensor | None, matrix: Tensor) -> Tensor:
    return matrix if transform is None else transform.T @ matrix


def covariances(layers: Layers) -> Tensor:
    """X'Y of all layers with one another, (D, D) with D the sum of the widths; computed once for ``layers``."""
    if "covariances" not in layers.shared:
        layers.shared["covariances"] = _sum_products(layers, None, None)
    return layers.shared["covariances"]


def _sum_products(layers: Layers, order: Tensor | None, other: Tensor | None) -> Tensor:
    """Sum of X[order]'X[other] over the samples, X the centred features of all layers side by side, (D, D)."""
    width, same = sum(layers.width(i) for i in layers), order is None and other is None
    require_bytes(
        f"the covariances of {len(layers)} layers of {width} features in all",
        8 * (width**2 + 2 * min(ROWS, layers.n) * width),
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
    return _stack(layers, [None] * len(layers))


def projection_stack(layers: Layers) -> FactorStack:
    """The projections onto the columns of every centred layer."""
    covariance, transforms = covariances(layers), []
    for i, place in enumerate(_places(layers)):
        values, vectors = torch.linalg.eigh(covariance[place, place])
        # Directions below about 1e-7 of the largest singular value are rounding.
        kept = values > values[-1] * torch.finfo(torch.float64).eps * max(layers.n, layers.width(i))
        transforms.append(vectors[:, kept] / values[kept].sqrt())
    return _stack(layers, transforms)


def _stack(layers: Layers, transforms: list[Tensor | None]) -> FactorStack:
    places = _places(layers)
    diagonal = torch.empty(len(layers), layers.n, dtype=torch.float64, device=layers.device)
    for begin in range(0, layers.n, ROWS):
        rows = layers.centred_rows(begin, begin + ROWS)
        for i, (place, transform) in enumerate(zip(places, transforms, strict=True)):
            factor = rows[:, place] if transform is None else rows[:, place] @ transform
            diagonal[i, begin : begin + ROWS] = factor.square().sum(1)
    norms = torch.stack([own.square().sum() for own in _own_covariances(layers, transforms)])
    squares = (norms - diagonal.square().sum(1)).clamp_min(0)
    return FactorStack(layers, transforms, diagonal, squares)


def layer_covariances(stack: FactorStack) -> list[Tensor]:
    """F'F of every layer, (r, r): it has the eigenvalues of the matrix F F' other than 0."""
    return _own_covariances(stack.layers, stack.transforms)


def _own_covariances(layers: Layers, transforms: list[Tensor | None]) -> list[Tensor]:
    covariance, found = covariances(layers), []
    for place, transform in zip(_places(layers), transforms, strict=True):
        own = _transposed_times(transform, covariance[place, place])
        found.append(own if transform is None else own @ transform)
    return found
