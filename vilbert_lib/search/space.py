"""What a trial may choose: where the streams meet, how the model is trained, or both.

Where they meet is a count, a centre and a spread of each stream, which :func:`layer_ids` turns into layers.
"""

from functools import cache
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.optimize import isotonic_regression
from scipy.stats import truncnorm

from vilbert_lib.config import Profile, architecture_of
from vilbert_lib.config.model import Fusion

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


#: Parts of a space: the five parameters of a placement; learning rate, dropout, epochs and fusion.
Part = Literal["placement", "training"]


def ranges(parts: tuple[Part, ...], profile: Profile) -> dict[str, BaseDistribution]:
    """The values that each parameter may take at the scale of a profile, around those of the profile itself."""
    known = {"placement": _placement, "training": _training}
    return {name: values for part in parts for name, values in known[part](profile).items()}


def _placement(profile: Profile) -> dict[str, BaseDistribution]:
    layers = profile.model.num_layers
    center, spread = (
        FloatDistribution(values[0], values[-1], step=STEP) for values in (centers(layers), spreads(layers))
    )
    return {
        "num_coattn_layers": IntDistribution(counts(layers)[0], counts(layers)[-1]),
        "t_center": center,
        "t_spread": spread,
        "v_center": center,
        "v_spread": spread,
    }


def _training(profile: Profile) -> dict[str, BaseDistribution]:
    rate, epochs = profile.finetune.lr, profile.finetune.epochs
    return {
        "lr": FloatDistribution(rate / 4, rate * 4, log=True),
        "dropout": FloatDistribution(0.0, 0.5, step=0.1),
        "epochs": IntDistribution(max(1, epochs // 2), max(1, epochs * 3 // 2)),
        "fusion": CategoricalDistribution(get_args(Fusion)),
    }


def layers_of(parameters: dict[str, Any], num_layers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Text ids and vision ids that the parameters of a placement lead to."""
    count = parameters["num_coattn_layers"]
    t_ids, v_ids = (
        layer_ids(count, parameters[f"{s}_center"], parameters[f"{s}_spread"], num_layers) for s in "tv"
    )
    return t_ids, v_ids


def settings_of(parameters: dict[str, Any], profile: Profile, architecture: str) -> dict[str, Any]:
    """What a trial's parameters are to :func:`vilbert_lib.runs.configure`: ``architecture``, ``train``, ``model``.

    The ``architecture`` that is given stands where the space has no placement.
    """
    if "num_coattn_layers" in parameters:
        architecture = architecture_of(*layers_of(parameters, profile.model.num_layers))
    given = {name: round(value, 6) if name == "dropout" else value for name, value in parameters.items()}
    return {
        "architecture": architecture,
        "train": {name: given[name] for name in ("lr", "epochs") if name in given},
        "model": {name: given[name] for name in ("dropout", "fusion") if name in given},
    }
