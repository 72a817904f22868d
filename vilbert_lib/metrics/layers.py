"""Checked features of many layers, and what several measures need of one layer."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vilbert_lib.metrics.parallel import each

# Shape legend: L layers, n samples, d features (may differ between layers), k neighbours.

SPREAD = 1e-30  # rows that differ by less beside the largest entry are equal: powers of it would be 0
CACHED_BYTES = 2**28  # Gram matrices are kept as long as all of them together take less than this
ROWS = 4096  # samples that are read at once, where that is enough
CLOSE = 0.1  # rows whose norms lie within this ratio lose at most two digits where products are made from others
MANY = 2048  # samples up to which matrices of n x n are used whatever the widths
DOMINANT = 0.5  # a sample or feature with a larger share of a layer's sum of squares is warned of


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


def available_bytes(device: torch.device) -> float:
    """Free memory of ``device``; infinite where the system does not tell."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def require_bytes(what: str, needed: float, device: torch.device) -> None:
    """Raise a MemoryError where ``needed`` bytes, for ``what``, do not fit into the memory of ``device``."""
    if needed > (free := available_bytes(device)):
        raise MemoryError(
            f"{what} need about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are available: measure fewer layers at"
            " once (pairs)"
        )


def require_memory(what: str, n: int, device: torch.device, *, per_entry: float = 8) -> None:
    """Raise a MemoryError where n x n entries of ``per_entry`` bytes, needed for ``what``, do not fit."""
    needed, free = per_entry * n**2, available_bytes(device)
    if needed > free:
        raise MemoryError(
            f"{what} of n={n} samples need about {needed / 1e9:.1f} GB (n x n matrices), {free / 1e9:.1f} GB are"
            f" available: measure a random subset of the samples (subsample={_that_fits(free, per_entry)}), or use"
            " svcca, cca or procrustes, which need no such matrix where a layer has fewer features than samples"
        )


def _that_fits(free: float, per_entry: float) -> int:
    """Samples, in round thousands where there are some, whose matrix takes at most half of the ``free`` bytes."""
    n = int((free / per_entry / 2) ** 0.5)
    return max(4, n // 1000 * 1000 if n > 1000 else n)


def named_layers(features) -> dict[str, object]:
    """Layers by name: those of a mapping; ``"0"``, ``"1"``, ... for a list or a stacked (n, layers, d) array.

    Raises ValueError for anything else, and for a stack with at least as many layers as samples,
    which is more likely (layers, n, d).
    """
    if isinstance(features, Mapping):
        return dict(features)
    if isinstance(features, (list, tuple)):
        for i, x in enumerate(features):
            if getattr(x, "ndim", None) not in (2, 3):
                found = f"of shape {tuple(x.shape)}" if hasattr(x, "shape") else f"a {type(x).__name__}"
                raise ValueError(f"item {i} of features is {found}: an array or tensor (n, d) a layer is needed")
        return {str(i): x for i, x in enumerate(features)}
    needed = "a mapping of names to (n, d) arrays, a list of them, or a stacked (n, layers, d) array is needed"
    shape = getattr(features, "shape", None)
    if shape is None:
        raise ValueError(f"features is a {type(features).__name__}: {needed}")
    if len(shape) != 3:
        raise ValueError(f"features has shape {tuple(shape)}: {needed}")
    if shape[1] >= shape[0]:
        raise ValueError(
            f"features has shape {tuple(shape)}: as (n, layers, d) these are {shape[1]} layers of {shape[0]}"
            " samples; if it is (layers, n, d), give features.swapaxes(0, 1) or list(features)"
        )
    return {str(i): features[:, i] for i in range(shape[1])}


def checked(name: str, features) -> Tensor:
    """``features`` (n, d), or (n, tokens, d), as a float tensor; a ValueError names what cannot be measured."""
    if isinstance(features, list) and any(map(np.ma.is_masked, features)):
        features = np.ma.stack(features)  # numpy.asarray would drop the masks of the rows
    if isinstance(features, np.ma.MaskedArray) and np.ma.is_masked(features):
        where = _in_words(np.argwhere(np.ma.getmaskarray(features))[0].tolist())
        raise ValueError(f"{name} has a masked entry at {where}: leave such rows out of all layers")
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
    low, high = x.amin(0), x.amax(0)  # one that is not a number makes both so
    largest = torch.maximum(high, -low).amax()
    if not torch.isfinite(largest):
        place = torch.nonzero(~torch.isfinite(x))[0].tolist()
        raise ValueError(f"{name} holds {x[tuple(place)].item()} at {_in_words(place)}")
    if bool(torch.maximum(high - x[0], x[0] - low).amax() <= SPREAD * largest):
        raise ValueError(f"{name} is constant: all {x.shape[0]} rows are equal")
    return x


def _in_words(place: list[int]) -> str:
    axes = ("row", "token", "column") if len(place) == 3 else ("row", "column")
    return ", ".join(f"{axis} {i}" for axis, i in zip(axes, place, strict=False))


def _as_tensor(name: str, features) -> Tensor:
    try:
        array = np.asarray(features)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        size, strides = array.itemsize, array.strides
        if not strides or strides[-1] != size or any(stride < 0 or stride % size for stride in strides):
            array = np.ascontiguousarray(array)  # a layer of a stack keeps its place: the file may be mapped
        with warnings.catch_warnings():  # files are mapped read-only; nothing here writes into features
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.as_tensor(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers: {error}") from error


def _row_ids(features: Mapping[str, object], ids, sizes: Mapping[str, int]) -> dict[str, pd.Index]:
    """Sample ids of the layers that have some: from ``ids``, for one layer each or for all, else a DataFrame's."""
    found = {name: x.index for name, x in features.items() if isinstance(x, pd.DataFrame)}
    if isinstance(ids, Mapping):
        for name in ids:
            if name not in features:
                raise ValueError(f"ids names the layer {name!r}; known: {', '.join(features)}")
        found |= {name: _index(name, of_layer) for name, of_layer in ids.items()}
    elif ids is not None:
        found = dict.fromkeys(features, _index("all layers", ids)) | found
    for name, index in found.items():
        if len(index) != sizes[name]:
            raise ValueError(f"ids of {name} has {len(index)} entries: it has n={sizes[name]} samples")
    return found


def _index(name: str, ids) -> pd.Index:
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"ids of {name} has shape {ids.shape}: one id a sample is needed, (n,)")
    return pd.Index(ids)


def check_order(ids: Mapping[str, pd.Index]) -> None:
    """Raise a ValueError that names the first row whose ids differ between two layers."""
    for (name, index), (other, of_other) in pairwise(ids.items()):
        if index.equals(of_other):
            continue
        for row, (a, b) in enumerate(zip(index.tolist(), of_other.tolist(), strict=False)):
            if a != b:
                raise ValueError(
                    f"row {row} is {a!r} in {name} but {b!r} in {other}: rows must be the same samples in the same"
                    " order; align=True (--align) matches them by id, arrays without ids are compared by position"
                )


def _common_rows(names: Sequence[str], ids: Mapping[str, pd.Index]) -> list[Tensor] | None:
    """Rows of every layer with the ids that all have, in the order of the first; None where all are equal."""
    for name in names:
        if name not in ids:
            raise ValueError(f"align=True: {name} has no ids; give ids={{{name!r}: ...}} or a DataFrame")
    first, *others = (ids[name] for name in names)
    if all(first.equals(index) for index in others):
        return None
    for name in names:
        if ids[name].has_duplicates:
            twice = ids[name][ids[name].duplicated()].tolist()[0]
            raise ValueError(f"align=True: the id {twice!r} comes twice in {name}: it must be unique")
    common = first[np.logical_and.reduce([first.isin(index) for index in others])]
    if common.empty:
        raise ValueError(f"align=True: no id is in all layers; {names[0]} starts with {first.tolist()[0]!r}")
    left_out = [f"{len(ids[name]) - len(common)} of {name}" for name in names if len(ids[name]) > len(common)]
    if left_out:
        warnings.warn(f"{len(common)} samples are in all layers; left out: {', '.join(left_out)}", stacklevel=4)
    return [torch.from_numpy(ids[name].get_indexer(common)) for name in names]


def _drawn(n: int, subsample: int, seed: int) -> np.ndarray:
    """Which of ``n`` rows a random subset holds, in their order."""
    if not isinstance(subsample, (int, np.integer)) or not 4 <= subsample <= n:
        raise ValueError(f"subsample={subsample!r} must be a whole number of samples between 4 and n={n}")
    return np.sort(np.random.default_rng(seed).choice(n, subsample, replace=False))


def products_of_rows(rows: Tensor) -> Tensor:
    """``rows @ rows.T`` (n, n), of which numpy computes half."""
    if rows.device.type != "cpu":
        return rows @ rows.T
    array = rows.numpy()
    return torch.from_numpy(array @ array.T)


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


class InfluenceWarning(UserWarning):
    """One sample or one feature holds most of a layer's variance."""


class Layers:
    """Features of L layers on the same n samples.

    What belongs to one layer is computed in float64. ``dtype`` is that of what is kept for all
    layers at once: float32 where all features came in float32, else float64.

    Rows are matched by position. Where layers have ids (``ids``, or the index of a DataFrame), these
    must agree row by row, or are matched with ``align``. With ``subsample`` so many rows are drawn of all layers
    (``seed``), and kept in their order. :func:`named_layers` says what ``features`` may be.
    """

    def __init__(
        self,
        features,
        settings: Settings | None = None,
        *,
        masks: Mapping[str, object] | None = None,
        device: str | torch.device | None = None,
        ids=None,
        align: bool = False,
        subsample: int | None = None,
        seed: int = 0,
    ):
        features = named_layers(features)
        if not features:
            raise ValueError("features is empty: at least one layer is needed")
        self.settings = settings or Settings()
        self._features = [checked(name, x) for name, x in features.items()]
        self.names = list(features)
        self.columns = {name: x.columns for name, x in features.items() if isinstance(x, pd.DataFrame)}
        known = _row_ids(features, ids, dict(zip(self.names, map(len, self._features), strict=True)))
        rows = _common_rows(self.names, known) if align else None
        if rows is not None:
            aligned = zip(self.names, self._features, rows, strict=True)
            self._features = [checked(name, x[row.to(x.device)]) for name, x, row in aligned]
            known = {self.names[0]: known[self.names[0]][rows[0].numpy()]}
            masks = {
                name: torch.as_tensor(mask)[rows[self.names.index(name)]] if name in self.names else mask
                for name, mask in (masks or {}).items()
            }
        check_order(known)
        self.ids = next(iter(known.values()), None)
        for (name, x), (other, y) in pairwise(zip(self.names, self._features, strict=True)):
            if len(x) != len(y):
                raise ValueError(f"{name} has n={len(x)} samples but {other} has n={len(y)}")
        self.n = len(self._features[0])
        self.device = _device(self._features[0].device if device is None else device)
        self.dtype = torch.float32 if all(x.dtype == torch.float32 for x in self._features) else torch.float64
        self._masks = self._checked_masks(masks or {})
        self.n_given, self.rows = self.n, None  # samples that came, and which of them are measured if not all
        if subsample is not None:
            self._keep(_drawn(self.n, subsample, seed))
        self._grams: dict[int, Tensor] = {}
        self._scales: dict[int, Tensor] = {}
        self.shared: dict[str, object] = {}  # what several measures need of all layers together

    def _keep(self, rows: np.ndarray) -> None:
        """Leave out all samples but those of ``rows``."""
        named = zip(self.names, self._features, strict=True)
        self._features = [checked(name, x[torch.from_numpy(rows).to(x.device)]) for name, x in named]
        self._masks = {name: mask[torch.from_numpy(rows).to(mask.device)] for name, mask in self._masks.items()}
        self.ids = None if self.ids is None else self.ids[rows]
        self.n, self.rows = len(rows), rows

    @property
    def is_narrow(self) -> bool:
        """Whether covariances of all features are cheaper than matrices of all samples."""
        flat = all(x.ndim == 2 for x in self._features)
        return flat and self.n > max(MANY, sum(self.width(i) for i in self))

    @property
    def at_once(self) -> int:
        """How many layers are prepared at the same time."""
        return min(len(self), torch.get_num_threads() if self.device.type == "cpu" else 1)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.names)))

    def width(self, i: int) -> int:
        """Number of features of layer ``i``."""
        return self._features[i].shape[-1]

    def as_given(self, i: int) -> Tensor:
        """Layer ``i`` in its own unit."""
        return self._features[i]

    def raw(self, i: int) -> Tensor:
        """Layer ``i`` as it came, (n, d), divided by its largest entry.

        No measure here depends on the unit, and squares of very large or small numbers would
        leave the range of a float.
        """
        x = self._features[i]
        if x.ndim != 2:
            raise ValueError(f"{self.names[i]} has 3 dimensions, shape {tuple(x.shape)}: (n, d) is needed")
        return x.to(self.device, torch.float64) / self.scale(i)

    def tokens(self, i: int) -> tuple[Tensor, Tensor]:
        """States (n, tokens, d) of layer ``i`` and which of them count, (n, tokens).

        Features (n, d) are one token a sample.
        """
        x = self._features[i]
        states = (x if x.ndim == 3 else x[:, None]).to(self.device, torch.float64) / self.scale(i)
        mask = self._masks.get(self.names[i])
        return states, torch.ones(states.shape[:2], dtype=torch.bool, device=self.device) if mask is None else mask

    def scale(self, i: int) -> Tensor:
        """What :meth:`raw` divides layer ``i`` by: its largest entry without the sign."""
        if i not in self._scales:
            low, high = self._features[i].aminmax()
            self._scales[i] = torch.maximum(high, -low).to(self.device, torch.float64)
        return self._scales[i]

    def centred(self, i: int) -> Tensor:
        """Layer ``i`` with the mean over samples removed, (n, d)."""
        x = self.raw(i)
        return x - x.mean(0)

    def means(self) -> list[Tensor]:
        """Mean over the samples of :meth:`raw` of every layer, (d,) each."""
        if "means" not in self.shared:
            means = [x.mean(0, dtype=torch.float64).to(self.device) for x in self._features]
            self.shared["means"] = [mean / self.scale(i) for i, mean in enumerate(means)]
        return self.shared["means"]

    def centred_rows(self, begin: int, end: int, order: Tensor | None = None) -> Tensor:
        """Rows ``begin`` to ``end`` of all centred layers side by side, (rows, D), of the samples in ``order``."""
        means, parts = self.means(), []
        for i, x in enumerate(self._features):
            rows = x[begin:end] if order is None else x[order[begin:end].to(x.device)]
            parts.append((rows.to(self.device, torch.float64) / self.scale(i)).sub_(means[i]))
        return torch.cat(parts, 1)

    def gram(self, i: int) -> Tensor:
        """Linear Gram matrix of the centred layer ``i``, (n, n)."""
        if i in self._grams:
            return self._grams[i]
        require_memory(f"the Gram matrix of {self.names[i]}", self.n, self.device)
        gram = products_of_rows(self.centred(i))
        if self.keeps_grams:
            self._grams[i] = gram
        return gram

    @property
    def keeps_grams(self) -> bool:
        """Whether the Gram matrices of all layers are kept."""
        return 8 * len(self) * self.n**2 <= CACHED_BYTES

    def cosines(self, i: int, *, correlations: bool = False) -> Tensor:
        """Cosines of the rows of layer ``i`` as they came, or correlations of their features, (n, n).

        They come from the Gram matrix where that is kept: it lacks the mean of the samples alone. Rows that are
        small beside others would lose digits, and are multiplied anew. A row of zeros, or of equal features for
        correlations, has no direction, and 0 with all.
        """
        raw = self.raw(i)
        if self.keeps_grams:
            mean, levels = raw.mean(0), raw.mean(1)
            gram = self.gram(i)
            to_mean = raw @ mean - mean @ mean / 2  # a row's part of what the mean adds to its products
            ones = torch.ones_like(to_mean)
            first, second = [to_mean, ones], [ones, to_mean]
            if correlations:
                first, second = [*first, -raw.shape[1] * levels], [*second, levels]
            products = torch.addmm(gram, torch.stack(first, 1), torch.stack(second))
            squares = products.diagonal()
            if squares.min() > CLOSE**2 * (gram.diagonal() + 2 * to_mean).max():
                roots = squares.rsqrt()
                return products.mul_(roots[:, None]).mul_(roots)
        rows = unit(raw)
        if correlations:
            rows = rows - rows.mean(1, keepdim=True)
            rows[rows.abs().amax(1) < 1e-13] = 0  # rounding must not give equal features a profile
            rows = unit(rows)
        return products_of_rows(rows)

    def influence(self, chosen: Iterable[int]) -> np.ndarray:
        """Largest shares of one sample and of one feature in each layer's centred sum of squares, (L, 2).

        NaN for layers that are not ``chosen``, and for token states. One warning names the layers with a
        share above ``DOMINANT``; layers of one or two features have such a feature by necessity.
        """
        chosen = [i for i in chosen if self._features[i].ndim == 2]
        shares, dominant = np.full((len(self), 2), np.nan), []
        for i, largest in zip(chosen, each(self._largest, chosen, self.device), strict=True):
            (row, of_sample), (column, of_feature) = largest
            shares[i] = of_sample, of_feature
            if of_sample > DOMINANT:
                known = "" if self.ids is None else f" {self.ids[[row]].tolist()[0]!r} in row"
                dominant.append(f"sample{known} {row} holds {of_sample:.1%} of the variance of {self.names[i]}")
            elif of_feature > DOMINANT and self.width(i) > 2:
                dominant.append(f"feature {column} holds {of_feature:.1%} of the variance of {self.names[i]}")
        if dominant:
            more = f", and {len(dominant) - 3} more" if len(dominant) > 3 else ""
            warnings.warn(
                f"{'; '.join(dominant[:3])}{more}: measures such as CKA mostly compare it; check it for an error,"
                " leave it out or standardize the features",
                InfluenceWarning,
                stacklevel=3,
            )
        return shares

    def _largest(self, i: int) -> list[tuple[int, float]]:
        """Place and share of the largest sample and of the largest feature of layer ``i``."""
        x, scale = self._features[i], self.scale(i)
        mean, of_rows, of_columns = x.mean(0, dtype=torch.float64).to(self.device) / scale, [], 0
        for part in x.split(ROWS):
            squares = (part.to(self.device, torch.float64) / scale).sub_(mean).square_()
            of_rows.append(squares.sum(1))
            of_columns = of_columns + squares.sum(0)
        sums = torch.cat(of_rows), of_columns
        return [(int(part.argmax()), float(part.max() / part.sum())) for part in sums]

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
