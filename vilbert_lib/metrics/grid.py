"""A whole grid of layers against layers, each layer's own work done once."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import pandas as pd
import torch

from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.registry import MEASURES


def alignment_grid(
    features: Mapping[str, object],
    measures: Iterable[str] = ("cka", "unbiased_cka", "mknn"),
    *,
    k: int = 10,
    q: int = 10,
    pairs: Iterable[tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Measure the alignment between layers.

    ``features`` maps the name of each layer to its (n, d) array or tensor; rows are the same
    samples in all, widths may differ. ``pairs`` names the layer pairs to measure; by default
    every unordered pair. Returns one row a pair and measure, with columns ``x``, ``y``,
    ``measure`` and ``value``.

    Raises ValueError for an unknown measure or layer, k outside 1..n-1 where a measure uses k,
    and features that no measure can take (:func:`vilbert_lib.metrics.layers.checked`).
    """
    measures = list(measures)
    for name in measures:
        if name not in MEASURES:
            raise ValueError(f"unknown measure {name!r}; known: {', '.join(MEASURES)}")
    if not measures:
        raise ValueError("measures is empty: nothing to measure")
    layers = Layers(features, k=k, q=q)
    pairs = list(combinations(layers.names, 2)) if pairs is None else list(pairs)
    if not pairs:
        raise ValueError("pairs is empty: nothing to measure")
    position = {name: i for i, name in enumerate(layers.names)}
    for name in {name for pair in pairs for name in pair} - set(position):
        raise ValueError(f"unknown layer {name!r}; known: {', '.join(layers.names)}")
    x = torch.tensor([position[a] for a, _ in pairs])
    y = torch.tensor([position[b] for _, b in pairs])
    frames = [
        pd.DataFrame(
            {
                "x": [a for a, _ in pairs],
                "y": [b for _, b in pairs],
                "measure": name,
                "value": MEASURES[name].pairs(layers, x, y).numpy(),
            }
        )
        for name in measures
    ]
    return pd.concat(frames, ignore_index=True)
