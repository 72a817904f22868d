"""Where published weights lie: on the hub, in a local folder, or in one safetensors file.

A configuration names weights in a way that holds on every machine: the hub's name, or a hash of
the local files, never their path.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from huggingface_hub import constants, get_session, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from vilbert_lib import paths

LOCAL = "local/"
NAMES = ("model.safetensors", "pytorch_model.bin")  # of weights, the safer first
BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt")
PATIENCE = 3  # seconds that the hub may take to answer at all


def identify(name: str) -> str:
    """What a configuration calls the weights ``name``: a hub name as it is, a path by its content.

    ``name`` is a hub name (``bert-base-uncased``, with ``@revision`` if one is meant), a folder with
    ``config.json`` and weights, or a ``.safetensors`` file with its ``config.json`` beside.
    """
    path = Path(name).expanduser()
    if not name or name.startswith(LOCAL):
        return name
    if not path.exists():
        if path.is_absolute() or name.startswith(("~", ".")) or path.suffix:
            raise FileNotFoundError(f"weights {name}: there is no such file or folder")
        return name
    weights = path if path.is_file() else file_in(path)
    config = weights.parent / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"weights {weights}: {config} is missing, which says what they are the weights of")
    stat = weights.stat()
    digest = _digest(weights, config, stat.st_size, stat.st_mtime_ns)
    named = path.name if path.is_dir() else path.stem if path.stem != "model" else path.parent.name
    identity = f"{LOCAL}{named}-{digest}"
    _link(_linked(identity), weights)
    return identity


def folder(identity: str) -> Path:
    """The folder of the weights that :func:`identify` named, fetched from the hub where that is needed.

    Without a network, what is not in the cache is an OSError within seconds.
    """
    if identity.startswith(LOCAL):
        found = _linked(identity)
        if not (found / "config.json").is_file():
            raise FileNotFoundError(f"weights {identity}: not known on this machine, name their folder once again")
        return found
    repository, _, revision = identity.partition("@")
    offline = not reachable()
    try:
        found = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=[NAMES[0], *BESIDE],
            etag_timeout=PATIENCE,
            local_files_only=offline,
        )
        file_in(Path(found))
    except (OSError, ValueError, HfHubHTTPError) as error:
        why = "the hub cannot be reached, and they are not in the cache" if offline else str(error)
        raise OSError(
            f"weights {identity!r} could not be loaded: {why}. Give the path of a folder that holds them, or"
            " fill the cache on a machine with a network and copy it (HF_HOME says where it lies)"
        ) from error
    return Path(found)


@cache
def reachable() -> bool:
    """Whether the hub answers: asked once, so that nothing waits through the retries of every file."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # whatever the library's HTTP client raises
        return False
    return True


def file_in(place: Path) -> Path:
    """The file of weights in the folder ``place``."""
    for name in NAMES:
        if (place / name).is_file():
            return place / name
    raise FileNotFoundError(f"weights {place}: neither {' nor '.join(NAMES)} is there")


@cache
def _digest(weights: Path, config: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256(config.read_bytes())
    with open(weights, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:8]


def _linked(identity: str) -> Path:
    return paths.cache() / "weights" / identity.removeprefix(LOCAL)


def _link(place: Path, weights: Path) -> None:
    """Fill ``place`` with links to the files: under the names that the libraries look for."""
    place.mkdir(parents=True, exist_ok=True)
    name = weights.name if weights.name in NAMES else NAMES[0]
    for target, link in [(weights, name), *((weights.parent / other, other) for other in BESIDE)]:
        if target.is_file():
            unfinished = place / f".{link}.{os.getpid()}"
            unfinished.unlink(missing_ok=True)
            unfinished.symlink_to(target.resolve())
            unfinished.replace(place / link)
