"""Where the streams can meet: a count, a centre and a spread of one stream, turned into its layers."""

from functools import cache
from itertools import product

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import truncnorm

MOST = 6  # co-attention layers of a placement that is searched for
STEP = 0.5  # of centre and spread, in layers

#: Count, centre and spread that lead to some layers of a stream.
Setting = tuple[int, float, float]


@cache
def layer_ids(count: int, center: float, spread: float, num_layers: int) -> tuple[int, ...]:
    """``count`` distinct layers, in order, spread around ``center`` as a normal distribution is.

    The distribution has its mean at ``center`` and the standard deviation ``spread``, both in layers, and ends
    where the stream does. Its quantiles at equally likely shares are brought to the increasing whole
    numbers that are nearest to them in squared distance.
    """
    if not 1 <= count <= num_layers:
        raise ValueError(f"count {count} must lie in 1..{num_layers}, the layers of the stream")
    if not (spread > 0 and 0 <= center <= num_layers - 1):
        raise ValueError(f"center {center} must lie in 0..{num_layers - 1}, spread {spread} be positive")
    order = np.arange(count)
    ends = (np.array([-0.5, num_layers - 0.5]) - center) / spread
    wished = truncnorm.ppf((order + 0.5) / count, *ends, loc=center, scale=spread)
    # Increasing whole numbers are never-falling ones plus 0, 1, 2, ...; a half is rounded alike on all machines.
    shifts = np.floor(np.round(isotonic_regression(wished - order).x, 6) + 0.5)
    return tuple(int(i) for i in np.clip(shifts, 0, num_layers - count) + order)


def counts(num_layers: int) -> range:
    """How many co-attention layers a placement in streams of ``num_layers`` may have."""
    return range(1, min(MOST, num_layers) + 1)


def centers(num_layers: int) -> list[float]:
    """From the first layer to the last in steps of half a layer."""
    return [STEP * i for i in range(2 * num_layers - 1)]


def spreads(num_layers: int) -> list[float]:
    """From half a layer to a third of the stream in steps of half a layer."""
    return [STEP * i for i in range(1, max(1, int(num_layers / 3 / STEP)) + 1)]


@cache
def support(num_layers: int) -> dict[tuple[int, ...], list[Setting]]:
    """Every choice of layers of one stream that a setting leads to, with the settings that do."""
    found: dict[tuple[int, ...], list[Setting]] = {}
    for setting in product(counts(num_layers), centers(num_layers), spreads(num_layers)):
        found.setdefault(layer_ids(*setting, num_layers), []).append(setting)
    return found
