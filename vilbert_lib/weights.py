"""Where published weights lie: on the hub, in a local folder, or in one safetensors file.

A configuration names weights in a way that holds on every machine: the hub's name, or a hash of
the local files, never their path.
"""

import hashlib
import os
import re
from functools import cache
from pathlib import Path

from huggingface_hub import constants, get_session, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from vilbert_lib import paths
from vilbert_lib.files import version

LOCAL = "local/"
NAMES = ("model.safetensors", "pytorch_model.bin")  # of weights, the safer first
BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt")
PATIENCE = 3  # seconds that the hub may take to answer at all
LOCAL_NAME = re.compile(r"local/(?!\.)[^/\\\0]+-[0-9a-f]{8}")
HUB_NAME = re.compile(r"(?!.*\.\.)[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")


def identify(name: str) -> str:
    """What a configuration calls the weights ``name``: a hub name as it is, a path by its content.

    ``name`` is a hub name (``bert-base-uncased``, with ``@revision`` if one is meant), a folder with
    ``config.json`` and weights, or a ``.safetensors`` file with its ``config.json`` beside.
    """
    if not name or name.startswith(LOCAL):
        return _checked(name) if name else name
    path = Path(os.path.abspath(Path(name).expanduser()))
    if not path.exists():
        if name.startswith(("/", "~", ".")) or path.suffix:
            raise FileNotFoundError(f"weights {name}: there is no such file or folder")
        return _checked(name)
    weights = path if path.is_file() else file_in(path)
    config = weights.parent / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"weights {weights}: {config} is missing, which says what they are the weights of")
    named = path.name if path.is_dir() else path.stem if path.stem != "model" else path.parent.name
    identity = _checked(f"{LOCAL}{named}-{_digest_of(weights)}")
    _link(_linked(identity), weights)
    return identity


def folder(identity: str) -> Path:
    """The folder of the weights that :func:`identify` named, fetched from the hub where that is needed.

    Without a network, what is not in the cache is an OSError within seconds. A ValueError where local files are
    no longer those that were identified.
    """
    _checked(identity)
    if identity.startswith(LOCAL):
        found = _linked(identity)
        if not (found / "config.json").is_file():
            raise FileNotFoundError(f"weights {identity}: not known on this machine, name their folder once again")
        weights = file_in(found)
        if _digest_of(weights) != identity[-8:]:
            raise ValueError(
                f"weights {identity}: {weights.resolve().parent} now holds other files; restore those that were"
                " identified, or name the folder again for the present ones"
            )
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


def _checked(name: str) -> str:
    if not (LOCAL_NAME if name.startswith(LOCAL) else HUB_NAME).fullmatch(name):
        raise ValueError(
            f"weights {name!r} are neither a folder, nor a hub name such as google-bert/bert-base-uncased, nor"
            " local/<name>-<8 hexadecimal digits>"
        )
    return name


def _digest_of(weights: Path) -> str:
    """Eight hexadecimal digits for the file ``weights``, its configuration and its tokenizer."""
    files = [weights, *(path for name in BESIDE if (path := weights.parent / name).is_file())]
    return _digest(tuple(files), tuple(map(version, files)))


@cache
def _digest(files: tuple[Path, ...], versions: tuple[tuple[int, ...], ...]) -> str:
    digest = hashlib.sha256()
    for number, file in enumerate(files):
        digest.update(b"weights" if number == 0 else file.name.encode())
        with open(file, "rb") as content:
            while block := content.read(2**20):
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
        else:
            (place / link).unlink(missing_ok=True)
