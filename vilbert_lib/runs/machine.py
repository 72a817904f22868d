"""What a run is trained by: versions, revision and device."""

import platform
import shutil
import subprocess
from importlib.metadata import version

import torch

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
