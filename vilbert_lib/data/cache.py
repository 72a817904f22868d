"""Images decoded once into a uint8 memory map, so that training never waits for a decoder."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from vilbert_lib import paths
from vilbert_lib.data.images import decode


def decoded_images(files: list[Path], size: int) -> np.ndarray:
    """All ``files`` as one read-only memory map (n, size, size, 3) uint8.

    The map is made on first use and again when a file's size or time of change differs; it
    appears whole or not at all.
    """
    stats = [(str(path), (s := path.stat()).st_size, s.st_mtime_ns) for path in files]
    key = hashlib.sha256(json.dumps([size, stats]).encode()).hexdigest()[:16]
    folder = paths.cache() / "images" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            unfinished = folder.with_suffix(".unfinished")
            try:
                _build(unfinished, files, size)
                os.replace(unfinished, folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return np.load(folder / "pixels.npy", mmap_mode="r")


def _build(folder: Path, files: list[Path], size: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pixels = np.lib.format.open_memmap(
        folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=(len(files), size, size, 3)
    )
    for i, path in enumerate(tqdm(files, desc="decoding images", unit="image", disable=len(files) < 5000)):
        pixels[i] = decode(path, size)
    pixels.flush()
    manifest = {"images": len(files), "size": size, "first": files[0].name, "last": files[-1].name}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
