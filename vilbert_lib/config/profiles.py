"""Profiles: the scales at which the whole study can be run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from vilbert_lib.config.fields import choose
from vilbert_lib.config.model import ModelConfig
from vilbert_lib.config.run import AlignmentConfig, OnError, RunConfig
from vilbert_lib.config.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A scale at which the whole study can be run."""

    name: str
    model: ModelConfig
    pretrain: TrainConfig
    finetune: TrainConfig
    alignment: AlignmentConfig
    synthetic_samples: int = 0  # training samples a task of the synthetic root; 0: real data only
    on_error: OnError = "raise"
    of_task: Mapping[str, Mapping[str, dict]] = field(default_factory=dict)  # {task: {"train": ..., "model": ...}}

    def trained(self, config: RunConfig) -> bool:
        """Whether a run was configured at this scale: each profile evaluates another number of samples."""
        own = self.pretrain if config.objectives else self.finetune
        return (config.train.n_eval, config.model.width) == (own.n_eval, self.model.width)


#: Names of all measures of :mod:`vilbert_lib.metrics`.
EVERY_MEASURE = (
    "cka", "cka_rbf", "unbiased_cka", "svcca", "cca", "mknn", "cknna", "cycle_knn", "lcs_knn", "edit_knn",
    "jaccard", "rank", "procrustes", "procrustes_distance", "rsa", "r2", "r2_ols", "cosine", "max_sim_tp",
    "max_sim_pt", "wasserstein",
)  # fmt: skip

# The archived runs on the synthetic roots of ``quick`` and ``small`` were selected by accuracy. A constant answer
# cannot win there: no class has more than two thirds of the samples, and the labels can be learned. On any other
# data ``runs.configure`` takes the default of ``select``.
PROFILES: dict[str, Profile] = {
    "quick": Profile(
        name="quick",
        model=ModelConfig(heads=2, coattention_heads=2, dropout=0.0),
        pretrain=TrainConfig(epochs=12, lr=5e-4, augment=True, n_eval=400),
        finetune=TrainConfig(epochs=8, lr=5e-4, select="accuracy"),
        alignment=AlignmentConfig(),
        synthetic_samples=1600,
    ),
    "small": Profile(
        name="small",
        model=ModelConfig(heads=2, coattention_heads=2, dropout=0.0),
        pretrain=TrainConfig(epochs=8, lr=5e-4, augment=True, n_eval=500),
        finetune=TrainConfig(epochs=8, lr=5e-4, n_eval=500, select="accuracy"),
        alignment=AlignmentConfig(measures=EVERY_MEASURE),
        synthetic_samples=2000,
    ),
    "base": Profile(
        name="base",
        model=ModelConfig(
            width=768,
            heads=12,
            image_size=224,
            patch_size=16,
            max_tokens=40,
            coattention_width=768,
            coattention_heads=12,
            pooled_width=768,
            text_weights="bert-base-uncased",
            vision_weights="vit_base_patch16_224",
        ),
        pretrain=TrainConfig(epochs=10, batch_size=64, accumulation=8, lr=1e-4, precision="bf16", augment=True),
        finetune=TrainConfig(epochs=9, batch_size=32, lr=3e-5, precision="bf16"),
        alignment=AlignmentConfig(measures=EVERY_MEASURE, n_samples=512),
    ),
}


def profile(name: str) -> Profile:
    """The profile called ``name``; a ValueError lists the known ones."""
    return choose("profile", name, PROFILES)


#: The parts of a profile whose fields can be set, with the field of :class:`Profile` that each changes.
PARTS = {"train": TrainConfig, "model": ModelConfig, "alignment": AlignmentConfig}
#: Settings by name, with the part that each belongs to. ``pooling`` is that of the measured features.
SETTINGS: dict[str, str] = {
    item.name: part for part in ("model", "train", "alignment") for item in fields(PARTS[part])
} | {"on_error": ""}
_DECIDED_ELSEWHERE = {"t_biattention_ids", "v_biattention_ids", "streams", "vocab_size"}


def with_settings(profile: Profile, settings: Mapping[str, object]) -> Profile:
    """``profile`` with single settings changed.

    Parameters
    ----------
    profile : Profile
        The scale that is changed.
    settings : mapping
        Fields of :class:`TrainConfig`, :class:`ModelConfig` and :class:`AlignmentConfig` by name, and
        ``on_error``; or mappings of such under ``train``, ``model`` and ``alignment``. Below ``train`` and
        ``model`` a name of a task holds what is meant for that task alone:
        ``{"train": {"mm_imdb": {"lr": 5.9e-5}}}``. What is not for one task is for fine-tuning and pretraining;
        a pretraining's task is ``conceptual_captions``.

    Raises
    ------
    ValueError
        For an unknown setting, with the known ones, and for a value that it cannot have.
    """
    settings = _with_numbers(settings)
    whole: dict[str, dict] = {part: {} for part in PARTS}
    of_task: dict[str, dict[str, dict]] = {}
    for name, value in settings.items():
        if name in PARTS:
            if not isinstance(value, Mapping):
                raise ValueError(f"{name} {value!r} must be a mapping of names to values")
            for inner, own in value.items():
                if isinstance(own, Mapping) and name != "alignment":
                    for field_name in own:
                        _check_setting(name, field_name)
                    of_task.setdefault(inner, {})[name] = dict(own)
                else:
                    _check_setting(name, inner)
                    whole[name][inner] = own
        else:
            choose("setting", name, SETTINGS)
            _check_setting(SETTINGS[name], name)
            if name != "on_error":
                whole[SETTINGS[name]][name] = value
    changed = replace(
        profile,
        model=replace(profile.model, **whole["model"]),
        pretrain=replace(profile.pretrain, **{n: v for n, v in whole["train"].items() if n != "select"}),
        finetune=replace(profile.finetune, **whole["train"]),
        alignment=replace(profile.alignment, **whole["alignment"]),
        on_error=settings.get("on_error", profile.on_error),
        of_task={**profile.of_task, **of_task},
    )
    for own in changed.of_task.values():  # a value that cannot be is an error now
        replace(changed.finetune, **own.get("train", {}))
        replace(changed.model, **own.get("model", {}))
    if changed.on_error not in ("raise", "skip"):
        raise ValueError(f"on_error {changed.on_error!r} must be raise or skip")
    return changed


def _with_numbers(values: Mapping) -> dict:
    """The same with text such as ``1e-4``, which YAML does not take for a number, as numbers."""
    read = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            read[name] = _with_numbers(value)
        else:
            is_number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+e[-+]?\d+", value, re.IGNORECASE)
            read[name] = float(value) if is_number else value
    return read


def _check_setting(part: str, name: str) -> None:
    if name in _DECIDED_ELSEWHERE:
        raise ValueError(f"{name} follows from the architecture and the data: it is no setting")
    if part:
        choose(f"setting of {part}", name, [item.name for item in fields(PARTS[part])])
