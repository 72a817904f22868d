"""Representational similarity analysis."""

import torch
from scipy.stats import rankdata
from torch import Tensor

from vilbert_lib.metrics.layers import Layers


def rsa(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """Spearman correlation of the two correlation-distance matrices' upper triangles.

    Kriegeskorte et al. 2008. The distance of two samples is 1 minus the correlation of their
    features, taken as they come. Each matrix is ranked once, ties averaged; a matrix whose entries
    are all equal has no order and gives 0.
    """
    upper = torch.triu_indices(layers.n, layers.n, offset=1, device=x.device)
    ranks = []
    for features in layers.raw.values():
        rows = features - features.mean(1, keepdim=True)
        rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
        # Equal distances differ by rounding: without this the ranks of ties would be noise.
        distances = (1 - (rows @ rows.T)[upper[0], upper[1]]).round(decimals=10)
        rank = torch.as_tensor(rankdata(distances.cpu().numpy()), device=x.device)
        rank = rank - rank.mean()
        ranks.append(rank / rank.norm().clamp_min(torch.finfo(torch.float64).tiny))
    ranks = torch.stack(ranks)
    return (ranks @ ranks.T)[x, y].clamp(-1, 1)
