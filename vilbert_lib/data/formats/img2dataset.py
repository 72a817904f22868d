"""Folders that img2dataset writes: shards of captioned images, as files or as tar archives (webdataset).

A shard ``00012`` is ``00012.parquet`` (a row for each address that was tried: ``key``, ``caption``, ``status``,
``error_message``), ``00012_stats.json`` (written last) and its images, in the folder ``00012/`` or in
``00012.tar``, named by their key.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from vilbert_lib import paths
from vilbert_lib.data.formats.files import existing, image_names, read_json
from vilbert_lib.data.formats.records import LeftOut, Record, Row, checked, missing_image, parsed
from vilbert_lib.files import locked, version

COLUMNS = ["key", "caption", "status", "error_message"]
_AGAIN = "remove the files of this shard and call img2dataset again, which downloads what is missing"


def shards(folder: Path) -> list[Path]:
    """The shards' tables of ``folder`` in order; none where img2dataset did not write here."""
    return sorted(path for path in folder.glob("*.parquet") if path.stem.isdigit())


def records(folder: Path, part: str) -> Iterator[Row]:
    """The samples of all shards in ``folder``; addresses that failed are left out and counted by their cause.

    Raises
    ------
    ValueError
        For a shard that is unfinished or damaged: the file is named.
    """
    for table in shards(folder):
        rows = _read(table)
        images, names = _images(table), {}
        if images is not None:
            names = {Path(name).stem: name for name in sorted(image_names(images), reverse=True)}
        for line, row in enumerate(rows.itertuples(index=False), start=1):
            yield parsed(f"{table}: row {line}", row, _sample, part, table, images, names)


def _sample(row, part: str, table: Path, images: Path | None, names: dict[str, str]) -> Row:
    if row.status != "success":
        return LeftOut(f"{row.status.replace('_', ' ')}: {row.error_message}".removesuffix(": "))
    if images is None or row.key not in names:
        raise missing_image(table.with_suffix("") / f"{row.key}.jpg")
    return checked(Record(f"{part}-{row.key}", images / names[row.key], row.caption, None))


def _read(table: Path) -> pd.DataFrame:
    """The rows of a finished shard, texts only."""
    stats = table.with_name(f"{table.stem}_stats.json")
    if not stats.is_file():
        raise ValueError(f"{table}: the shard is unfinished, {stats.name} is missing; {_AGAIN}")
    try:
        rows = pd.read_parquet(table, columns=COLUMNS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{table}: not readable as a table of img2dataset: {error}; {_AGAIN}") from error
    if (count := read_json(stats, dict).get("count")) != len(rows):
        raise ValueError(f"{table} has {len(rows)} rows, {stats.name} counts {count}; {_AGAIN}")
    return rows.astype(object).where(rows.notna(), "").astype(str)


def _images(table: Path) -> Path | None:
    """The folder of a shard's images; those of a tar archive are unpacked into the cache, once."""
    folder, archive = table.with_suffix(""), table.with_suffix(".tar")
    if folder.is_dir():
        return folder
    return _unpacked(archive) if archive.is_file() else None


def _unpacked(archive: Path) -> Path:
    key = hashlib.sha256(f"{archive.resolve()}/{version(existing(archive))}".encode()).hexdigest()[:16]
    target = paths.cache() / "shards" / key
    unfinished = target.with_name(f"{key}.unfinished")
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f"{key}.lock"), f"unpacking {archive}"):
        if target.is_dir():
            return target
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(unfinished, filter="data")
        except tarfile.TarError as error:
            raise ValueError(f"{archive}: not readable as a tar archive: {error}; {_AGAIN}") from error
        os.replace(unfinished, target)
    return target
