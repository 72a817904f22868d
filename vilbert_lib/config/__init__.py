"""Everything that a run depends on, as frozen dataclasses; named architectures and profiles.

A run's name is the hash of its configuration: equal configurations are the same run, wherever
the data lies and whoever started it.
"""

from vilbert_lib.config.architectures import (
    ARCHITECTURES,
    BASELINES,
    architecture_of,
    arrange,
    check_arranged,
    placement,
)
from vilbert_lib.config.fields import choose, from_dict, to_dict
from vilbert_lib.config.model import Interpolation, ModelConfig, Residual
from vilbert_lib.config.profiles import PARTS, PROFILES, SETTINGS, Profile, profile, with_settings
from vilbert_lib.config.run import TASK_METRICS, AlignmentConfig, OnError, RunConfig, TaskKind
from vilbert_lib.config.training import TrainConfig

__all__ = [
    "ARCHITECTURES",
    "BASELINES",
    "PARTS",
    "PROFILES",
    "SETTINGS",
    "TASK_METRICS",
    "AlignmentConfig",
    "Interpolation",
    "ModelConfig",
    "OnError",
    "Profile",
    "Residual",
    "RunConfig",
    "TaskKind",
    "TrainConfig",
    "architecture_of",
    "arrange",
    "check_arranged",
    "choose",
    "from_dict",
    "placement",
    "profile",
    "to_dict",
    "with_settings",
]
