"""Measures of one's own, beside those of the project."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.registry import MEASURES, Measure


@dataclass(frozen=True)
class _Rows:
    """What ``prepare`` makes of every layer, in an order of the samples."""

    layers: Layers
    prepare: Callable
    order: Tensor | None = None
    found: dict[int, Any] = field(default_factory=dict)

    def permuted(self, order: Tensor) -> "_Rows":
        return _Rows(self.layers, self.prepare, order if self.order is None else self.order[order])

    def prepared(self, i: int) -> Any:
        if i not in self.found:
            features = self.layers.as_given(i)
            features = features if self.order is None else features[self.order.to(features.device)]
            self.found[i] = self.prepare(features.cpu().double().numpy())
        return self.found[i]


def measure(
    function: Callable | None = None,
    *,
    name: str = "",
    title: str = "",
    prepare: Callable | None = None,
    direction: str = "similarity",
    range: tuple[float, float] = (float("-inf"), float("inf")),
    identical: float | None = None,
    symmetric: bool = False,
    paired: bool = True,
    source: str = "",
) -> Callable:
    """Make a function, or an object with ``compare`` and perhaps ``prepare``, a measure like the others.

    Afterwards :func:`vilbert_lib.metrics.alignment_grid` knows it by its name, with permutation nulls and
    calibration, and ``vilbert_lib.metrics.MEASURES`` and an import by name have it. Defining it again replaces it.

    Parameters
    ----------
    function : callable or object
        ``function(x, y)`` gives the value of two arrays (n, d) and (n, e) of float64, or of what ``prepare`` made
        of them. As a decorator it may be left out, with or without the other parameters.
    name, title, source : str
        By default the name of the function, also as the title.
    prepare : callable, optional
        Work of one layer, (n, d) array in, anything out; done once a layer instead of once a pair.
    direction, range, identical, symmetric, paired
        As of :class:`vilbert_lib.metrics.Measure`. ``calibrated`` needs ``identical`` or a finite ``range``.

    Returns
    -------
    Measure
        Which can be called as ``measure(X, Y)``.

    Raises
    ------
    ValueError
        For a name that is no identifier or that a measure of the project has.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import alignment_grid, measure
    >>> @measure(prepare=lambda x: x - x.mean(0), range=(0, 1), symmetric=True)
    ... def rv(x, y):
    ...     xy, xx, yy = (np.square(a.T @ b).sum() for a, b in ((x, y), (x, x), (y, y)))
    ...     return xy / np.sqrt(xx * yy)
    >>> layers = np.random.default_rng(0).standard_normal((20, 2, 3))
    >>> table = alignment_grid(layers, ["rv", "cka"], null="permutation", permutations=20)
    >>> bool(np.isclose(table.value[0], table.value[1]))
    True
    """

    def register(function) -> Measure:
        compare = getattr(function, "compare", function)
        own_prepare = prepare or getattr(function, "prepare", None) or (lambda features: features)
        chosen = name or getattr(function, "__name__", type(function).__name__)
        if not chosen.isidentifier():
            raise ValueError(f"the name {chosen!r} is no identifier: give name='...'")
        if chosen in MEASURES and chosen not in _OWN:
            raise ValueError(f"the project has a measure {chosen!r}: give name='...'")

        def of_pairs(left: _Rows, right: _Rows, x: Tensor, y: Tensor) -> Tensor:
            pairs = zip(x.tolist(), y.tolist(), strict=True)
            values = [float(compare(left.prepared(i), right.prepared(j))) for i, j in pairs]
            return torch.tensor(values, dtype=torch.float64, device=x.device)

        MEASURES[chosen] = Measure(
            name=chosen,
            title=title or chosen,
            prepare=lambda layers: _Rows(layers, own_prepare),
            compare=of_pairs,
            direction=direction,
            range=range,
            identical=identical,
            symmetric=symmetric,
            paired=paired,
            invariances=(),
            source=source,
        )
        _OWN.add(chosen)
        return MEASURES[chosen]

    return register if function is None else register(function)


_OWN: set[str] = set()
