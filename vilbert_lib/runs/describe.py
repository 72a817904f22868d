"""How a run is described: its configuration, with all that can be wrong found before it is trained."""

import dataclasses
from functools import cache
from pathlib import Path

import torch

from vilbert_lib import paths, weights
from vilbert_lib.config import ModelConfig, OnError, Profile, RunConfig, arrange
from vilbert_lib.data import formats
from vilbert_lib.metrics import alignment_grid
from vilbert_lib.model import pretrained
from vilbert_lib.runs.inputs import data_name, tokenizer_of
from vilbert_lib.runs.store import start_of


def configure(
    profile: Profile,
    data_root: Path,
    task: str,
    architecture: str,
    seed: int = 0,
    *,
    objectives: tuple[str, ...] = (),
    start_from: str = "",
    on_error: OnError = "raise",
    train: dict | None = None,
    model: dict | None = None,
) -> RunConfig:
    """The configuration of one run at the scale of ``profile`` on the data of ``data_root``.

    ``objectives`` makes it a pretraining run; ``train`` and ``model`` override fields of the
    profile's :class:`TrainConfig` and :class:`ModelConfig`. A broken sample ends the run with an
    error, unless ``on_error`` is ``skip``. Everything that can be wrong with a configuration is an
    error here, before anything is trained.
    """
    source = formats.task(task, data_root)
    kind = source.kind
    if objectives and kind != "captions":
        raise ValueError(f"pretraining objectives {list(objectives)} need captions; task {task!r} is {kind}")
    if not objectives and kind == "captions":
        raise ValueError(f"task {task!r} has no labels to fine-tune on: name objectives to pretrain on it")
    settings = _model(profile.model, architecture, model or {})
    words = tokenizer_of(settings.text_weights, data_root, on_error)
    settings = dataclasses.replace(settings, vocab_size=words.vocab_size)
    training = profile.pretrain if objectives else profile.finetune
    config = RunConfig(
        task=task,
        architecture=architecture,
        seed=seed,
        data=data_name(source, words, data_root),
        objectives=tuple(objectives),
        start_from=start_from,
        on_error=on_error,
        model=settings,
        train=dataclasses.replace(training, **(train or {})),
        alignment=profile.alignment,
    )
    _refuse_what_fails_late(config, source, data_root)
    return config


def _refuse_what_fails_late(config: RunConfig, source: formats.Task, data_root: Path) -> None:
    """Raise a ValueError for what one part of the configuration, or the data, makes of another."""
    (t_width, t_layers), (v_width, v_layers) = pretrained.stream_sizes(config.model)
    _try_measures(config.alignment.measures, config.alignment.k, t_width, v_width)
    if config.train.contrastive_weight and config.model.pooler == "none" and t_width != v_width:
        raise ValueError(f"contrastive_weight needs pooled states of one width: {t_width} and {v_width}")
    train = config.train
    if train.n_train or train.alignment_weight:
        there = len(source.splits(data_root, config.on_error)["train"])
        if train.n_train > there:
            raise ValueError(f"n_train {train.n_train}: {config.task} has {there} training samples")
        last = (train.n_train or there) % train.batch_size
        if train.alignment_weight and 0 < last < (least := train.least_batch):
            raise ValueError(
                f"batch_size {train.batch_size} leaves {last} samples for the last batch of an epoch:"
                f" alignment_term {train.alignment_term!r} needs at least {least}"
            )
    if train.alignment_layers and max(train.alignment_layers) >= (layers := min(t_layers, v_layers)):
        raise ValueError(f"alignment_layers {list(train.alignment_layers)}: the streams have {layers} layers")
    if config.start_from and (paths.runs() / config.start_from / "summary.json").is_file():
        start_of(config)  # one that is still to be trained is asked for when this one is trained


@cache
def _try_measures(measures: tuple[str, ...], k: int, t_width: int, v_width: int) -> None:
    """Measure noise: a measure that is unknown, or cannot be taken between layers of these widths, is an error."""
    noise = torch.randn(max(k + 1, 4), t_width + v_width, generator=torch.Generator().manual_seed(0))
    alignment_grid({"t0": noise[:, :t_width], "v0": noise[:, t_width:]}, measures, k=k)


def _model(base: ModelConfig, architecture: str, changes: dict) -> ModelConfig:
    settings = dataclasses.replace(arrange(base, architecture), **changes)
    settings = dataclasses.replace(
        settings,
        text_weights=weights.identify(settings.text_weights),
        vision_weights=weights.identify(settings.vision_weights),
    )
    return pretrained.described(settings, keep=tuple(changes))
