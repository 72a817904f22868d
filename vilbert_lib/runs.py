"""The run store: find a run, claim it, train what is missing, read it back."""

import contextlib
import dataclasses
import functools
import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from filelock import FileLock

from vilbert_lib import paths, weights
from vilbert_lib.config import ModelConfig, OnError, Profile, RunConfig, arrange, from_dict, to_dict
from vilbert_lib.data import formats, tokenizer
from vilbert_lib.data.augmentation import POLICIES
from vilbert_lib.data.chunks import cores
from vilbert_lib.data.datasets import FIXED_SEED, PairDataset, PretrainingDataset
from vilbert_lib.metrics import alignment_grid
from vilbert_lib.model import pretrained
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.training import checkpoint, processes
from vilbert_lib.training.finetune import finetune
from vilbert_lib.training.loop import Report
from vilbert_lib.training.pretrain import pretrain
from vilbert_lib.training.workers import progress_bar, train_all

# How runs are described ------------------------------------------------------------------------


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
    words = _tokenizer(settings.text_weights, data_root, on_error)
    settings = dataclasses.replace(settings, vocab_size=words.vocab_size)
    training = profile.pretrain if objectives else profile.finetune
    config = RunConfig(
        task=task,
        architecture=architecture,
        seed=seed,
        data=f"{source.fingerprint(data_root)}+{words.name}",
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
    (t_width, _), (v_width, _) = pretrained.stream_sizes(config.model)
    _try_measures(config.alignment.measures, config.alignment.k, t_width, v_width)
    if config.train.contrastive_weight and config.model.pooler == "none" and t_width != v_width:
        raise ValueError(f"contrastive_weight needs pooled states of one width: {t_width} and {v_width}")
    if wanted := config.train.n_train:
        there = len(source.splits(data_root, config.on_error)["train"])
        if wanted > there:
            raise ValueError(f"n_train {wanted}: {config.task} has {there} training samples")
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


def _tokenizer(text_weights: str, data_root: Path, on_error: OnError) -> tokenizer.Tokenizer:
    return tokenizer.of_weights(text_weights) if text_weights else tokenizer.of_root(data_root, on_error=on_error)


# How runs are read -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A finished run, read from its directory."""

    config: RunConfig

    @property
    def folder(self) -> Path:
        return paths.runs() / self.config.id

    @property
    def finished(self) -> bool:
        """The summary is written last: without it the run is not finished."""
        return (self.folder / "summary.json").is_file()

    @cached_property
    def summary(self) -> dict:
        return checkpoint.read_json(self.folder / "summary.json")

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row an epoch; epoch 0 is the untrained model."""
        return pd.DataFrame(checkpoint.read_json_lines(self.folder / "metrics.jsonl"))

    @cached_property
    def alignment(self) -> pd.DataFrame:
        """One row an epoch, layer pair and measure."""
        return checkpoint.read_frame(self.folder / "alignment.parquet")

    def model(self, data_root: Path) -> Classifier | PretrainingModel:
        """The model with the weights of its best epoch, ready to be asked."""
        model = build_model(self.config, data_root)
        checkpoint.read_weights(self.folder / "model.safetensors", model)
        return model.eval()

    def describe(self) -> dict:
        """The columns by which a table names this run."""
        config = self.config
        return {
            "run": config.id,
            "task": config.task,
            "architecture": config.architecture,
            "seed": config.seed,
            "start": "pretrained" if config.start_from else "scratch",
        }


def summaries(runs: list[Run]) -> pd.DataFrame:
    """One row a run: what names it, then its summary."""
    return pd.DataFrame([run.describe() | run.summary for run in runs])


def histories(runs: list[Run]) -> pd.DataFrame:
    """The metrics of all epochs of all runs."""
    return pd.concat([run.metrics.assign(**run.describe()) for run in runs], ignore_index=True)


def alignments(runs: list[Run]) -> pd.DataFrame:
    """The alignments of all runs, with the best epoch of each beside."""
    frames = [run.alignment.assign(**run.describe(), best_epoch=run.summary["best_epoch"]) for run in runs]
    return pd.concat(frames, ignore_index=True)


#: Fields of a :class:`ModelConfig` in which a run may differ from the one that it starts from.
FREE_AFTER_START = {
    "streams",  # of two streams one may be read alone
    "fusion",
    "dropout",
    "pooling",
    "frozen_layers",
    "pixel_mean",
    "pixel_std",
    "interpolation",
}

# How runs are trained --------------------------------------------------------------------------


def dataset(
    config: RunConfig, data_root: Path, split: str, *, analysis: bool = False, samples_of: Path | None = None
) -> PairDataset:
    """A split of the run's task; pretraining runs get corrupted pairs, unless for ``analysis``.

    Images are augmented in training alone, where the configuration says so.
    ``samples_of`` names another root to take the samples from: the words stay those of ``data_root``.
    """
    task = formats.task(config.task, data_root)
    reading = task.read(samples_of or data_root, config.on_error)
    records = reading.splits[split]
    if not records:
        raise ValueError(f"{config.task} {split}: no samples")
    if not config.objectives and (missing := [r.id for r in records if r.label is None]):
        raise ValueError(f"{config.task} {split}: {len(missing)} samples have no label, the first is {missing[0]}")
    words = _tokenizer(config.model.text_weights, data_root, config.on_error)
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
    return pairs


def build_model(config: RunConfig, data_root: Path) -> Classifier | PretrainingModel:
    """The untrained model of a run, or the one that its pretraining run left."""
    torch.manual_seed(config.seed)
    if config.objectives:
        return PretrainingModel(config.model)
    task = formats.task(config.task, data_root)
    model = Classifier(config.model, len(task.labels(task.folder(data_root))))
    if config.start_from:
        model.vilbert.load_state_dict(start_of(config).model(data_root).vilbert.state_dict())
    return model


def start_of(config: RunConfig) -> Run:
    """The finished run that ``config`` starts from; a ValueError where its weights mean something else."""
    start = open_run(config.start_from)
    own, found = to_dict(config.model), to_dict(start.config.model)
    differing = [name for name in own if own[name] != found[name] and name not in FREE_AFTER_START]
    if (own["streams"] == "single") != (found["streams"] == "single"):
        differing.append("streams")
    if config.data.split("+")[-1] != start.config.data.split("+")[-1]:
        differing.append("tokenizer")
    if differing:
        raise ValueError(f"start_from {config.start_from}: {', '.join(differing)} differ from those of this run")
    return start


def open_run(run_id: str) -> Run:
    """The finished run with this id; an error names a run that is missing or unfinished."""
    path = paths.runs() / run_id / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"run {run_id} does not exist below {paths.runs()}")
    run = Run(from_dict(RunConfig, checkpoint.read_json(path)))
    if run.config.id != run_id:
        raise ValueError(f"{path.parent} holds the run {run.config.id}, not {run_id}")
    if not run.finished:
        raise ValueError(f"run {run_id} is not finished")
    return run


def train(config: RunConfig, data_root: Path, report: Report | None = None, **loop_options) -> Run:
    """Train a run unless it is finished; go on where it was interrupted.

    Of two processes that ask for one run, one trains it and the other waits; processes that were
    launched together train it together. ``loop_options`` go to
    :class:`vilbert_lib.training.loop.Loop`: they change how a run is trained, not what comes of it.
    Raises ValueError where the directory holds the run of another configuration, or a damaged file.
    """
    run = Run(config)
    processes.start()
    run.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(run.folder.with_suffix(".lock")) if processes.is_first() else contextlib.nullcontext():
        if processes.is_first():
            _claim(run)
            _tidy(run)
        if processes.shared(run.finished):
            return run
        threads = torch.get_num_threads()
        torch.set_num_threads(config.train.threads)
        quiet = report is None or not processes.is_first()
        try:
            summary = _train(run, Path(data_root), (lambda share, loss: None) if quiet else report, loop_options)
        finally:
            torch.set_num_threads(threads)
        if processes.is_first():
            _finish(run, summary)
        processes.wait()
    return run


def _finish(run: Run, summary: dict) -> None:
    best = run.folder / f"best-{summary['best_epoch']}.safetensors"
    if best.is_file():
        os.replace(best, run.folder / "model.safetensors")
    checkpoint.write_json(run.folder / "summary.json", summary)
    _tidy(run)


def _tidy(run: Run) -> None:
    """Remove what killed processes left, and of a finished run what it was to go on from.

    Whoever holds the run's lock is the only one that writes in its folder.
    """
    checkpoint.remove_unfinished(run.folder)
    if run.finished:
        for path in (run.folder / "checkpoint.pt", *run.folder.glob("best-*.safetensors")):
            path.unlink(missing_ok=True)


def _claim(run: Run) -> None:
    path = run.folder / "config.json"
    values = to_dict(run.config)
    if path.is_file() and (found := checkpoint.read_json(path)) != values:
        differing = sorted(name for name in values if found.get(name) != values[name])
        raise ValueError(f"{run.folder} holds the run of another configuration: {', '.join(differing)} differ")
    if not path.is_file():
        checkpoint.write_json(run.folder / "env.json", environment())
        checkpoint.write_json(path, values)


def _train(run: Run, data_root: Path, report: Report, loop_options: dict) -> dict:
    config, task = run.config, formats.task(run.config.task, data_root)
    device = processes.device()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    model = build_model(config, data_root).to(device)
    started = time.monotonic()
    if config.objectives:
        data = {split: dataset(config, data_root, split) for split in ("train", "val")}
        analysis = dataset(config, data_root, "val", analysis=True)
        summary = pretrain(model, data, analysis, config, run.folder, device, report, **loop_options)
    else:
        data = {split: dataset(config, data_root, split) for split in ("train", "val", "test")}
        summary = finetune(model, data, config, task, run.folder, device, report, **loop_options)
    skipped = sum(len(pairs.problems) for pairs in data.values())
    return summary | {"skipped": skipped, "seconds": round(time.monotonic() - started, 1)}


def environment() -> dict:
    """Versions, revision and device: what the bits of a run depend on beside its configuration."""
    revision = ""
    if shutil.which("git"):
        command = ["git", "-C", str(paths.REPOSITORY), "rev-parse", "HEAD"]
        revision = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "timm", "transformers", "numpy")},
        "revision": revision,
        "device": device_name(),
        "processes": processes.count(),
    }


def device_name() -> str:
    """What a run is trained on, in words."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{cores()} {platform.machine()} cores"


# How many runs are trained at once -------------------------------------------------------------


def ensure(configs: list[RunConfig], data_root: Path, jobs: int | None = None, **loop_options) -> list[Run]:
    """The finished runs of ``configs``, trained where they are missing, with one progress bar.

    On a CPU as many runs are trained at once as its cores allow (``jobs``): small models gain
    more from that than from many threads each. Processes that were launched together train one run after
    the other. ``loop_options`` are those of :class:`vilbert_lib.training.loop.Loop` that change no bit.
    """
    processes.start()
    missing = processes.shared([config for config in dict.fromkeys(configs) if not Run(config).finished])
    for config in missing:
        if config.start_from:
            start_of(config)
    if processes.count() > 1:
        jobs = 1
    elif jobs is None:
        threads = max((config.train.threads for config in missing), default=1)
        jobs = 1 if torch.cuda.is_available() else max(1, cores() // threads)
    if missing:
        epochs = sum(c.train.epochs for c in missing)
        with progress_bar(f"training {len(missing)} runs", epochs, hidden=not processes.is_first()) as bar:
            work = functools.partial(train, **loop_options)
            train_all(work, [(config, data_root) for config in missing], min(jobs, len(missing)), bar)
    return [Run(config) for config in configs]
