"""Centred kernel alignment restricted to shared nearest neighbours."""

import torch
from torch import Tensor

from vilbert_lib.metrics.neighbours import Neighbours, _shared


def cknna(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Tensor:
    """CKNNA: unbiased HSIC of the cosine Gram matrices where both layers see a neighbour.

    Huh et al. 2024, appendix A. Divided by the root of the product of each side's own, which is
    restricted to that side's neighbours; 0 where one of those is not positive. With k = n-1 it is the
    unbiased CKA of the features divided by their norms. The masked matrices are not symmetric, and
    so the published estimator is not: exchanging the sides changes the fourth or fifth digit. Its
    three terms see different neighbours, and so nothing bounds it: with n of a few k it can leave [-1, 1].
    """
    mutual_left, mutual_right = _mutual(left), _mutual(right)
    values = torch.empty(len(x), dtype=torch.float64, device=left.indices.device)
    own_left, own_right = _own(left, mutual_left), _own(right, mutual_right)
    for pairs, ranks, layer in _shared(left, right, x, y):
        common, place = ranks > 0, (ranks - 1).clamp_min(0).long()
        indices = left.indices[x[pairs]]
        k_values = left.cosines[x[pairs]] * common
        l_values = right.cosines[layer].expand(len(pairs), -1, -1).gather(2, place) * common
        back = mutual_left[x[pairs]] & mutual_right[layer].expand(len(pairs), -1, -1).gather(2, place)
        values[pairs] = _hsic(indices, k_values, l_values, back)
    scale = own_left[x] * own_right[y]
    return torch.where((own_left[x] > 0) & (own_right[y] > 0), values / scale.clamp_min(0).sqrt(), 0.0)


def _mutual(neighbours: Neighbours) -> Tensor:
    """Whether a sample is in turn among the neighbours of its neighbour, (L, n, k)."""
    itself = torch.arange(neighbours.n, device=neighbours.indices.device)[:, None]
    return torch.stack(
        [
            neighbours.ranks(layer).flatten()[indices * neighbours.n + itself] > 0
            for layer, indices in enumerate(neighbours.indices)
        ]
    )


def _own(neighbours: Neighbours, mutual: Tensor) -> Tensor:
    return _hsic(neighbours.indices, neighbours.cosines, neighbours.cosines, mutual)


def _hsic(indices: Tensor, k_values: Tensor, l_values: Tensor, back: Tensor) -> Tensor:
    """n(n-3) times the unbiased HSIC (Song et al. 2012, eq. 5) of masked matrices K and L, (pairs,).

    Both have their entries (pairs, n, k) at the columns ``indices``, and 0 elsewhere; ``back`` says
    whether the mirrored entry stands as well.
    """
    n = indices.shape[1]
    mirrored = (k_values * l_values * back).sum((1, 2))
    columns = torch.zeros(indices.shape[:2], dtype=k_values.dtype, device=indices.device)
    columns.scatter_add_(1, indices.flatten(1), k_values.flatten(1))
    chained = (columns * l_values.sum(2)).sum(1)
    whole = k_values.sum((1, 2)) * l_values.sum((1, 2))
    return mirrored + whole / ((n - 1) * (n - 2)) - 2 * chained / (n - 2)
