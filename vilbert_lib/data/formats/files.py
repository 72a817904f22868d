"""Files of annotations to rows: JSON, JSON lines and CSV, with file and line for what is broken."""

import csv
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_KINDS = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}


def existing(path: Path) -> Path:
    """``path``; a FileNotFoundError where there is no such file."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path} is missing")
    return path


def read_json(path: Path, kind: type, object_hook: Callable[[dict], object] | None = None):
    """The content of a JSON file, a ``kind`` (list or dict); a ValueError names a file that is none."""
    try:
        content = json.loads(existing(path).read_bytes(), object_hook=object_hook)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path}: {_KINDS[kind]} is needed, not {json.dumps(content)[:40]}")
    return content


def json_lines(path: Path) -> Iterator[tuple[str, dict | ValueError]]:
    """File and line, and the object there or what is wrong with it, for every line that is not blank."""
    for number, line in enumerate(existing(path).read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                row = ValueError(f"{_KINDS[dict]} is needed, not {json.dumps(row)[:40]}")
        except (ValueError, RecursionError) as error:
            row = ValueError(str(error))
        yield f"{path}:{number}", row


def csv_rows(path: Path) -> Iterator[tuple[str, list[str] | ValueError]]:
    """File and line, and the fields there or what is wrong with them, for every row that is not blank.

    A row that runs over several lines is at its first.
    Bytes that are not UTF-8 become lone surrogates, which the check of a text finds.
    """
    with open(existing(path), encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        while True:
            where = f"{path}:{reader.line_num + 1}"
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                row = ValueError(f"{error}; the row ends in line {reader.line_num}")
            if row:
                yield where, row


def image_names(folder: Path) -> set[str]:
    """Names of the images in ``folder``; none where there is no such folder."""
    if not os.path.isdir(folder):
        return set()
    return {entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(IMAGE_ENDINGS)}


def value(row: dict, name: str, kind: type = object):
    """The field ``name`` of an object; a ValueError where it is missing or no ``kind``."""
    if name not in row:
        raise ValueError(f"{name} is missing")
    if not isinstance(row[name], kind):
        raise ValueError(f"{name} {row[name]!r} is not {_KINDS[kind]}")
    return row[name]


def remember(read: Callable) -> Callable:
    """Decorate ``read(*paths)``: its result is kept until the size or time of change of a path differs.

    Paths that changed within the last two seconds are read again: the clocks of file systems are
    coarse.
    """
    kept: dict[tuple[Path, ...], tuple[list, object]] = {}

    @functools.wraps(read)
    def remembering(*paths: Path):
        stats = [os.stat(path) for path in paths]
        versions = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
        settled = all(time.time_ns() - stat.st_mtime_ns > 2e9 for stat in stats)
        if settled and kept.get(paths, (None,))[0] == versions:
            return kept[paths][1]
        result = read(*paths)
        kept[paths] = versions, result
        return result

    return remembering
