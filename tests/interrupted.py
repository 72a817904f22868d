"""A small run in a process of its own, which a test may kill, and all that the run leaves."""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import vilbert_lib
from vilbert_lib import runs
from vilbert_lib.config import Profile, RunConfig

#: Every process is forked from one that has imported everything, which takes milliseconds, and has no threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["torch", "transformers", "pyarrow.parquet", "vilbert_lib.runs"])

STAGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")  # audit events of CPython


def small_run(profile: Profile, root: Path, objectives: tuple[str, ...] = (), **train) -> RunConfig:
    """Two epochs of three steps, with dropout and augmentation, that take a fraction of a second."""
    return runs.configure(
        profile,
        root,
        "conceptual_captions" if objectives else "hateful_memes",
        "t1-v1",
        objectives=objectives,
        model={"num_layers": 2},
        train={"epochs": 2, "n_train": 22, "augment": True} | train,
    )


def what_is_left(run: runs.Run) -> dict:
    """All that a finished run leaves, byte for byte, but the time it took."""
    names = {"config.json", "env.json", "metrics.jsonl", "alignment.parquet", "model.safetensors", "summary.json"}
    assert {path.name for path in run.folder.iterdir()} == names
    files = {name: (run.folder / name).read_bytes() for name in names - {"summary.json"}}
    return files | {name: value for name, value in run.summary.items() if name != "seconds"}


def started(work: Callable, *arguments) -> multiprocessing.Process:
    """``work(*arguments)`` under way in a process of its own, with the folders of this one."""
    places = {name: value for name, value in os.environ.items() if name.startswith("VILBERT_")}
    process = PROCESSES.Process(target=_work, args=(places, vilbert_lib.__file__, work, arguments), daemon=True)
    process.start()
    return process


def _work(places: dict[str, str], library: str, work: Callable, arguments: tuple) -> None:
    assert vilbert_lib.__file__ == library, "the process has another version of the library"
    os.environ.update(places)
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    work(*arguments)


def train(config: RunConfig, root: Path, begun=None) -> None:
    """Train with a checkpoint after every step; ``begun`` is set at the beginning."""
    if begun is not None:
        begun.set()
    runs.train(config, root, checkpoint_seconds=0.0)


def train_and_count(config: RunConfig, root: Path, steps) -> None:
    """Train and count the reports of progress."""

    def report(share: float, loss: float) -> None:
        steps.value += 1

    runs.train(config, root, report, checkpoint_seconds=0.0)


def train_until_stage(config: RunConfig, root: Path, number: int, cut: int | None = None, seen=None) -> None:
    """Train, and be killed when something in the run's folder is to be opened, moved or removed for the
    ``number``-th time.

    With ``cut`` the system kills the process from there on in the middle of a file, as soon as one
    grows beyond ``cut`` bytes. ``seen`` counts these moments.
    """
    folder, count = f"{runs.Run(config).folder}/", 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in STAGES or not str(arguments[0]).startswith(folder):
            return
        if count == number and cut is None:
            os.kill(os.getpid(), signal.SIGKILL)
        if count == number:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (cut, cut))
        count += 1
        if seen is not None:
            seen.value = count

    sys.addaudithook(hook)
    train(config, root)
