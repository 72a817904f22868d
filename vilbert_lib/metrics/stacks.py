"""Symmetric n x n matrices of many layers, packed so that all pairs are one matrix product."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers, require_memory
from vilbert_lib.metrics.parallel import each

COLUMNS = 2**12  # terms that are summed in one go: longer sums in float32 would lose digits


@lru_cache(maxsize=2)
def above_diagonal(n: int, device: torch.device) -> Tensor:
    """Rows and columns of the entries above the diagonal of an (n, n) matrix, (2, n(n-1)/2)."""
    return torch.triu_indices(n, n, offset=1, device=device)


def upper_triangle(matrix: Tensor) -> Tensor:
    """Entries of ``matrix`` (n, n) above its diagonal, row by row."""
    return matrix.flatten().index_select(0, _places(len(matrix), matrix.device))


@lru_cache(maxsize=2)
def _places(n: int, device: torch.device) -> Tensor:
    rows, columns = above_diagonal(n, device)
    return rows * n + columns


def empty_triangles(what: str, layers: Layers) -> Tensor:
    """Room for the entries above the diagonals of all layers, (L, n(n-1)/2); a MemoryError where there is none."""
    n = layers.n
    # The packed entries, their places as integers, and the float64 matrices of the layers in the making.
    per_entry = len(layers) * layers.dtype.itemsize / 2 + 12 + 8 * layers.at_once
    require_memory(f"the {what} of {len(layers)} layers", n, layers.device, per_entry=per_entry)
    return torch.empty(len(layers), n * (n - 1) // 2, dtype=layers.dtype, device=layers.device)


@dataclass(frozen=True)
class SymmetricStack:
    """One symmetric matrix a layer: entries above the diagonal (L, n(n-1)/2), and diagonals (L, n).

    The diagonal is apart because the unbiased estimators leave it out: a difference of large
    numbers would lose what is left.
    """

    upper: Tensor
    diagonal: Tensor
    squares: Tensor  # (L,) sums of the squared entries off the diagonal

    @classmethod
    def of(cls, layers: Layers, matrix: Callable[[int], Tensor]) -> "SymmetricStack":
        """Pack the float64 ``matrix(i)`` (n, n) of every layer i; what is off the diagonal as ``layers.dtype``."""
        n, count = layers.n, len(layers)
        upper = empty_triangles("similarity matrices", layers)
        diagonal = torch.empty(count, n, dtype=torch.float64, device=layers.device)
        squares = torch.empty(count, dtype=torch.float64, device=layers.device)

        def pack(i: int) -> None:
            full = matrix(i)
            upper[i] = upper_triangle(full)
            diagonal[i] = full.diagonal()
            squares[i] = 2 * sum(part.double().square().sum() for part in upper[i].split(2**20))

        each(pack, layers, layers.device)
        return cls(upper, diagonal, squares)

    @property
    def n(self) -> int:
        """Rows of each matrix."""
        return self.diagonal.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which products are summed."""
        return self.upper.dtype

    def permuted(self, order: Tensor) -> "SymmetricStack":
        """The same matrices with rows and columns in another ``order`` (n,)."""
        n = self.n
        a, b = order[above_diagonal(n, order.device)]
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        place = low * (2 * n - low - 1) // 2 + high - low - 1
        return SymmetricStack(self.upper.index_select(1, place), self.diagonal[:, order], self.squares)

    def off_diagonal(self, other: "SymmetricStack") -> Tensor:
        """Inner products <A, B> of every matrix here with every one there, diagonals left out: (L, L')."""
        total = torch.zeros(len(self.upper), len(other.upper), dtype=torch.float64, device=self.upper.device)
        for a, b in zip(self.upper.split(COLUMNS, 1), other.upper.split(COLUMNS, 1), strict=True):
            total += a @ b.T
        return 2 * total

    def products(self, other: "SymmetricStack") -> Tensor:
        """Inner products <A, B> = tr(A B) of every matrix here with every one there: (L, L')."""
        return self.off_diagonal(other) + self.diagonal @ other.diagonal.T

    def norms(self) -> Tensor:
        """Frobenius norms, (L,)."""
        return (self.squares + self.diagonal.square().sum(1)).sqrt()

    def traces(self) -> Tensor:
        """Traces, (L,)."""
        return self.diagonal.sum(1)


def permutation_moments(left: SymmetricStack, right: SymmetricStack) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of <A, B> over all permutations of B's rows and columns, (L, L') each.

    Exact, for matrices whose rows sum to zero (Kazi-Aoual et al. 1995; Josse, Pages and Husson
    2008, section 3).
    """
    n = left.n  # products of its powers become floats before they meet a tensor: int64 would overflow
    parts = []
    for stack in (left, right):
        trace, square, spread = stack.traces(), stack.norms().square(), stack.diagonal.square().sum(1)
        parts.append(
            (
                trace,
                (n - 1) * square - trace**2,
                n * (n + 1) * spread - (n - 1) * (trace**2 + 2 * square),
            )
        )
    (t, v, w), (t_, v_, w_) = parts
    mean = t[:, None] * t_ / (n - 1)
    variance = 2 * v[:, None] * v_ / float((n - 1) ** 2 * (n + 1) * (n - 2))
    if n > 3:
        variance = variance + w[:, None] * w_ / float((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    return mean, variance.clamp_min(0).sqrt()
