"""Symmetric n x n matrices of many layers, packed so that all pairs are one matrix product."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers, require_memory
from vilbert_lib.metrics.parallel import each

STACK_BYTES = 2**31  # what the packed matrices of all layers may take in memory; larger ones are kept on disk
COLUMNS = 2**12  # terms that are summed in one go: longer sums in float32 would lose digits
READ = 2**8  # so many times COLUMNS are read from disk at once


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


def empty_triangles(what: str, layers: Layers, *, working: float = 8) -> Tensor:
    """Room for the entries above the diagonals of all layers, (L, n(n-1)/2), on disk where it exceeds STACK_BYTES.

    A MemoryError says where there is none, also for the ``working`` bytes an entry (n, n) of each layer in the
    making.
    """
    n, count, entries = layers.n, len(layers), layers.n * (layers.n - 1) // 2
    size = count * entries * layers.dtype.itemsize
    on_disk = size > STACK_BYTES
    # The packed entries, their places as integers, and the float64 matrices of the layers in the making.
    # One matrix at a time is unpacked for an exact skewness, beside four of its size.
    per_entry = (0 if on_disk else count * layers.dtype.itemsize / 2) + 12 + max(working * layers.at_once, 40)
    per_entry += 8 * count * layers.keeps_grams
    per_entry += 3 * 8 * max(layers.width(i) for i in layers) / n * layers.at_once  # features, and centred ones
    require_memory(f"the {what} of {count} layers", n, layers.device, per_entry=per_entry)
    if not on_disk:
        return torch.empty(count, entries, dtype=layers.dtype, device=layers.device)
    if size > (free := shutil.disk_usage(tempfile.gettempdir()).free):
        raise MemoryError(
            f"the {what} of {count} layers of n={n} samples need {size / 1e9:.1f} GB in {tempfile.gettempdir()},"
            f" {free / 1e9:.1f} GB are free: name another folder in TMPDIR, or measure fewer layers at once"
            " (pairs) or a random subset of the samples (subsample=)"
        )
    with tempfile.TemporaryFile() as file:  # gone with the last reference
        kind = np.float32 if layers.dtype == torch.float32 else np.float64
        return torch.from_numpy(np.memmap(file, kind, "w+", shape=(count, entries)))


@dataclass(frozen=True)
class Stack:
    """One symmetric (n, n) matrix a layer.

    Attributes
    ----------
    diagonal : Tensor
        Diagonals of the matrices, (L, n).
    squares : Tensor
        Sums of the squared entries off the diagonal, (L,).
    """

    diagonal: Tensor
    squares: Tensor

    @property
    def n(self) -> int:
        """Rows of each matrix."""
        return self.diagonal.shape[1]

    def norms(self) -> Tensor:
        """Frobenius norms, (L,)."""
        return (self.squares + self.diagonal.square().sum(1)).sqrt()

    def traces(self) -> Tensor:
        """Traces, (L,)."""
        return self.diagonal.sum(1)


@dataclass(frozen=True)
class SymmetricStack(Stack):
    """Matrices of which the entries above the diagonal are kept, (L, n(n-1)/2).

    The diagonal is apart because the unbiased estimators leave it out: a difference of large
    numbers would lose what is left.
    """

    upper: Tensor
    _found: dict[Callable, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, layers: Layers, matrix: Callable[[int], Tensor]) -> "SymmetricStack":
        """Pack the float64 ``matrix(i)`` (n, n) of every layer i; what is off the diagonal as ``layers.dtype``."""
        n, count = layers.n, len(layers)
        upper = empty_triangles("similarity matrices", layers, working=28)
        diagonal = torch.empty(count, n, dtype=torch.float64, device=layers.device)
        squares = torch.empty(count, dtype=torch.float64, device=layers.device)

        def pack(i: int) -> None:
            full = matrix(i)
            upper[i] = upper_triangle(full)
            diagonal[i] = full.diagonal()
            squares[i] = 2 * sum(part.double().square().sum() for part in upper[i].split(2**20))

        each(pack, layers, layers.device)
        return cls(diagonal, squares, upper)

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which products are summed."""
        return self.upper.dtype

    @property
    def fitting(self) -> int:
        """How many layers fit into memory at once."""
        return max(2, STACK_BYTES // max(1, self.upper.shape[1] * self.dtype.itemsize))

    def some(self, layers: Sequence[int]) -> "SymmetricStack":
        """The matrices of some ``layers``, in memory."""
        device = self.diagonal.device
        return SymmetricStack(self.diagonal[layers], self.squares[layers], self.upper[layers].to(device))

    def permuted(self, order: Tensor) -> "SymmetricStack":
        """The same matrices with rows and columns in another ``order`` (n,)."""
        n = self.n
        a, b = order[above_diagonal(n, order.device)]
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        place = low * (2 * n - low - 1) // 2 + high - low - 1
        return SymmetricStack(self.diagonal[:, order], self.squares, self.upper.index_select(1, place))

    def of_each(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """``function`` of the full float64 matrix of every layer, stacked; computed once."""
        if function not in self._found:
            self._found[function] = torch.stack([function(matrix) for matrix in self._matrices()])
        return self._found[function]

    def _matrices(self) -> Iterator[Tensor]:
        n, device = self.n, self.diagonal.device
        rows, columns = above_diagonal(n, device)
        matrix = torch.zeros(n, n, dtype=torch.float64, device=device)
        for upper, diagonal in zip(self.upper, self.diagonal, strict=True):
            matrix[rows, columns] = matrix[columns, rows] = upper.to(device, torch.float64)
            matrix.diagonal().copy_(diagonal)
            yield matrix

    def off_diagonal(self, other: "SymmetricStack") -> Tensor:
        """Inner products <A, B> of every matrix here with every one there, diagonals left out: (L, L')."""
        device = self.diagonal.device
        total = torch.zeros(len(self.upper), len(other.upper), dtype=torch.float64, device=device)
        for a, b in zip(*(stack.upper.split(READ * COLUMNS, 1) for stack in (self, other)), strict=True):
            a = a.to(device)
            b = a if other is self else b.to(device)
            for left, right in zip(a.split(COLUMNS, 1), b.split(COLUMNS, 1), strict=True):
                total += left @ right.T
        return 2 * total

    def products(self, other: "SymmetricStack") -> Tensor:
        """Inner products <A, B> = tr(A B) of every matrix here with every one there: (L, L')."""
        return self.off_diagonal(other) + self.diagonal @ other.diagonal.T


def permutation_moments(left: Stack, right: Stack) -> tuple[Tensor, Tensor]:
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
