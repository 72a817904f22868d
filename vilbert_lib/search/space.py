"""What a trial may choose: where the streams meet, how the model is trained, or both."""

from typing import Any, Literal, get_args

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from vilbert_lib.config import Profile, architecture_of
from vilbert_lib.config.model import Fusion
from vilbert_lib.search.layers import STEP, centers, counts, layer_ids, spreads

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
