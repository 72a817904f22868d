"""What goes into a run: the samples of its task, in words and pixels that its model knows."""

from pathlib import Path

import numpy as np
import torch

from vilbert_lib import paths, synthetic
from vilbert_lib.config import PROFILES, OnError, RunConfig
from vilbert_lib.data import formats, tokenizer
from vilbert_lib.data.augmentation import POLICIES
from vilbert_lib.data.datasets import FIXED_SEED, Batch, PairDataset, PretrainingDataset
from vilbert_lib.data.images import decode
from vilbert_lib.runs import pictures


def dataset(
    config: RunConfig, data_root: Path, split: str, *, analysis: bool = False, samples_of: Path | None = None
) -> PairDataset:
    """A split of the run's task; pretraining runs get corrupted pairs, unless for ``analysis``.

    Images are augmented in training alone, where the configuration says so.
    ``samples_of`` names another root to take the samples from: the words stay those of ``data_root``.
    """
    check_data(config, data_root)
    task = formats.task(config.task, data_root)
    reading = task.read(samples_of or data_root, config.on_error)
    records = reading.splits[split]
    if not records:
        raise ValueError(f"{config.task} {split}: no samples")
    if not config.objectives and (missing := [r.id for r in records if r.label is None]):
        raise ValueError(f"{config.task} {split}: {len(missing)} samples have no label, the first is {missing[0]}")
    words = tokenizer_of(config.model.text_weights, data_root, config.on_error)
    model = config.model
    arguments = (records, words, model.image_size, model.max_tokens, model.pixel_mean, model.pixel_std)
    classes = len(task.labels(task.folder(data_root))) if task.kind == "multilabel" else 0
    options = {"classes": classes, "on_error": config.on_error, "interpolation": model.interpolation}
    training = split == "train" and not analysis
    options["policy"] = POLICIES[task.kind] if training and config.train.augment else None
    if analysis or not config.objectives:
        pairs = PairDataset(*arguments, seed=config.seed, **options)
    else:
        # Validation is corrupted in one way, whatever the run's seed, so that runs can be compared.
        seed = config.seed if training else FIXED_SEED
        pairs = PretrainingDataset(
            *arguments, objectives=config.objectives, patch_size=model.patch_size, seed=seed, **options
        )
    pairs.problems += reading.problems.get(split, [])
    pictures.check_decoded(task, samples_of or data_root, split, pairs.images)
    check_data(config, data_root)  # once more: the files may have changed while they were read
    return pairs


def data_in(config: RunConfig, data_root: Path) -> str:
    """The name of the run's task as ``data_root`` holds it now; that of a run's own data is ``config.data``."""
    words = tokenizer_of(config.model.text_weights, data_root, config.on_error)
    return data_name(formats.task(config.task, data_root), words, data_root)


def check_data(config: RunConfig, data_root: Path) -> None:
    """Raise ValueError unless ``data_root`` holds the data that the run's configuration names."""
    if (found := data_in(config, data_root)) != config.data:
        raise ValueError(
            f"data root {data_root} does not hold the {config.task} of run {config.id}: its data are {found}, not"
            f" {config.data}; name the run's own data root, or configure a run for these data"
        )


def data_root_of(config: RunConfig, named: Path | str | None = None) -> Path:
    """The data root of a run: the one ``named``, or one of the project's own whose samples are the run's.

    The synthetic root of the run's profile is drawn where it is missing. Where ``named`` holds the run's task with
    other samples the run's own data are looked for. Raises FileNotFoundError where there are none.
    """
    if named and data_in(config, root := Path(named).expanduser().resolve()) == config.data:
        return root
    scales = [scale for scale in PROFILES.values() if scale.synthetic_samples and scale.trained(config)]
    for root in [*sorted(paths.datasets().glob("*/")), *map(synthetic.root_of, scales)]:
        if config.task in formats.names_in(root) and data_in(config, root) == config.data:
            return root
    raise FileNotFoundError(
        f"no data root below {paths.datasets()} is the one that the run {config.id} was trained on: name it"
    )


def data_name(task: formats.Task, words: tokenizer.Tokenizer, data_root: Path) -> str:
    """What a configuration calls its data: fingerprints of annotations and pictures, and the wordpieces."""
    return f"{_samples(task, data_root)}+{words.name}"


def samples_in(config: RunConfig, data_root: Path) -> str:
    """What identifies the samples of the run's task in ``data_root``, whatever their wordpieces."""
    return _samples(formats.task(config.task, data_root), data_root)


def _samples(task: formats.Task, data_root: Path) -> str:
    return f"{task.fingerprint(data_root)}-{pictures.fingerprint(task, data_root)}"


def pair(config: RunConfig, data_root: Path, image: Path, text: str) -> tuple[Batch, np.ndarray]:
    """One image and one text as a batch of the run's model, and the image's pixels (size, size, 3) uint8."""
    check_data(config, data_root)
    model = config.model
    ids, lengths = tokenizer_of(model.text_weights, data_root, config.on_error).encode([text], model.max_tokens)
    pixels = decode(image, model.image_size, model.interpolation)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.pixel_mean, model.pixel_std))
    values = (torch.tensor(pixels).permute(2, 0, 1) / 255 - mean) / std
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.ones(1, int(lengths[0]), dtype=torch.bool),
        "pixel_values": values[None].contiguous(),
    }
    return batch, pixels


def tokenizer_of(text_weights: str, data_root: Path, on_error: OnError) -> tokenizer.Tokenizer:
    """The wordpieces of the published text weights, or without them those of the data root."""
    return tokenizer.of_weights(text_weights) if text_weights else tokenizer.of_root(data_root, on_error=on_error)
