"""Products of n x n matrices from covariances, for many more samples than features.

The Gram matrices K = X X' and L = Y Y' of centred features X (n, d) and Y (n, e) meet in
``<K, L> = |X'Y|^2``, which needs no matrix of n x n. All covariances X'Y are summed in one pass over the
samples, in blocks of rows, in float64. Where many features came in float32, products of different layers within a
block are float32 for the measures that lose nothing by it, which takes half the time.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import ROWS, Layers, require_bytes
from vilbert_lib.metrics.parallel import each
from vilbert_lib.metrics.stacks import Stack

TILE = 1024  # columns of a part of the covariance matrix: what is below its diagonal is not computed
MANY_FEATURES = 1024  # from so many on products take longer than what float32 products need beside them
CONDITION = 1e4  # largest ratio of the singular values of a layer that is divided by them after float32 products


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
    single : bool
        Whether products of float32 features may be float32 (:func:`covariances`).
    """

    layers: Layers
    transforms: list[Tensor | None]
    order: Tensor | None = None
    single: bool = False

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
        covariances(self.layers, self.order, other.order, single=self.single)

    def between(self, other: "Factored", a: int, b: int) -> Tensor:
        """F'G of layer ``a`` here and layer ``b`` there, (r, s)."""
        places = _places(self.layers)
        part = covariances(self.layers, self.order, other.order, single=self.single)[places[a], places[b]]
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


def covariances(
    layers: Layers, order: Tensor | None = None, other: Tensor | None = None, *, single: bool = False
) -> Tensor:
    """X[order]'X[other] of all layers side by side, (D, D) with D the sum of the widths.

    Those of samples as they come are kept in ``layers``, and so are the last ones of others: several measures ask
    for them. With ``single`` those of different layers may come from float32 products, which have relative errors
    of about 1e-7; those of a layer with itself, from which singular values come, never do.
    """
    name = "covariances" if order is None and other is None else "permuted covariances"
    orders, is_single = layers.shared.get(name, (None, None))[:2]
    if orders is None or orders[0] is not order or orders[1] is not other or (is_single and not single):
        layers.shared.pop(name, None)  # before others take its place
        is_single = single and _float32_suffices(layers)
        layers.shared[name] = (order, other), is_single, _sum_products(layers, order, other, single=is_single)
    return layers.shared[name][2]


def _float32_suffices(layers: Layers) -> bool:
    """Whether float32 products are faster, and no layer has singular values that would show their rounding.

    A GPU that computes in float64 as fast as in float32 gains nothing.
    """
    width = sum(layers.width(i) for i in layers)
    if layers.dtype != torch.float32 or layers.device.type != "cpu" or width < MANY_FEATURES:
        return False
    kept = [values[_counts(layers, i, values)] for i, (values, _) in enumerate(_eigenvectors(layers))]
    return all(float(values[0]) < CONDITION**2 * float(values[-1]) for values in kept)


def _sum_products(layers: Layers, order: Tensor | None, other: Tensor | None, *, single: bool) -> Tensor:
    """Sum of X[order]'X[other] over the samples, X the centred features of all layers side by side, (D, D)."""
    width, same = sum(layers.width(i) for i in layers), order is None and other is None
    widths = [layers.width(i) for i in layers]
    # Covariances; those of single layers with their eigenvectors; a block of rows; layers whose sums are made.
    entries = (1 if same else 2) * width**2 + 3 * sum(size**2 for size in widths)
    entries += 7 * min(ROWS, layers.n) * width + 2 * layers.n * max(widths) * layers.at_once
    what = f"the covariances of {len(layers)} layers of {width} features in all"
    require_bytes(what, 8 * entries + 4 * TILE * width * single, layers.device)
    total = torch.zeros(width, width, dtype=torch.float64, device=layers.device)
    kind = torch.float32 if single else torch.float64
    for begin in range(0, layers.n, ROWS):
        left = layers.centred_rows(begin, begin + ROWS, order).to(kind)
        right = left if same else layers.centred_rows(begin, begin + ROWS, other).to(kind)
        for a in range(0, width, TILE):
            part = total[a : a + TILE, a if same else 0 :]
            columns = left[:, a : a + TILE].T, right[:, a if same else 0 :]
            if single:
                part += columns[0] @ columns[1]
            else:
                part.addmm_(*columns)
    if same:
        for a in range(0, width, TILE):
            total[a + TILE :, a : a + TILE] = total[a : a + TILE, a + TILE :].T
    if same and single:
        for place, own in zip(_places(layers), _own_covariances(layers), strict=True):
            total[place, place] = own
    return total


def _own_covariances(layers: Layers) -> list[Tensor]:
    """X'X of every centred layer, (d, d), from float64 products."""
    if "covariances" in layers.shared:
        found = layers.shared["covariances"][2]
        return [found[place, place] for place in _places(layers)]
    if "own covariances" not in layers.shared:

        def own(i: int) -> Tensor:
            width = layers.width(i)
            total = torch.zeros(width, width, dtype=torch.float64, device=layers.device)
            for begin in range(0, layers.n, ROWS):
                rows = layers.centred_rows(begin, begin + ROWS, of=[i])
                total.addmm_(rows.T, rows)
            return total

        layers.means()  # before threads ask for them
        layers.shared["own covariances"] = each(own, layers, layers.device)
    return layers.shared["own covariances"]


def _eigenvectors(layers: Layers) -> list[tuple[Tensor, Tensor]]:
    """Eigenvalues (d,) of the covariance of every layer, the largest first, and their vectors (d, d)."""
    if "eigenvectors" not in layers.shared:
        found = each(torch.linalg.eigh, _own_covariances(layers), layers.device)
        layers.shared["eigenvectors"] = [(values.flip(0), vectors.flip(1)) for values, vectors in found]
    return layers.shared["eigenvectors"]


def _counts(layers: Layers, i: int, values: Tensor) -> Tensor:
    """Which eigenvalues of layer ``i`` are none of rounding: singular values above about 1e-7 of the largest."""
    return values > values[0] * torch.finfo(torch.float64).eps * max(layers.n, layers.width(i))


def gram_stack(layers: Layers) -> FactorStack:
    """The centred linear Gram matrices."""
    return _stack(Factored(layers, [None] * len(layers), single=True))


def projection_stack(layers: Layers) -> FactorStack:
    """The projections onto the columns of every centred layer."""
    return _stack(Factored(layers, [whitening for whitening, _ in whitenings(layers, layers.n)], single=True))


def whitenings(layers: Layers, most: int) -> list[tuple[Tensor, Tensor]]:
    """T (d, r) such that X T are up to ``most`` left singular vectors of every centred layer, and their values."""
    if not _float32_suffices(layers):
        covariances(layers)  # those of single layers come with them

    def whitening(i: int) -> tuple[Tensor, Tensor]:
        values, vectors = (part[..., :most] for part in _eigenvectors(layers)[i])
        kept = _counts(layers, i, values)
        values = values[kept].sqrt()
        return vectors[:, kept] / values, values

    _eigenvectors(layers)  # before threads ask for them
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
