"""Architectures: where the streams meet, by name or spelled by its layers, and the baselines beside them."""

import dataclasses
import re

from vilbert_lib.config.fields import choose
from vilbert_lib.config.model import ModelConfig

#: Co-attention placements, as (text ids, vision ids) for streams of 12 layers.
ARCHITECTURES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "baseline": ((), ()),
    "early_fusion": ((3, 4, 5), (3, 4, 5)),
    "middle_fusion": ((6, 7, 8), (6, 7, 8)),
    "late_fusion": ((9, 10, 11), (9, 10, 11)),
    "asymmetric_fusion": ((6, 7, 8, 9), (3, 5, 7, 9)),
    "optuna1": ((3, 6), (6, 8)),
    "optuna2": ((7, 9, 10, 11), (6, 7, 9, 10)),
    "first_fusion": ((2, 3, 4), (2, 3, 4)),
    "centre_fusion": ((5, 6, 7), (5, 6, 7)),
    "spread_fusion": ((5, 6, 9), (5, 6, 9)),
    "vision_late_fusion": ((4, 8), (10, 11)),
    "second_half_fusion": ((6, 7, 8, 9, 10, 11), (6, 7, 8, 9, 10, 11)),
}

#: What the placements are compared with, as the fields of :class:`ModelConfig` in which they differ.
BASELINES: dict[str, dict] = {
    "text_only": {"streams": "text"},
    "image_only": {"streams": "image"},
    "single_stream": {"streams": "single"},
    "linear_probe": {"fusion": "concat", "pooler": "none", "frozen_layers": -1},
}


def architecture_of(t_ids: tuple[int, ...], v_ids: tuple[int, ...]) -> str:
    """What an architecture is called: by its name where it has one, else by its layers, as in ``t3.6-v6.9``."""
    ids = (tuple(t_ids), tuple(v_ids))
    named = [name for name, known in ARCHITECTURES.items() if known == ids]
    return named[0] if named else "-".join(s + ".".join(map(str, i)) for s, i in zip("tv", ids, strict=True))


def placement(architecture: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Text ids and vision ids of an architecture that is named or spelled; a baseline has none.

    A ValueError where there is no such name, and for a spelling that is not what :func:`architecture_of` gives:
    an architecture that went by two names would be trained twice.
    """
    if not (spelled := _SPELLED.fullmatch(architecture)):
        return choose("architecture", architecture, ARCHITECTURES | dict.fromkeys(BASELINES, ((), ())))
    t_ids, v_ids = (tuple(map(int, ids.split("."))) for ids in spelled.groups())
    if (name := architecture_of(t_ids, v_ids)) != architecture:
        raise ValueError(f"architecture {architecture!r} is called {name!r}")
    return t_ids, v_ids


_SPELLED = re.compile(r"t(\d+(?:\.\d+)*)-v(\d+(?:\.\d+)*)")


def arrange(model: ModelConfig, architecture: str) -> ModelConfig:
    """``model`` with co-attention where the architecture has it, or as the named baseline."""
    t_ids, v_ids = placement(architecture)
    baseline = BASELINES.get(architecture, {})
    return dataclasses.replace(model, t_biattention_ids=t_ids, v_biattention_ids=v_ids, **baseline)


def check_arranged(model: ModelConfig, architecture: str) -> None:
    """Raise a ValueError where ``model`` differs from what the name ``architecture`` stands for."""
    named = arrange(model, architecture)
    for item in dataclasses.fields(model):
        found, meant = getattr(model, item.name), getattr(named, item.name)
        if found != meant:
            spelled = architecture_of(model.t_biattention_ids, model.v_biattention_ids)
            fix = f"name it {spelled!r}" if "ids" in item.name else f"leave {item.name} out"
            raise ValueError(f"architecture {architecture!r} has {item.name} {meant!r}, not {found!r}: {fix}")
