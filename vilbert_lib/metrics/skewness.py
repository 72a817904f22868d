"""Exact skewness over permutations of one side, from which Pearson type III gives p-values.

A value is <A, P'BP> for matrices A and B (n, n) of two layers and a random permutation P. Its third central
moment is bilinear in a few sums over the entries of A and of B, so the sums of each layer are computed once.
"""

import torch
from torch import Tensor

from vilbert_lib.metrics.covariances import FactorStack
from vilbert_lib.metrics.stacks import SymmetricStack, permutation_moments

LEAST = 6  # samples; with fewer some of the terms do not exist


def of_centred(left: SymmetricStack | FactorStack, right: SymmetricStack | FactorStack) -> Tensor:
    """Skewness of <A, P'BP> for matrices whose rows sum to zero, (L, L'); NaN for fewer than six samples.

    Kazi-Aoual et al. 1995, with the trace taken out of both matrices: the mean is 0 then, and five sums of
    each matrix are left. Of a :class:`FactorStack`, so of many samples, it is the limit: that of the product
    of two sums of weighted chi-squares.
    """
    if isinstance(left, FactorStack):
        limits = [_limit(stack) for stack in (left, right)]
        return 8**0.5 * limits[0][:, None] * limits[1]
    n = left.n
    if n < LEAST:
        return _unknown(left, right)
    a, b = (stack.of_each(_sums_of_centred) for stack in (left, right))
    third = a @ _weights_of_centred(n).to(a) @ b.T
    return _standardized(third, permutation_moments(left, right)[1])


def of_hollow(left: SymmetricStack, right: SymmetricStack, deviation: Tensor, *, centre: bool = False) -> Tensor:
    """Skewness of <A, P'BP> for matrices with zeros on the diagonal and entries of mean 0, (L, L').

    Three entries of a matrix are three edges of a graph on the samples. The moment is summed over the seven
    ways in which three edges can share samples (cf. Mantel 1967 for two).

    Parameters
    ----------
    left, right : SymmetricStack
        The matrices, of which the diagonals are not read.
    deviation : Tensor
        Standard deviation of the values, (L, L').
    centre : bool
        Whether the rows are made to sum to zero first, by U-centring (Szekely and Rizzo 2014): then the
        diagonals, minus the sums of the rows, are read for it.
    """
    n = left.n
    if n < LEAST:
        return _unknown(left, right)
    a, b = (stack.of_each(_sums_of_u_centred if centre else _sums_of_hollow) for stack in (left, right))
    return _standardized(8 * (a / _numbers_of_triples(n).to(a)) @ b.T, deviation)


def _unknown(left: SymmetricStack, right: SymmetricStack) -> Tensor:
    return left.squares.new_full((len(left.squares), len(right.squares)), torch.nan)


def _standardized(third: Tensor, deviation: Tensor) -> Tensor:
    return torch.where(deviation > 0, third / deviation**3, torch.nan)


def _sums_of_centred(matrix: Tensor) -> Tensor:
    """Of a matrix whose rows sum to zero, after its trace has been taken out: the sums S3, U, B, R and T3."""
    n = len(matrix)
    level = matrix.trace() / (n - 1)
    matrix = matrix + level / n
    matrix.diagonal().sub_(level)
    diagonal, squared = matrix.diagonal(), matrix @ matrix
    cubes, linked = diagonal.pow(3).sum(), diagonal @ matrix @ diagonal
    sums = [cubes, matrix.pow(3).sum(), linked, diagonal @ squared.diagonal(), (squared * matrix).sum()]
    return torch.stack(sums)


def _weights_of_centred(n: int) -> Tensor:
    """What the products of two matrices' sums count in the third moment, (5, 5)."""
    weights = {
        (0, 0): n**2 * (n + 1) * (n**2 + 15 * n - 4),
        (0, 1): -4 * n * (n - 1) * (n**2 - n + 4),
        (0, 2): -6 * n * (n - 1) * (n**2 - n + 4),
        (0, 3): -12 * n * (n - 1) ** 2 * (n + 4),
        (0, 4): 16 * n * (n - 1) * (n - 2),
        (1, 1): 4 * (n**4 - 8 * n**3 + 19 * n**2 - 4 * n - 16),
        (1, 2): 24 * (n**2 - n - 4),
        (1, 3): 24 * (n**3 - 3 * n**2 - 2 * n + 8),
        (1, 4): -8 * (3 * n**2 - 15 * n + 16),
        (2, 2): 6 * (n**4 - 8 * n**3 + 21 * n**2 - 6 * n - 24),
        (2, 3): 24 * (n**3 - 2 * n**2 - 3 * n + 12),
        (2, 4): -8 * (3 * n**2 - 15 * n + 24),
        (3, 3): 12 * (n**4 - n**3 - 8 * n**2 + 36 * n - 48),
        (3, 4): -8 * (n - 2) * (3 * n**2 - 15 * n + 24),
        (4, 4): 8 * (n**3 - 9 * n**2 + 26 * n - 22),
    }
    table = torch.zeros(5, 5, dtype=torch.float64)
    for (row, column), weight in weights.items():
        table[row, column] = table[column, row] = float(weight)
    return table / float(n * (n - 1) * (n - 2) * (n - 3) * (n - 4) * (n - 5))


def _sums_of_u_centred(matrix: Tensor) -> Tensor:
    """Sums of a centred Gram matrix without its diagonal, after U-centring."""
    n, diagonal = len(matrix), matrix.diagonal()
    rows = diagonal / (n - 2)  # minus the sums of the rows without the diagonal, shared out
    return _sums_of_hollow(matrix + rows[:, None] + rows - diagonal.sum() / ((n - 1) * (n - 2)))


def _sums_of_hollow(matrix: Tensor) -> Tensor:
    """Sums of the products of three entries off the diagonal, by how they share samples; the entries have mean 0.

    In this order: one entry three times; one twice and a neighbour; one twice and one apart; triangles; stars;
    paths; two neighbours and one apart; three apart.
    """
    matrix = matrix.clone().fill_diagonal_(0)
    rows, squares, cubes = matrix.sum(1), matrix.square().sum(1), matrix.pow(3).sum(1)
    same = cubes.sum() / 2
    twice = (matrix.square() * (rows[:, None] + rows - 2 * matrix)).sum() / 2
    twice_apart = -same - twice
    triangles = (matrix @ matrix * matrix).sum() / 6
    stars = (rows**3 - 3 * rows * squares + 2 * cubes).sum() / 6
    paths = (matrix * (rows[:, None] - matrix) * (rows - matrix)).sum() / 2 - 3 * triangles
    two_apart = -twice - 3 * triangles - 3 * stars - 2 * paths
    three_apart = same / 3 - triangles - stars - paths - two_apart
    ordered = [6 * part for part in (triangles, stars, paths, two_apart, three_apart)]
    return torch.stack([same, 3 * twice, 3 * twice_apart, *ordered])


def _numbers_of_triples(n: int) -> Tensor:
    """How many ordered triples of entries above the diagonal there are of each kind, (8,)."""
    edges = n * (n - 1) // 2
    twice, triangles, stars = edges * 2 * (n - 2), edges * (n - 2) // 3, n * (n - 1) * (n - 2) * (n - 3) // 6
    paths, pairs = edges * (n - 2) * (n - 3), edges * (n - 2)
    two_apart = pairs * (n - 3) * (n - 4) // 2
    three_apart = edges * (n - 2) * (n - 3) * (n - 4) * (n - 5) // 24
    numbers = [edges, 3 * twice, 3 * edges * (n - 2) * (n - 3) // 2]
    numbers += [6 * number for number in (triangles, stars, paths, two_apart, three_apart)]
    return torch.tensor([float(number) for number in numbers], dtype=torch.float64)


def _limit(stack: FactorStack) -> Tensor:
    """Sum of cubed eigenvalues over that of squares to the power 3/2, the trace taken out, (L,)."""
    n, traces = stack.n, stack.traces()
    cubes = torch.stack([torch.linalg.matrix_power(own, 3).trace() for own in stack.inner()])
    squares = stack.norms().square()
    level = traces / (n - 1)
    cubes = cubes - 3 * level * squares + 3 * level**2 * traces - level**3 * (n - 1)
    return cubes / (squares - traces * level).clamp_min(torch.finfo(torch.float64).tiny) ** 1.5
