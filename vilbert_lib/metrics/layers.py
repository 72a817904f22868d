"""Checked features of many layers, and what every measure needs of one layer, computed once."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# Shape legend: L layers, n samples, d features (may differ between layers), k neighbours.


def checked(name: str, features) -> Tensor:
    """``features`` (n, d) as a float64 tensor; a ValueError names what a measure cannot take."""
    x = torch.as_tensor(features if isinstance(features, Tensor) else np.asarray(features))
    if x.ndim != 2:
        raise ValueError(f"{name} has {x.ndim} dimension(s), shape {tuple(x.shape)}: (n, d) is needed")
    if x.shape[0] < 4:
        raise ValueError(f"{name} has n={x.shape[0]} samples: at least 4 are needed")
    if x.shape[1] < 1:
        raise ValueError(f"{name} has d={x.shape[1]} features: at least 1 is needed")
    x = x.detach().to(torch.float64)
    if not torch.isfinite(x).all():
        row, column = torch.nonzero(~torch.isfinite(x))[0].tolist()
        raise ValueError(f"{name} holds {x[row, column].item()} at row {row}, column {column}")
    if bool((x == x[0]).all()):
        raise ValueError(f"{name} is constant: all {x.shape[0]} rows are equal")
    return x


class Layers:
    """Features of L layers on the same n samples, float64, with derived quantities on demand.

    Each layer is divided by its largest entry: no measure here depends on the unit, and squares of
    very large or small numbers would leave the range of a float.
    """

    def __init__(self, features: Mapping[str, object], k: int = 10, q: int = 10):
        if not features:
            raise ValueError("features is empty: at least one layer is needed")
        if q < 1:
            raise ValueError(f"q={q} must be at least 1")
        valid = {name: checked(name, x) for name, x in features.items()}
        self.raw = {name: x / x.abs().max() for name, x in valid.items()}
        self.names = list(self.raw)
        sizes = {name: len(x) for name, x in self.raw.items()}
        if len(set(sizes.values())) > 1:
            few, many = min(sizes, key=sizes.get), max(sizes, key=sizes.get)
            raise ValueError(f"{few} has n={sizes[few]} samples but {many} has n={sizes[many]}")
        self.n = next(iter(sizes.values()))
        self.k, self.q = k, q

    @cached_property
    def centred(self) -> list[Tensor]:
        """Features with the mean over samples removed, (n, d) each."""
        return [x - x.mean(0) for x in self.raw.values()]

    @cached_property
    def grams(self) -> Tensor:
        """Linear Gram matrices of the centred features, (L, n, n)."""
        return torch.stack([x @ x.T for x in self.centred])

    @cached_property
    def neighbours(self) -> Tensor:
        """Indices of the k most cosine-similar other samples, nearest first, (L, n, k).

        Cosines are those of the features as they come: neighbours are defined without centring.
        """
        if not 0 < self.k < self.n:
            raise ValueError(f"k={self.k} must lie in 1..n-1 = {self.n - 1}")
        nearest = []
        for x in self.raw.values():
            # A row of zeros has no direction: it is equally far from all.
            unit = x / x.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
            cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
            nearest.append(cosine.topk(self.k, dim=1).indices)
        return torch.stack(nearest)
