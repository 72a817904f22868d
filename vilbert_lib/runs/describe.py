"""How a run is described: its configuration, with all that can be wrong found before it is trained."""

import dataclasses
from functools import cache
from pathlib import Path

import torch

from vilbert_lib import paths, synthetic, weights
from vilbert_lib.config import (
    ModelConfig,
    OnError,
    Profile,
    RunConfig,
    TrainConfig,
    arrange,
    check_arranged,
    choose,
)
from vilbert_lib.data import formats
from vilbert_lib.metrics import alignment_grid
from vilbert_lib.model import pretrained
from vilbert_lib.runs.inputs import data_name, tokenizer_of
from vilbert_lib.runs.store import start_of
from vilbert_lib.training.samples import evaluated_samples


def configure(
    profile: Profile,
    data_root: Path,
    task: str,
    architecture: str,
    seed: int = 0,
    *,
    objectives: tuple[str, ...] = (),
    start_from: str = "",
    on_error: OnError | None = None,
    train: dict | None = None,
    model: dict | None = None,
) -> RunConfig:
    """The configuration of one run at the scale of ``profile`` on the data of ``data_root``.

    ``objectives`` makes it a pretraining run; ``train`` and ``model`` override fields of the
    profile's :class:`TrainConfig` and :class:`ModelConfig`. A profile that selects by accuracy, which a constant
    prediction can win on imbalanced data, does so on synthetic data only: elsewhere ``select`` is the default of
    :class:`TrainConfig` unless ``train`` names one. A broken sample ends the run with an error, unless
    ``on_error``, by default the profile's, is ``skip``. Everything that can be wrong with a configuration is an
    error here, before anything
    is trained.
    """
    source = formats.task(task, data_root)
    kind = source.kind
    if objectives and kind != "captions":
        raise ValueError(f"pretraining objectives {list(objectives)} need captions; task {task!r} is {kind}")
    if not objectives and kind == "captions":
        raise ValueError(f"task {task!r} has no labels to fine-tune on: name objectives to pretrain on it")
    on_error = on_error or profile.on_error
    for name in profile.of_task:
        choose("task in the settings", name, [*formats.names_in(data_root), *formats.TASKS])
    of_task = profile.of_task.get(task, {})
    model = {**of_task.get("model", {}), **(model or {})}
    settings = _model(profile.model, architecture, model)
    words = tokenizer_of(settings.text_weights, data_root, on_error)
    if settings.vocab_size != words.vocab_size and "vocab_size" in model:
        raise ValueError(f"vocab_size {settings.vocab_size}: the tokenizer has {words.vocab_size}; leave it out")
    settings = dataclasses.replace(settings, vocab_size=words.vocab_size)
    training = profile.pretrain if objectives else profile.finetune
    changes = {**of_task.get("train", {}), **(train or {})}
    if objectives:
        if (select := changes.pop("select", "loss")) != "loss":
            raise ValueError(f"train.select {select!r}: pretraining selects by validation loss; leave it out")
        changes["select"] = "accuracy"  # not used, and left out of the plain values
    elif training.select == "accuracy" and synthetic.drawn_with(data_root, task) is None:
        changes.setdefault("select", TrainConfig.select)
    config = RunConfig(
        task=task,
        architecture=architecture,
        seed=seed,
        data=data_name(source, words, data_root),
        objectives=tuple(objectives),
        start_from=start_from,
        on_error=on_error,
        model=settings,
        train=dataclasses.replace(training, **changes),
    )
    widths = [width for width, _ in pretrained.stream_sizes(config.model)]
    _try_measures(profile.alignment.measures, profile.alignment.k, *widths)
    _refuse_what_fails_late(config, source, data_root)
    return config


def _refuse_what_fails_late(config: RunConfig, source: formats.Task, data_root: Path) -> None:
    """Raise a ValueError for what one part of the configuration, or the data, makes of another."""
    (t_width, t_layers), (v_width, v_layers) = pretrained.stream_sizes(config.model)
    if config.train.contrastive_weight and config.model.pooler == "none" and t_width != v_width:
        raise ValueError(f"contrastive_weight needs pooled states of one width: {t_width} and {v_width}")
    train = config.train
    if train.select == "auroc":
        _refuse_undefined_auroc(config, source, data_root)
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
    if train.alignment_layers and max(train.alignment_layers) >= (layers := max(t_layers, v_layers)):
        raise ValueError(f"alignment_layers {list(train.alignment_layers)}: the streams have {layers} layers")
    if config.start_from and (paths.runs() / config.start_from / "summary.json").is_file():
        start_of(config)  # one that is still to be trained is asked for when this one is trained


def _refuse_undefined_auroc(config: RunConfig, source: formats.Task, data_root: Path) -> None:
    if source.kind != "binary":
        raise ValueError(
            f"train.select 'auroc' needs a binary task: {config.task} is {source.kind}; choose macro_f1, accuracy"
            " or loss"
        )
    records = source.splits(data_root, config.on_error)["val"]
    labels = [records[i].label for i in evaluated_samples(len(records), config.train.n_eval)]
    if len(set(labels)) == 1:
        raise ValueError(
            f"train.select 'auroc': all {len(labels)} validation samples of {config.task} that are evaluated have"
            f" label {labels[0]}; choose another select, or evaluate samples of both classes (n_eval)"
        )


@cache
def _try_measures(measures: tuple[str, ...], k: int, t_width: int, v_width: int) -> None:
    """Measure noise: a measure that is unknown, or cannot be taken between layers of these widths, is an error."""
    noise = torch.randn(max(k + 1, 4), t_width + v_width, generator=torch.Generator().manual_seed(0))
    alignment_grid({"t0": noise[:, :t_width], "v0": noise[:, t_width:]}, measures, k=k)


def _model(base: ModelConfig, architecture: str, changes: dict) -> ModelConfig:
    settings = dataclasses.replace(arrange(base, architecture), **changes)
    check_arranged(settings, architecture)
    settings = dataclasses.replace(
        settings,
        text_weights=weights.identify(settings.text_weights),
        vision_weights=weights.identify(settings.vision_weights),
    )
    return pretrained.described(settings, keep=tuple(changes))
