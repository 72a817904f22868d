"""Symmetric n x n matrices of many layers, packed so that all pairs are one matrix product."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

COLUMNS = 2**12  # terms that are summed in one go: longer sums in float32 would lose digits


@dataclass(frozen=True)
class SymmetricStack:
    """One symmetric matrix a layer: entries above the diagonal (m, L), m = n(n-1)/2, and diagonals (L, n).

    The diagonal is apart because the unbiased estimators leave it out: a difference of large
    numbers would lose what is left.
    """

    upper: Tensor
    diagonal: Tensor
    squares: Tensor  # (L,) sums of the squared entries off the diagonal

    @classmethod
    def of(cls, matrices: Iterable[Tensor], layers: int, dtype: torch.dtype) -> "SymmetricStack":
        """Pack ``layers`` float64 matrices (n, n); entries above the diagonal are kept in ``dtype``."""
        upper, diagonals, squares = None, [], []
        for i, matrix in enumerate(matrices):
            if upper is None:
                n = len(matrix)
                above = torch.triu_indices(n, n, offset=1, device=matrix.device)
                place = above[0] * n + above[1]
                upper = torch.empty(len(place), layers, dtype=dtype, device=matrix.device)
            column = matrix.flatten()[place].to(dtype)
            upper[:, i] = column
            squares.append(2 * column.double().square().sum())
            diagonals.append(matrix.diagonal().clone())
        return cls(upper, torch.stack(diagonals), torch.stack(squares))

    @property
    def n(self) -> int:
        """Rows of each matrix."""
        return self.diagonal.shape[1]

    def permuted(self, order: Tensor) -> "SymmetricStack":
        """The same matrices with rows and columns in another ``order`` (n,)."""
        n = self.n
        above = torch.triu_indices(n, n, offset=1, device=order.device)
        a, b = order[above[0]], order[above[1]]
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        place = low * (2 * n - low - 1) // 2 + high - low - 1
        return SymmetricStack(self.upper.index_select(0, place), self.diagonal[:, order], self.squares)

    def off_diagonal(self, other: "SymmetricStack") -> Tensor:
        """Inner products <A, B> of every matrix here with every one there, diagonals left out: (L, L')."""
        total = torch.zeros(
            self.upper.shape[1], other.upper.shape[1], dtype=torch.float64, device=self.upper.device
        )
        for a, b in zip(self.upper.split(COLUMNS), other.upper.split(COLUMNS), strict=True):
            total += a.T @ b
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
    n = left.n
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
    variance = 2 * v[:, None] * v_ / ((n - 1) ** 2 * (n + 1) * (n - 2))
    if n > 3:
        variance = variance + w[:, None] * w_ / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    return mean, variance.clamp_min(0).sqrt()
