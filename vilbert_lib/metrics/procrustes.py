"""Similarity up to rotation, translation and scale."""

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers


def procrustes(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """Procrustes similarity s = |Xc' Yc|_* / (|Xc| |Yc|), in [0, 1] (Williams et al. 2021, eq. 2).

    The Procrustes distance between the centred and scaled clouds is sqrt(2 - 2 s).
    """
    scaled = [_narrow(features / features.norm()) for features in layers.centred]
    values = [torch.linalg.svdvals(scaled[i].T @ scaled[j]).sum() for i, j in zip(x, y, strict=True)]
    return torch.stack(values).clamp(0, 1)


def _narrow(features: Tensor) -> Tensor:
    """Features with the same Gram matrix and at most n columns: wide ones cost no more."""
    n, d = features.shape
    return torch.linalg.qr(features.T, mode="r").R.T if d > n else features
