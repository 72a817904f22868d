"""Projection-weighted canonical correlation: a mean weighted by how much of a layer each variate accounts for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vilbert_lib.metrics.canonical import Directions, variance_directions
from vilbert_lib.metrics.covariances import Factored
from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.parallel import each

TIED = 1e-6  # canonical correlations that differ by less from the next are equal: rounding chooses their variates


@dataclass(frozen=True)
class Projections:
    """Leading directions of every layer, and its features in them, (r, d) each."""

    directions: Directions | Factored
    coordinates: list[Tensor]

    def permuted(self, order: Tensor) -> "Projections":
        """The same layers with their samples in another ``order`` (n,)."""
        return Projections(self.directions.permuted(order), self.coordinates)


def projections(layers: Layers) -> Projections:
    """The directions that hold the share ``variance`` of a layer's variance, and the features in them."""
    directions = variance_directions(layers)
    if isinstance(directions, Factored):
        features = Factored(layers, [None] * len(layers))
        return Projections(directions, [directions.between(features, i, i) for i in layers])
    return Projections(directions, [directions.bases[i].T @ layers.centred(i) for i in layers])


def pwcca(left: Projections, right: Projections, x: Tensor, y: Tensor) -> Tensor:
    """Projection-weighted CCA, in [0, 1], with the weights of the left layer (Morcos et al. 2018).

    The i-th canonical correlation weighs ``sum_j |<h_i, x_j>|``, with h_i the i-th canonical variate of the
    left layer, of norm 1, and x_j its centred features. Nothing is symmetrized. Equal correlations leave
    their variates free to rotate among themselves, and the sum depends on how: there the weight is its
    mean over all rotations.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import pwcca
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(pwcca(X, Y), 3), round(pwcca(Y, X), 3)
    (0.715, 0.714)
    """

    def value(pair: tuple[int, int]) -> Tensor:
        a, b = pair
        return _weighted_mean(left.directions.between(right.directions, a, b), left.coordinates[a])

    if isinstance(left.directions, Factored):
        left.directions.sum_with(right.directions)
    return torch.stack(each(value, zip(x.tolist(), y.tolist(), strict=True), x.device)).clamp(0, 1)


def _weighted_mean(product: Tensor, coordinates: Tensor) -> Tensor:
    """Weighted mean of the singular values of ``product`` (r, s), for features (r, d) in the left directions."""
    axes, found, _ = torch.linalg.svd(product)  # all r axes: those without a partner have correlation 0
    counted = len(found)
    values = torch.nn.functional.pad(found.clamp(0, 1), (0, len(product) - counted))
    group = torch.nn.functional.pad((values[:-1] - values[1:] > TIED).cumsum(0), (1, 0))
    sizes = torch.bincount(group).to(values)
    squares = values.new_zeros(len(sizes), coordinates.shape[1])
    squares.index_add_(0, group, (axes.T @ coordinates).square())
    # The mean length of one coordinate of a unit vector in g dimensions, 1 for g = 1.
    share = torch.exp(torch.lgamma(sizes / 2) - torch.lgamma((sizes + 1) / 2)) / torch.pi**0.5
    weights = (share * squares.sqrt().sum(1))[group[:counted]]
    return weights @ values[:counted] / weights.sum()
