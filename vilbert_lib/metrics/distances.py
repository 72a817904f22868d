"""Representational similarity analysis."""

import numpy as np
import torch
from torch import Tensor

from vilbert_lib.metrics import skewness
from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.parallel import each
from vilbert_lib.metrics.stacks import SymmetricStack, empty_triangles, upper_triangle


def distance_ranks(layers: Layers) -> SymmetricStack:
    """Ranks of the samples' correlation distances, with mean 0 and norm 1 above the diagonal.

    The distance of two samples is 1 minus the correlation of their features, taken as they come.
    A sample whose features are all equal has correlation 0 with every other.
    A layer whose distances are all equal has no order: its ranks are all 0.
    """
    n, m = layers.n, layers.n * (layers.n - 1) // 2
    upper = empty_triangles("distance matrices", layers, working=50)
    squares = torch.empty(len(layers), dtype=torch.float64, device=layers.device)

    def rank(i: int) -> None:
        ranks = _ranks(1 - upper_triangle(layers.cosines(i, correlations=True))) - (m - 1) / 2
        upper[i] = ranks / ranks.norm().clamp_min(torch.finfo(torch.float64).tiny)
        squares[i] = 2 * upper[i].double().square().sum()

    each(rank, layers, layers.device)
    return SymmetricStack(torch.zeros(len(layers), n, dtype=torch.float64, device=layers.device), squares, upper)


def _ranks(distances: Tensor) -> Tensor:
    """Ranks from 0 of distances in [0, 2], ties averaged.

    Equal distances differ by rounding, and without care the ranks of ties would be noise. Distances are
    therefore counted in whole steps, and each count is sorted together with its place as one
    integer, several times faster than sorting places by distances.
    """
    m = len(distances)
    place_bits = max(m - 1, 1).bit_length()
    steps = 2.0 ** min(40, 61 - place_bits)
    places = torch.arange(m, device=distances.device)
    keys = ((distances.clamp(0, 2) * steps).round().long() << place_bits) | places
    # numpy sorts integers several times faster than torch does on a CPU.
    keys = torch.from_numpy(np.sort(keys.numpy())) if keys.device.type == "cpu" else keys.sort().values
    order, counts = keys & ((1 << place_bits) - 1), keys >> place_bits
    ranks = places.double()
    if bool((counts[1:] == counts[:-1]).any()):
        _, group, sizes = counts.unique_consecutive(return_inverse=True, return_counts=True)
        last = sizes.cumsum(0).double() - 1
        ranks = (last - (sizes - 1) / 2)[group]
    return torch.empty_like(ranks).scatter_(0, order, ranks)


def rsa(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> Tensor:
    """Spearman correlation of the correlation-distance matrices' upper triangles, in [-1, 1].

    Kriegeskorte et al. 2008. Ties are averaged; a layer whose distances are all equal gives 0.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import rsa
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(rsa(X, Y), 3)
    0.247
    """
    return (left.off_diagonal(right) / 2)[x, y].clamp(-1, 1)


def rsa_moments(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean 0 and standard deviation over permutations of one side (Mantel 1967)."""
    deviation = _deviation(left, right)[x, y]
    return torch.zeros_like(deviation), deviation


def rsa_skewness(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness over permutations of one side (:func:`vilbert_lib.metrics.skewness.of_hollow`)."""
    return skewness.of_hollow(left, right, 2 * _deviation(left, right))[x, y]


def _deviation(left: SymmetricStack, right: SymmetricStack) -> Tensor:
    n, m = left.n, left.n * (left.n - 1) // 2
    patterns = []
    for stack in (left, right):
        rows = stack.of_each(_row_sums)  # without the diagonal, (L, n)
        square = stack.squares / 2  # 1, or 0 for a layer without order
        adjacent = rows.square().sum(1) - 2 * square  # ordered pairs of entries that share one sample
        patterns.append((square, adjacent))
    (a, a_adjacent), (b, b_adjacent) = ((p[0][:, None], p[1][:, None]) for p in patterns)
    b, b_adjacent = b.T, b_adjacent.T
    # The entries of either side sum to zero: what is left for pairs without a common sample.
    a_apart, b_apart = -a - a_adjacent, -b - b_adjacent
    shared, apart = float(n * (n - 1) * (n - 2)), m * (n - 2) * (n - 3) / 2  # int64 would overflow
    variance = a * b / m + a_adjacent * b_adjacent / shared + a_apart * b_apart / apart
    return variance.clamp_min(0).sqrt()


def _row_sums(matrix: Tensor) -> Tensor:
    return matrix.sum(1)


def distance_grams(layers: Layers) -> SymmetricStack:
    """Doubly centred matrices of the Euclidean distances between samples: with ``cka`` distance correlation."""

    def centred_distances(i: int) -> Tensor:
        x = layers.raw(i)
        distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
        rows = distances.mean(1)
        return distances.sub_(rows[:, None]).sub_(rows).add_(rows.mean())

    return SymmetricStack.of(layers, centred_distances)
