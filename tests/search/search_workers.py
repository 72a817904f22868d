"""Workers of a search in processes of their own, which note every epoch that they train, and may be killed."""

import dataclasses
import os
import signal
import sys
from pathlib import Path

from vilbert_lib import search
from vilbert_lib.config import AlignmentConfig, Profile
from vilbert_lib.search.plan import Search


def small_profile(profile: Profile) -> Profile:
    """Streams of four layers: a run takes a fraction of a second."""
    return dataclasses.replace(
        profile,
        model=dataclasses.replace(profile.model, num_layers=4),
        finetune=dataclasses.replace(profile.finetune, n_train=16),
        alignment=AlignmentConfig(measures=("cka", "unbiased_cka"), n_samples=12, k=3),
    )


def work_on(
    plan: Search, scale: Profile, root: Path, n_trials: int, epochs: str, storage: str = "", at_once: int = 0
) -> None:
    """Work until ``n_trials`` are settled; the file ``epochs`` gets a line for every epoch that is recorded."""

    def hook(event: str, arguments: tuple) -> None:
        if event == "os.rename" and Path(arguments[1]).name == "metrics.jsonl":
            epoch = len(Path(arguments[0]).read_text().splitlines()) - 1
            _append(epochs, f"{Path(arguments[1]).parent.name}:{epoch}")

    sys.addaudithook(hook)
    record = search.start(plan, scale, root, storage=storage, heartbeat=1)
    search.work(record, n_trials, pause=0.1, jobs=1, at_once=at_once)


def killed_in(name: str, number: int, *arguments) -> None:
    """Work, and be killed when the file ``name`` of a run has been written for the ``number``-th time."""
    count = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if event == "os.rename" and Path(arguments[1]).name == name:
            count += 1
        elif count == number and event == "open":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work_on(*arguments)


def _append(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(f"{line}\n")
