"""Checked features of many layers, and what several measures need of one layer."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

# Shape legend: L layers, n samples, d features (may differ between layers), k neighbours.

SPREAD = 1e-30  # rows that differ by less beside the largest entry are equal: powers of it would be 0
CACHED_BYTES = 2**28  # Gram matrices are kept as long as all of them together take less than this


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a measure may be told.

    ``k``: neighbours; ``q``: directions of SVCCA; ``variance``: the share that CCA keeps;
    ``threshold``: bandwidth of the RBF kernel in units of the root of the median squared
    distance; ``penalty`` of the ridge regression, by default .1 tr(K)/n.
    """

    k: int = 10
    q: int = 10
    variance: float = 0.99
    threshold: float = 1.0
    penalty: float | None = None

    def __post_init__(self):
        for name in ("k", "q"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number from 1 on")
        if not 0 < self.variance <= 1:
            raise ValueError(f"variance={self.variance!r} must lie in (0, 1]")
        if not 0 < self.threshold < float("inf"):
            raise ValueError(f"threshold={self.threshold!r} must be positive")
        if self.penalty is not None and not 0 < self.penalty < float("inf"):
            raise ValueError(f"penalty={self.penalty!r} must be positive")


def checked(name: str, features) -> Tensor:
    """``features`` (n, d), or (n, tokens, d), as a float tensor; a ValueError names what cannot be measured."""
    x = features.detach() if isinstance(features, Tensor) else _as_tensor(name, features)
    if x.ndim not in (2, 3):
        raise ValueError(f"{name} has {x.ndim} dimension(s), shape {tuple(x.shape)}: (n, d) is needed")
    if x.shape[0] < 4:
        raise ValueError(f"{name} has n={x.shape[0]} samples: at least 4 are needed")
    if 0 in x.shape:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: at least 1 feature is needed")
    if x.is_complex():
        raise ValueError(f"{name} holds complex numbers ({x.dtype}): real ones are needed")
    if x.dtype not in (torch.float32, torch.float64):
        x = x.to(torch.float32 if x.is_floating_point() else torch.float64)
    finite = torch.isfinite(x)
    if not finite.all():
        place = torch.nonzero(~finite)[0].tolist()
        axes = ("row", "column") if x.ndim == 2 else ("row", "token", "column")
        where = ", ".join(f"{axis} {i}" for axis, i in zip(axes, place, strict=True))
        raise ValueError(f"{name} holds {x[tuple(place)].item()} at {where}")
    if bool((x - x[:1]).abs_().amax() <= SPREAD * x.abs().amax()):
        raise ValueError(f"{name} is constant: all {x.shape[0]} rows are equal")
    return x


def _as_tensor(name: str, features) -> Tensor:
    try:
        array = np.ascontiguousarray(features)
        return torch.as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from error


def unit(rows: Tensor) -> Tensor:
    """``rows`` (..., d) divided by their norms; a row of zeros stays one."""
    tiny = torch.finfo(rows.dtype).tiny
    # Squares of a row that is small beside others would leave the range of a float.
    rows = rows / rows.abs().amax(-1, keepdim=True).clamp_min(tiny)
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(tiny)


def _device(name: str | torch.device) -> torch.device:
    try:
        device = torch.device(name)
        torch.ones(1, dtype=torch.float64, device=device).item()  # not every device has float64
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ValueError(f"device={str(name)!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device


class Layers:
    """Features of L layers on the same n samples.

    What belongs to one layer is computed in float64. ``dtype`` is that of what is kept for all
    layers at once: float32 where all features came in float32, else float64.
    """

    def __init__(
        self,
        features: Mapping[str, object],
        settings: Settings | None = None,
        *,
        masks: Mapping[str, object] | None = None,
        device: str | torch.device | None = None,
    ):
        if not features:
            raise ValueError("features is empty: at least one layer is needed")
        self.settings = settings or Settings()
        self._features = [checked(name, x) for name, x in features.items()]
        self.names = list(features)
        for (name, x), (other, y) in pairwise(zip(self.names, self._features, strict=True)):
            if len(x) != len(y):
                raise ValueError(f"{name} has n={len(x)} samples but {other} has n={len(y)}")
        self.n = len(self._features[0])
        self.device = _device(self._features[0].device if device is None else device)
        self.dtype = torch.float32 if all(x.dtype == torch.float32 for x in self._features) else torch.float64
        self._masks = self._checked_masks(masks or {})
        self._grams: dict[int, Tensor] = {}

    def some(self, indices: Sequence[int]) -> "Layers":
        """The layers ``indices``, in that order."""
        part = copy(self)
        part.names = [self.names[i] for i in indices]
        part._features = [self._features[i] for i in indices]
        part._grams = {new: self._grams[old] for new, old in enumerate(indices) if old in self._grams}
        return part

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.names)))

    def width(self, i: int) -> int:
        """Number of features of layer ``i``."""
        return self._features[i].shape[-1]

    def raw(self, i: int) -> Tensor:
        """Layer ``i`` as it came, (n, d), divided by its largest entry.

        No measure here depends on the unit, and squares of very large or small numbers would
        leave the range of a float.
        """
        x = self._features[i]
        if x.ndim != 2:
            raise ValueError(f"{self.names[i]} has 3 dimensions, shape {tuple(x.shape)}: (n, d) is needed")
        return self._scaled(x)

    def tokens(self, i: int) -> tuple[Tensor, Tensor]:
        """States (n, tokens, d) of layer ``i`` and which of them count, (n, tokens).

        Features (n, d) are one token a sample.
        """
        x = self._features[i]
        states = self._scaled(x if x.ndim == 3 else x[:, None])
        mask = self._masks.get(self.names[i])
        return states, torch.ones(states.shape[:2], dtype=torch.bool, device=self.device) if mask is None else mask

    def scale(self, i: int) -> float:
        """What :meth:`raw` divides layer ``i`` by."""
        return float(self._features[i].abs().max())

    def centred(self, i: int) -> Tensor:
        """Layer ``i`` with the mean over samples removed, (n, d)."""
        x = self.raw(i)
        return x - x.mean(0)

    def gram(self, i: int) -> Tensor:
        """Linear Gram matrix of the centred layer ``i``, (n, n)."""
        if i in self._grams:
            return self._grams[i]
        x = self.centred(i)
        gram = x @ x.T
        if 8 * len(self) * self.n**2 <= CACHED_BYTES:
            self._grams[i] = gram
        return gram

    def _scaled(self, x: Tensor) -> Tensor:
        x = x.to(self.device, torch.float64)
        return x / x.abs().max().double()

    def _checked_masks(self, masks: Mapping[str, object]) -> dict[str, Tensor]:
        valid = {}
        for name, mask in masks.items():
            if name not in self.names:
                raise ValueError(f"masks names the layer {name!r}; known: {', '.join(self.names)}")
            x = self._features[self.names.index(name)]
            mask = torch.as_tensor(mask).to(self.device, torch.bool)
            if x.ndim != 3 or mask.shape != x.shape[:2]:
                raise ValueError(f"mask of {name} has shape {tuple(mask.shape)}, its features {tuple(x.shape)}")
            if not mask.any(1).all():
                raise ValueError(f"mask of {name} leaves no token of row {int(torch.nonzero(~mask.any(1))[0])}")
            valid[name] = mask
        return valid
