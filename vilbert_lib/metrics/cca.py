"""Canonical correlations between the leading directions of two layers."""

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers


def svcca(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """Mean canonical correlation of the top q left singular vectors (Raghu et al. 2017).

    A layer whose rank is below q gives as many directions as it has; the mean is over the
    smaller of the two numbers. The singular vectors are exact: two randomized decompositions
    of one matrix span two subspaces, and identical inputs come out below 1.
    """
    n, q = layers.n, min(layers.q, layers.n - 1)
    bases = torch.zeros(len(layers.names), n, q, dtype=torch.float64, device=x.device)
    ranks = []
    for i, features in enumerate(layers.centred):
        # The same left singular vectors, by way of the smaller of the two matrices.
        if features.shape[1] < n:
            vectors, values, _ = torch.linalg.svd(features, full_matrices=False)
        else:
            values, vectors = (part.flip(-1) for part in torch.linalg.eigh(layers.grams[i]))
            values = values.clamp_min(0).sqrt()
        tolerance = values[0] * (torch.finfo(torch.float64).eps * max(features.shape)) ** 0.5
        rank = min(q, int((values > tolerance).sum()))
        bases[i, :, :rank] = vectors[:, :rank]
        ranks.append(rank)
    correlations = torch.linalg.svdvals(bases[x].mT @ bases[y]).clamp(0, 1)
    ranks = torch.tensor(ranks, device=x.device)
    return correlations.sum(1) / torch.minimum(ranks[x], ranks[y])
