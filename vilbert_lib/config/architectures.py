"""Architectures that have names: where the streams meet, and the baselines beside them."""

import dataclasses

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


def arrange(model: ModelConfig, architecture: str) -> ModelConfig:
    """``model`` with co-attention where the named architecture has it, or as the named baseline."""
    if architecture in BASELINES:
        return dataclasses.replace(model, **BASELINES[architecture])
    known = choose("architecture", architecture, ARCHITECTURES | dict.fromkeys(BASELINES))
    return dataclasses.replace(model, t_biattention_ids=known[0], v_biattention_ids=known[1])
