"""Files of annotations to rows: JSON, JSON lines and CSV, with file and line for what is broken."""

import codecs
import csv
import functools
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from vilbert_lib.files import version

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
        fix = "; save the file as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise ValueError(f"{path}: not readable as JSON: {error}{fix}") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path}: {_KINDS[kind]} is needed, not {json.dumps(content)[:40]}")
    return content


def json_lines(path: Path) -> Iterator[tuple[str, dict | ValueError]]:
    """File and line, and the object there or what is wrong with it, for every line that is not blank."""
    content = existing(path).read_bytes()
    wide = ValueError(_WIDE) if _is_utf_16(content) else None
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = wide or json.loads(line)
            if not isinstance(row, (dict, ValueError)):
                row = ValueError(f"{_KINDS[dict]} is needed, not {json.dumps(row)[:40]}")
        except ValueError as error:
            row = error
        except RecursionError as error:
            row = ValueError(str(error))
        yield f"{path}:{number}", row


_WIDE = "the encoding is UTF-16, not UTF-8: save the file as UTF-8"


def _is_utf_16(content: bytes) -> bool:
    # Of Latin letters every second byte is null; a single null character is one broken line.
    start = content[:1000]
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 4 * start.count(0) > len(start)


def read_text(path: Path) -> str:
    """The content of a list in UTF-8, without a byte order mark and with the line ends that it has.

    Bytes that are not UTF-8 become lone surrogates, which the check of a text finds.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is in UTF-16.
    """
    content = existing(path).read_bytes()
    if _is_utf_16(content):
        raise ValueError(f"{path}:1: {_WIDE}")
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def csv_rows(path: Path) -> Iterator[tuple[str, list[str] | ValueError]]:
    """Read the rows of a CSV file that are not blank.

    Yields
    ------
    (str, list of str or ValueError)
        File and line, and the fields there or what is wrong with them. A row that runs over several
        lines is at its first. After a broken row the next line is read as a row of its own, so that
        a stray quote costs one line.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`read_text`.
    """
    lines = list(io.StringIO(read_text(path), newline=""))
    number = 0

    def following() -> Iterator[str]:
        nonlocal number
        while number < len(lines):
            number += 1
            yield lines[number - 1]

    while number < len(lines):
        first = number
        try:
            row = next(csv.reader(following(), strict=True))
        except csv.Error as error:
            number = first + 1
            row = ValueError(f"{error}: put a text with quotes into quotes, and double its own")
        if row:
            yield f"{path}:{first + 1}", row


def image_names(folder: Path) -> set[str]:
    """Return the names of the images in ``folder``: files only. Where there is no such folder, none."""
    if not os.path.isdir(folder):
        return set()
    named = [entry for entry in os.scandir(folder) if entry.name.lower().endswith(IMAGE_ENDINGS)]
    # A link may lead anywhere, also to itself: isfile gives False where DirEntry.is_file raises.
    return {e.name for e in named if (os.path.isfile(e.path) if e.is_symlink() else e.is_file())}


def value(row: dict, name: str, kind: type = object):
    """The field ``name`` of an object; a ValueError where it is missing or no ``kind``."""
    if name not in row:
        raise ValueError(f"{name} is missing")
    if not isinstance(row[name], kind):
        raise ValueError(f"{name} {row[name]!r} is not {_KINDS[kind]}")
    return row[name]


def remember(read: Callable) -> Callable:
    """Decorate ``read(*given)``: its result is kept until the :func:`version` of a path among them differs.

    Paths that changed within the last two seconds are read again: the clocks of file systems are
    coarse.
    """
    kept: dict[tuple, tuple[list, object]] = {}

    @functools.wraps(read)
    def remembering(*given):
        versions = [version(path) for path in given if isinstance(path, Path)]
        settled = all(time.time_ns() - max(mtime_ns, ctime_ns) > 2e9 for _, mtime_ns, ctime_ns, _ in versions)
        if settled and kept.get(given, (None,))[0] == versions:
            return kept[given][1]
        result = read(*given)
        kept[given] = versions, result
        return result

    return remembering
