"""Exact alignment of layers whose samples come in batches, as in a training or validation loop."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import pandas as pd
import torch
from torch import Tensor
from torchmetrics import Metric

from vilbert_lib.metrics.layers import Settings

# Shape legend: L layers, D the sum of their widths, n samples so far.


class StreamingAlignment(Metric):
    """Alignment of layers from batches: exact over all samples seen, not a mean of batch values.

    It keeps sums of products of features, (D, D) in float64, and no samples. All sums are taken about the means of
    the first batch, so that features far from 0 lose no digits. ``reset``, ``forward``, ``state_dict`` and the
    gathering of several processes are torchmetrics'.

    Parameters
    ----------
    measures : iterable of str
        Of ``cka``, ``unbiased_cka``, ``r2_ols``, ``procrustes``, ``svcca`` and ``cca``.
    pairs : iterable of (str, str), optional
        Names of the layers to compare, by default every unordered pair.
    settings
        ``q`` and ``variance``, as in :class:`vilbert_lib.metrics.layers.Settings`.

    Examples
    --------
    >>> x = torch.arange(12.0).reshape(6, 2) ** 2
    >>> metric = StreamingAlignment(["cka"])
    >>> for batch in (x[:4], x[4:]):
    ...     metric.update({"a": batch, "b": 2 * batch + 1})
    >>> float(metric.compute().value[0].round(6))
    1.0
    """

    full_state_update = False
    is_differentiable = False

    def __init__(
        self,
        measures: Iterable[str] = ("cka", "unbiased_cka"),
        pairs: Iterable[tuple[str, str]] | None = None,
        *,
        settings: Settings | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.measures = list(measures)
        for name in self.measures:
            if name not in _VALUES:
                raise ValueError(f"measure {name!r} cannot be streamed; those that can: {', '.join(_VALUES)}")
        self.pairs = None if pairs is None else list(pairs)
        self.settings = settings or Settings()
        self.names: list[str] = []
        self.widths: list[int] = []
        for state in _STATES:  # of each process by itself: about another pivot than the others'
            self.add_state(state, torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)
        self.set_dtype(torch.float64)

    def update(self, features: Mapping[str, Tensor]) -> None:
        """Add a batch: features (B, d) of every layer by name, the same layers in every batch.

        A ValueError names a layer that is missing, new, of another width or number of samples, or not finite.
        """
        self._check(features)
        rows = torch.cat([features[name].detach().to(self.device, torch.float64) for name in self.names], 1)
        if not self.count.numel():
            width, layers = rows.shape[1], len(self.names)
            self.count, self.pivot, self.sums = rows.new_zeros(1), rows.mean(0), rows.new_zeros(width)
            self.products = rows.new_zeros(width, width)
            self.weighted, self.squares = rows.new_zeros(layers, width), rows.new_zeros(layers, layers)
        rows = rows - self.pivot
        norms = torch.stack([part.square().sum(1) for part in rows.split(self.widths, 1)])  # (L, B)
        self.count = self.count + len(rows)
        self.sums = self.sums + rows.sum(0)
        self.products = self.products + rows.T @ rows
        self.weighted = self.weighted + norms @ rows
        self.squares = self.squares + norms @ norms.T

    def _check(self, features: Mapping[str, Tensor]) -> None:
        if not self.names:
            self.names, self.widths = list(features), [x.shape[1] for x in features.values()]
            known = {name for pair in self.pairs or () for name in pair}
            if unknown := known - set(self.names):
                raise ValueError(f"pairs names the layer {min(unknown)!r}; known: {', '.join(self.names)}")
        if set(features) != set(self.names):
            raise ValueError(
                f"the batch has the layers {', '.join(features)}, earlier ones {', '.join(self.names)}"
            )
        size = len(features[self.names[0]])
        for name, width in zip(self.names, self.widths, strict=True):
            x = features[name]
            if x.shape != (size, width):
                raise ValueError(f"{name} has shape {tuple(x.shape)}: ({size}, {width}) is needed")
            if not torch.isfinite(x).all():
                raise ValueError(f"{name} holds values that are not finite")

    def merge(self, other: "StreamingAlignment") -> None:
        """Add what another metric of the same layers has seen."""
        if (other.names, other.widths) != (self.names, self.widths):
            raise ValueError(f"layers differ: {', '.join(self.names)} here, {', '.join(other.names)} there")
        merged = _merged([_state_of(self), _state_of(other)], self.widths)
        for name, value in merged.items():
            setattr(self, name, value)

    def compute(self) -> pd.DataFrame:
        """Values of all samples so far: a row a pair and measure, ``x``, ``y``, ``measure`` and ``value``.

        A layer that is constant has NaN in all its pairs. Fewer than four samples are a ValueError.
        """
        state = _state_of(self)
        if state["count"].numel() > 1:  # gathered of several processes
            parts = [{name: value[i] for name, value in state.items()} for i in range(len(state["count"]))]
            state = _merged([part | {"count": part["count"].reshape(1)} for part in parts], self.widths)
        if not state["count"].numel() or state["count"] < 4:
            raise ValueError(f"{int(state['count'].sum())} samples so far: at least 4 are needed")
        moments = _Moments(_about(state, state["pivot"] + state["sums"] / state["count"], self.widths), self)
        rows = [
            (x, y, name, moments.value(name, self.names.index(x), self.names.index(y)))
            for name in self.measures
            for x, y in (self.pairs or combinations(self.names, 2))
        ]
        return pd.DataFrame(rows, columns=["x", "y", "measure", "value"])


_STATES = ("count", "pivot", "sums", "products", "weighted", "squares")


def _state_of(metric: StreamingAlignment) -> dict[str, Tensor]:
    state = {name: getattr(metric, name) for name in _STATES}
    return {name: torch.stack(value) if isinstance(value, list) else value for name, value in state.items()}


def _merged(states: list[dict[str, Tensor]], widths: list[int]) -> dict[str, Tensor]:
    states = [state for state in states if state["count"].numel()]
    pivot = states[0]["pivot"]
    moved = [_about(state, pivot, widths) for state in states]
    return {name: sum(state[name] for state in moved) for name in _STATES if name != "pivot"} | {"pivot": pivot}


def _about(state: dict[str, Tensor], pivot: Tensor, widths: list[int]) -> dict[str, Tensor]:
    """The sums about another ``pivot``: u = x - p becomes u + d, and |u|^2 becomes |u|^2 + 2 u.d + |d|^2."""
    n, shift = state["count"], state["pivot"] - pivot
    sums, products = state["sums"], state["products"]
    parts = shift.split(widths)
    square = torch.stack([part @ part for part in parts])  # |d|^2 of every layer, (L,)
    blocks = torch.block_diag(*(part[:, None] for part in parts))  # (D, L): a layer's d in its own rows
    norms = torch.stack([part.diagonal().sum() for part in _diagonal_blocks(products, widths)])  # sums of |u|^2
    linear = blocks.T @ sums  # sums of u.d
    weighted = state["weighted"] + 2 * blocks.T @ products + square[:, None] * sums
    weighted = weighted + (norms + 2 * linear + n * square)[:, None] * shift
    crossed = 2 * state["weighted"] @ blocks + square * norms[:, None] + 2 * square * linear[:, None]
    squares = state["squares"] + crossed + crossed.T
    squares = squares + 4 * blocks.T @ products @ blocks + n * square[:, None] * square
    return {
        "count": n,
        "pivot": pivot,
        "sums": sums + n * shift,
        "products": products + sums[:, None] * shift + shift[:, None] * sums + n * shift[:, None] * shift,
        "weighted": weighted,
        "squares": squares,
    }


def _diagonal_blocks(products: Tensor, widths: list[int]) -> list[Tensor]:
    ends = torch.tensor(widths).cumsum(0).tolist()
    return [products[end - width : end, end - width : end] for end, width in zip(ends, widths, strict=True)]


class _Moments:
    """Centred sums of products, and what the measures make of them."""

    def __init__(self, state: dict[str, Tensor], metric: StreamingAlignment):
        self.n, self.squares, self.settings = float(state["count"]), state["squares"], metric.settings
        ends = torch.tensor(metric.widths).cumsum(0).tolist()
        self.places = [slice(end - width, end) for end, width in zip(ends, metric.widths, strict=True)]
        self.products = state["products"]
        size = state["pivot"].square() * self.n  # what rounding is measured against
        self.dead = [float(self.own(i).trace()) <= 1e-13 * float(size[self.places[i]].sum()) for i in self.layers]

    @property
    def layers(self) -> range:
        return range(len(self.places))

    def own(self, i: int) -> Tensor:
        return self.products[self.places[i], self.places[i]]

    def cross(self, x: int, y: int) -> Tensor:
        return self.products[self.places[x], self.places[y]]

    def value(self, measure: str, x: int, y: int) -> float:
        return float("nan") if self.dead[x] or self.dead[y] else float(_VALUES[measure](self, x, y))

    def whitening(self, i: int) -> tuple[Tensor, Tensor]:
        """Directions V / s of layer i, from the largest singular value s on, and s^2."""
        values, vectors = torch.linalg.eigh(self.own(i))
        values, vectors = values.flip(0), vectors.flip(1)
        kept = values > values[0] * torch.finfo(torch.float64).eps * max(self.n, len(values))
        return vectors[:, kept] / values[kept].sqrt(), values[kept]


def _cka(moments: _Moments, x: int, y: int) -> Tensor:
    scale = (moments.own(x).square().sum() * moments.own(y).square().sum()).sqrt()
    return moments.cross(x, y).square().sum() / scale


def _unbiased_cka(moments: _Moments, x: int, y: int) -> Tensor:
    n = moments.n

    def hsic(a: int, b: int) -> Tensor:  # Song et al. 2012, eq. 5, of Gram matrices whose rows sum to zero
        traces = moments.own(a).trace() * moments.own(b).trace()
        return (
            moments.cross(a, b).square().sum() - n / (n - 2) * moments.squares[a, b] + traces / ((n - 1) * (n - 2))
        )

    return hsic(x, y) / (hsic(x, x) * hsic(y, y)).clamp_min(0).sqrt()


def _procrustes(moments: _Moments, x: int, y: int) -> Tensor:
    scale = (moments.own(x).trace() * moments.own(y).trace()).sqrt()
    return torch.linalg.svdvals(moments.cross(x, y)).sum() / scale


def _r2_ols(moments: _Moments, x: int, y: int) -> Tensor:
    directions, _ = moments.whitening(x)
    return (directions.T @ moments.cross(x, y)).square().sum() / moments.own(y).trace()


def _correlations(moments: _Moments, x: int, y: int, kept: list[int]) -> Tensor:
    (a, _), (b, _) = (moments.whitening(i) for i in (x, y))
    a, b = a[:, : kept[0]], b[:, : kept[1]]
    return torch.linalg.svdvals(a.T @ moments.cross(x, y) @ b).sum() / min(a.shape[1], b.shape[1])


def _svcca(moments: _Moments, x: int, y: int) -> Tensor:
    return _correlations(moments, x, y, [moments.settings.q] * 2)


def _cca(moments: _Moments, x: int, y: int) -> Tensor:
    kept = []
    for i in (x, y):
        values = moments.whitening(i)[1]
        shares = values.cumsum(0) / values.sum()
        kept.append(int((shares < moments.settings.variance - 1e-12).sum()) + 1)
    return _correlations(moments, x, y, kept)


_VALUES = {
    "cka": _cka,
    "unbiased_cka": _unbiased_cka,
    "r2_ols": _r2_ols,
    "procrustes": _procrustes,
    "svcca": _svcca,
    "cca": _cca,
}
