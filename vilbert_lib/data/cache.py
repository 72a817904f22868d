"""Images decoded once into a uint8 memory map, so that training never waits for a decoder.

``cache/images/<key>/`` holds ``pixels.npy``, a row a file, the table of these files in
``sources.parquet``, and ``manifest.json``. The key is made of what the files contain and how they
are decoded: the same pictures are found again after a touch or a move, other pictures never.
"""

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from vilbert_lib import paths
from vilbert_lib.config import Interpolation, OnError, choose
from vilbert_lib.data.chunks import each_chunk
from vilbert_lib.data.images import decode
from vilbert_lib.data.sources import MISSING, source_table
from vilbert_lib.files import locked

VERSION = 2  # to be raised when :func:`decode` gives other pixels


@dataclass(frozen=True)
class Images:
    """Decoded images, in the order in which their files were given.

    ``pixels`` is (n, size, size, 3) uint8 and read-only. ``broken`` maps each file that could not
    be decoded to the reason; its row is zeros. ``sources_sha256`` is the digest of the files' checksums.
    In another process the same file is mapped anew.
    """

    file: Path
    broken: dict[Path, str]
    sources_sha256: str = ""

    @cached_property
    def pixels(self) -> np.ndarray:
        """Pixels (n, size, size, 3) uint8, mapped from the file."""
        return np.load(self.file, mmap_mode="r")

    def __getstate__(self) -> dict:
        # Pickled as it is, the map would be copied pixel by pixel into every worker.
        return {"file": self.file, "broken": self.broken, "sources_sha256": self.sources_sha256}


def decoded_images(
    files: Sequence[Path], size: int, on_error: OnError = "raise", interpolation: Interpolation = "bicubic"
) -> Images:
    """All ``files`` as one memory map, made where there is none of just these pictures.

    A map appears whole or not at all; one that is damaged is made anew, with a warning. Raises
    ValueError for images that are broken (the first is named) and FileNotFoundError for one that is
    missing; with ``on_error="skip"`` they are told in :attr:`Images.broken`. Raises OSError, with
    the bytes that are needed, where the disk is full.
    """
    choose("on_error", on_error, get_args(OnError))
    choose("interpolation", interpolation, get_args(Interpolation))
    files = [Path(file) for file in files]
    if not files:
        raise ValueError("no images to decode")
    store = paths.cache() / "images"
    store.mkdir(parents=True, exist_ok=True)
    sources = source_table(files, store)
    missing = np.flatnonzero(sources.sha256 == MISSING)
    if len(missing) and on_error == "raise":
        raise FileNotFoundError(f"{files[missing[0]]} is missing or no regular file")
    wanted = {
        "images": len(files),
        "size": size,
        "interpolation": interpolation,
        "transform": f"RGB, version {VERSION}",
        "sources_sha256": digest_of(sources.sha256.tolist()),
    }
    folder = store / digest_of(wanted)[:16]
    manifest, _ = _read(folder, wanted)
    if manifest is None:
        with locked(store / "build.lock", f"decoding {len(files)} images"):  # one at a time: it takes all cores
            manifest, damage = _read(folder, wanted)
            if manifest is None:
                if damage:
                    warnings.warn(f"{folder} is damaged, the images are decoded again: {damage}", stacklevel=2)
                manifest = _build(folder, files, sources, wanted, on_error)
    _refuse_broken(files, manifest["broken"], on_error)
    broken = {files[i]: cause for i, cause in manifest["broken"]}
    return Images(folder / "pixels.npy", broken, wanted["sources_sha256"])


def digest_of(values) -> str:
    """The SHA-256 of plain JSON values, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _refuse_broken(files: list[Path], broken: list, on_error: str) -> None:
    if broken and on_error == "raise":
        (first, cause), more = broken[0], len(broken) - 1
        raise ValueError(
            f"{files[first]}: {cause}" + (f", and {more} more of {len(files)} images" if more else "")
        )


def _read(folder: Path, wanted: dict) -> tuple[dict | None, str]:
    """The manifest of an intact map; without one None, and what is damaged where there is something."""
    if not folder.exists():
        return None, ""
    pixels = folder / "pixels.npy"
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if wrong := [name for name in wanted if manifest[name] != wanted[name]]:
            raise ValueError(f"the manifest has another {', '.join(wrong)}")
        manifest["broken"] = [(int(i), str(cause)) for i, cause in manifest["broken"]]
        stat = pixels.stat()
        if stat.st_size != manifest["bytes"]:
            raise ValueError(f"pixels.npy has {stat.st_size} bytes instead of {manifest['bytes']}")
        if stat.st_mtime_ns != manifest["mtime_ns"]:  # copied, or written to
            if _checksum(pixels) != manifest["pixels_sha256"]:
                raise ValueError("pixels.npy holds other pixels than were decoded")
            os.utime(pixels, ns=(stat.st_atime_ns, manifest["mtime_ns"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        return None, f"{type(error).__name__}: {error}"
    return manifest, ""


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _build(folder: Path, files: list[Path], sources: pd.DataFrame, wanted: dict, on_error: str) -> dict:
    """Decode ``files`` beside ``folder`` and move them into its place; returns the manifest."""
    unfinished = folder.parent / "unfinished"  # the same for all, so that what a killed build left is removed
    shutil.rmtree(unfinished, ignore_errors=True)
    needed = len(files) * wanted["size"] ** 2 * 3
    if (free := shutil.disk_usage(folder.parent).free) < needed:
        raise OSError(errno.ENOSPC, f"{folder}: the decoded images take {needed} bytes, {free} are free")
    try:
        unfinished.mkdir()
        broken = _decode_all(unfinished / "pixels.npy", files, wanted["size"], wanted["interpolation"])
        _refuse_broken(files, broken, on_error)
        if not source_table(files, folder.parent).equals(sources):
            raise ValueError(
                f"{files[0].parent}: images changed while they were decoded; start again when nothing writes there"
            )
        sources.to_parquet(unfinished / "sources.parquet", index=False)
        stat = (unfinished / "pixels.npy").stat()
        manifest = wanted | {
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "pixels_sha256": _checksum(unfinished / "pixels.npy"),
            "broken": broken,
        }
        with open(unfinished / "manifest.json", "w") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{folder}: the decoded images, {needed} bytes, could not be written: {error.strerror or error}",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def _decode_all(target: Path, files: list[Path], size: int, interpolation: str) -> list[tuple[int, str]]:
    """Write the pixels of ``files`` as .npy, and tell which are broken: (position, reason).

    The room is taken beforehand, and written to as a file: a full disk is an error, where a write
    through a memory map would end the process.
    """
    shape = (len(files), size, size, 3)
    with open(target, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start = file.tell()
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, start + int(np.prod(shape, dtype=np.int64)))

    def decode_chunk(first: int, paths: Sequence[Path]) -> list[tuple[int, str]]:
        chunk = np.zeros((len(paths), *shape[1:]), dtype=np.uint8)
        broken = []
        for row, path in enumerate(paths):
            try:
                chunk[row] = decode(path, size, interpolation)
            except ValueError as error:
                broken.append((first + row, str(error).removeprefix(f"{path}: ")))
        with open(target, "r+b") as file:
            file.seek(start + first * chunk[0].nbytes)
            file.write(chunk)
        return broken

    broken = list(chain.from_iterable(each_chunk(decode_chunk, files, "decoding images")))
    with open(target, "r+b") as file:
        os.fsync(file.fileno())
    return broken
