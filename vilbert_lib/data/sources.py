"""What files contain, told without reading again those that nobody touched."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from vilbert_lib.data.chunks import each_chunk
from vilbert_lib.files import version

MISSING = ""  # the checksum of what is not there, or no regular file
STAT = ["bytes", "mtime_ns", "ctime_ns", "inode"]  # what tells a file from the one that was there before


def source_table(files: Sequence[Path], store: Path) -> pd.DataFrame:
    """A row a file: ``file`` (absolute), ``bytes``, ``mtime_ns``, ``ctime_ns``, ``inode``, ``sha256`` (hex).

    The checksum of what is not there, or no regular file, is :data:`MISSING`. The table is kept in ``store``, and
    only files of which something but the name and the checksum has changed are read again.
    """
    names = [os.path.abspath(file) for file in files]
    key = hashlib.sha256("\0".join([*STAT, *names]).encode(errors="surrogateescape")).hexdigest()[:16]
    index = store / f"sources-{key}.parquet"
    stats = pd.DataFrame(list(map(_stat, names)), columns=STAT, dtype="int64")
    table = stats.assign(file=names, sha256=MISSING)[["file", *STAT, "sha256"]]
    same = np.zeros(len(table), dtype=bool)
    if (known := _read(index)) is not None and known.file.tolist() == names:
        same = (known[STAT] == stats).all(axis=1).to_numpy()
        table.loc[same, "sha256"] = known.sha256[same]
    if not same.all():
        rows = np.flatnonzero(~same & (table.bytes >= 0))
        found = each_chunk(_sha256, [names[i] for i in rows], "reading images")
        table.loc[rows, "sha256"] = list(chain.from_iterable(found))
        _write(index, table)
    return table


def _stat(name: str) -> tuple[int, ...]:
    if not os.path.isfile(name):  # not there, or a pipe, which would be waited for without end
        return (-1,) * len(STAT)
    size, mtime_ns, ctime_ns, inode = version(name)
    return size, mtime_ns, ctime_ns, inode % 2**63


def _sha256(_: int, names: Sequence[str]) -> list[str]:
    sums = []
    for name in names:
        with open(name, "rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    return sums


def _read(index: Path) -> pd.DataFrame | None:
    if not index.is_file():
        return None
    try:
        return pd.read_parquet(index, columns=["file", *STAT, "sha256"])
    except (OSError, ValueError, KeyError) as error:
        warnings.warn(f"{index} is damaged, the files are read again: {error}", stacklevel=3)
        return None


def _write(index: Path, table: pd.DataFrame) -> None:
    # One name for all, so that what a killed process left is overwritten by the next.
    unfinished = index.parent / "sources.unfinished"
    with FileLock(index.parent / "sources.lock"):
        try:
            table.to_parquet(unfinished, index=False)
            os.replace(unfinished, index)
        except OSError as error:
            warnings.warn(f"{index} could not be written, the files will be read again: {error}", stacklevel=3)
            unfinished.unlink(missing_ok=True)
