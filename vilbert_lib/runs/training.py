"""How runs are trained: claimed, gone on with, finished; as many at once as the machine allows."""

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from vilbert_lib.config import RunConfig, to_dict
from vilbert_lib.data import formats
from vilbert_lib.data.chunks import cores
from vilbert_lib.files import locked
from vilbert_lib.runs.inputs import check_data, dataset
from vilbert_lib.runs.machine import environment, least_busy_gpu
from vilbert_lib.runs.planning import NOT_LISTED, PlannedRun, RunList
from vilbert_lib.runs.store import FILES, Run, build_model, start_of
from vilbert_lib.training import checkpoint, processes
from vilbert_lib.training.loop import Report
from vilbert_lib.training.products import fast_products
from vilbert_lib.training.workers import progress_bar, train_all


def ensure(
    configs: list[RunConfig],
    data_root: Path,
    jobs: int | None = None,
    *,
    weights: bool = False,
    run_list: RunList = NOT_LISTED,
    **loop_options,
) -> list[Run]:
    """The finished runs of ``configs``, trained where they are missing, with one progress bar.

    A run whose results the archive keeps is missing only where its ``weights`` are needed. As many runs are
    trained at once (``jobs``) as there are GPUs, or on a CPU as its cores allow: small models gain more from that
    than from many threads each. Processes that were launched together train one run after the other.
    ``loop_options`` are those of :class:`vilbert_lib.training.loop.Loop` that change no bit. The runs are
    added to ``run_list``; where it is only planned nothing is trained, and the runs that are returned cannot be
    read. A ValueError where ``data_root`` does not hold the data of a run that is missing.
    """
    processes.start()
    if processes.is_first():
        run_list.add(configs, data_root)
    if run_list.plan_only:
        return [PlannedRun(config) for config in configs]
    runs = [Run(config) for config in configs]
    missing = processes.shared([r.config for r in runs if not (r.trained if weights else r.finished)])
    for config in missing:
        check_data(config, data_root)
    # Of what a run starts from the archive may have the figures, but it is the weights that are needed.
    starts = [start_of(config).config for config in missing if config.start_from]
    for wave in (starts, missing):
        untrained = processes.shared([config for config in dict.fromkeys(wave) if not Run(config).trained])
        if untrained:
            _train_at_once(untrained, data_root, jobs, loop_options)
    return [Run(config) for config in configs]


def _train_at_once(configs: list[RunConfig], data_root: Path, jobs: int | None, loop_options: dict) -> None:
    if processes.count() > 1:
        jobs = 1
    elif jobs is None:
        threads = max(config.train.threads for config in configs)
        jobs = torch.cuda.device_count() or max(1, cores() // threads)
    epochs = sum(config.train.epochs for config in configs)
    with progress_bar(f"training {len(configs)} runs", epochs, hidden=not processes.is_first()) as bar:
        work = functools.partial(train, **loop_options)
        items = {config.id: (config, data_root) for config in configs}
        train_all(work, items, min(jobs, len(configs)), bar)


def train(config: RunConfig, data_root: Path, report: Report | None = None, **loop_options) -> Run:
    """Train a run unless that was done here; go on where it was interrupted.

    Of two processes that ask for one run, one trains it and the other waits; processes that were
    launched together train it together. ``loop_options`` go to
    :class:`vilbert_lib.training.loop.Loop`: they change how a run is trained, not what comes of it.
    Raises ValueError where ``data_root`` does not hold the data of the configuration, or where the directory
    holds the run of another configuration or a damaged file.
    """
    run = Run(config)
    processes.start()
    run.folder.mkdir(parents=True, exist_ok=True)
    with locked(run.lock, f"training run {config.id}") if processes.is_first() else contextlib.nullcontext():
        if processes.is_first():
            _claim(run)
            _tidy(run)
        if processes.shared(run.trained):
            return run
        check_data(config, data_root)
        quiet = report is None or not processes.is_first()
        with _settings(config.train.threads), fast_products(config.model.width), least_busy_gpu():
            summary = _train(run, Path(data_root), (lambda *_: None) if quiet else report, loop_options)
        if processes.is_first():
            _finish(run, summary)
        processes.wait()
    return run


@contextlib.contextmanager
def _settings(threads: int) -> Iterator[None]:
    """Train, in here, with ``threads`` and deterministic algorithms; afterwards both are as they were."""
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _claim(run: Run) -> None:
    path = run.folder / "config.json"
    values = to_dict(run.config)
    if path.is_file() and (found := checkpoint.read_json(path)) != values:
        differing = sorted(name for name in values if found.get(name) != values[name])
        raise ValueError(f"{run.folder} holds the run of another configuration: {', '.join(differing)} differ")
    if not (env := run.folder / "env.json").is_file():
        checkpoint.write_json(env, environment())
    if not path.is_file():
        checkpoint.write_json(path, values)


def _train(run: Run, data_root: Path, report: Report, loop_options: dict) -> dict:
    config, task = run.config, formats.task(run.config.task, data_root)
    device = processes.device()
    model = build_model(config, data_root).to(device)
    if config.train.compiled:
        model.vilbert.compile_layers()
    started = time.monotonic()
    if config.objectives:
        from vilbert_lib.training.pretrain import pretrain

        data = {split: dataset(config, data_root, split) for split in ("train", "val")}
        analysis = dataset(config, data_root, "val", analysis=True)
        summary = pretrain(model, data, analysis, config, run.folder, device, report, **loop_options)
    else:
        from vilbert_lib.training.finetune import finetune

        data = {split: dataset(config, data_root, split) for split in ("train", "val", "test")}
        summary = finetune(model, data, config, task, run.folder, device, report, **loop_options)
    skipped = sum(len(pairs.problems) for pairs in data.values())
    return summary | {"skipped": skipped, "seconds": round(time.monotonic() - started, 1)}


def _finish(run: Run, summary: dict) -> None:
    best = run.folder / f"best-{summary['best_epoch']}.safetensors"
    if best.is_file():
        os.replace(best, run.folder / "model.safetensors")
    checkpoint.write_summary(run.folder / "summary.json", summary, run.config.id, FILES)
    _tidy(run)


def _tidy(run: Run) -> None:
    """Remove what killed processes left, and of a finished run what it was to go on from.

    Whoever holds the run's lock is the only one that writes in its folder.
    """
    checkpoint.remove_unfinished(run.folder)
    if run.trained:
        for path in (run.folder / "checkpoint.pt", *run.folder.glob("best-*.safetensors")):
            path.unlink(missing_ok=True)
