"""What a run is trained by: versions, revision and device."""

import contextlib
import itertools
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from vilbert_lib import paths
from vilbert_lib.data.chunks import cores
from vilbert_lib.training import processes


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


@contextlib.contextmanager
def least_busy_gpu() -> Iterator[None]:
    """Train, in here, on that of the visible GPUs which the fewest trainings of this machine and user are on."""
    count = torch.cuda.device_count()
    if count < 2 or processes.count() > 1:  # there is nothing to choose, or it was chosen already
        yield
        return
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(count)]
    places = Path(tempfile.gettempdir()) / f"vilbert-gpus-{os.getuid()}"
    with least_taken(names, places) as number, torch.cuda.device(number):
        yield


@contextlib.contextmanager
def least_taken(names: list[str], folder: Path) -> Iterator[int]:
    """Take, while in here, a place at that of ``names`` where the fewest are taken; gives its number.

    A place is a lock in ``folder``: whoever holds it and is killed gives it back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place, number in ((place, number) for place in itertools.count() for number in range(len(names))):
        lock = FileLock(folder / f"{names[number]}-{place}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            yield number
        finally:
            lock.release()
        return
