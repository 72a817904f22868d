"""Measures of shared nearest neighbours."""

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers


def mknn(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """Mutual k nearest neighbours: mean share of common ones (Huh et al. 2024, eq. 2)."""
    members = torch.zeros(len(layers.names), layers.n, layers.n, dtype=torch.float32, device=x.device)
    members.scatter_(2, layers.neighbours, 1.0)
    flat = members.flatten(1)
    overlap = torch.round((flat @ flat.T).double())  # counts: whole numbers
    return overlap[x, y] / (layers.n * layers.k)
