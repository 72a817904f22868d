"""The lists of Conceptual Captions, and the folder in which a part is gathered."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from filelock import FileLock, Timeout

from vilbert_lib.config import choose
from vilbert_lib.data import formats
from vilbert_lib.data.fetched import Record

#: Part of the dataset -> the name of its list.
LISTS = {"train": "Train_GCC-training.tsv", "validation": "Validation_GCC-1.1.0-Validation.tsv"}


def part_of(captions: Path) -> str:
    """The part that a list's file name tells: ``train`` or ``validation``; else a ValueError."""
    for part in LISTS:
        if captions.name.lower().startswith(part):
            return part
    raise ValueError(f"{captions}: the name does not tell whether this is {' or '.join(LISTS)}: name the part")


def read_line(raw: bytes) -> tuple[str, str]:
    """Caption and address of one line; a ValueError says how it is broken."""
    row = raw.decode("utf-8").rstrip("\r\n").split("\t")
    if len(row) != 2:
        raise ValueError(f"{len(row)} columns instead of caption and address")
    return row[0], row[1]


@dataclass(frozen=True)
class Part:
    """The list ``captions`` as part ``name`` of the folder ``out``, and the record of its lines."""

    captions: Path
    out: Path
    name: str
    record: Record

    @property
    def unfinished(self) -> Path:
        """Where images lie until they are whole."""
        return self.out / self.name / ".unfinished"

    def image(self, line: int) -> Path:
        """Where the image of ``line`` lies."""
        return _image(self.out, self.name, line)


@contextmanager
def opened(captions: Path, out: Path, name: str | None = None) -> Iterator[Part]:
    """Take part ``name`` (by default what the list's name tells) of the folder ``out`` for oneself.

    The list is put beside the images. In the copy a broken line is empty, so that the reader takes
    it and the numbers of the others stay. Raises ValueError where ``out`` holds another list, and
    OSError where another process has the same part.
    """
    captions, out = Path(captions), Path(out)
    name = choose("part", name or part_of(captions), LISTS.keys())
    if not captions.is_file():
        raise FileNotFoundError(f"{captions} is missing")
    (out / name).mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(out / name / "fetched.lock").acquire(blocking=False)
    except Timeout:
        raise OSError(f"{out / name}: another process is fetching this part") from None
    with lock:
        lines = _put(captions, out / LISTS[name])
        with Record(out / name / "fetched.jsonl", lines, lambda line: _image(out, name, line)) as record:
            yield Part(captions, out, name, record)


def _image(out: Path, name: str, line: int) -> Path:
    return formats.caption_image(out, name, line).with_suffix(".jpg")


def _put(captions: Path, target: Path) -> int:
    """Copy the list, or see that the copy that is there is the same; return its number of lines."""
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.unfinished")
        with open(captions, "rb") as source, open(unfinished, "wb") as copy:
            copy.writelines(map(_readable, source))
        os.replace(unfinished, target)
    number = 0
    with open(captions, "rb") as source, open(target, "rb") as copy:
        for number, (raw, there) in enumerate(zip_longest(source, copy), start=1):
            if raw is None or there not in (raw, _readable(raw)):
                raise ValueError(f"{target}:{number} is not that line of {captions}: use another folder")
    return number


def _readable(raw: bytes) -> bytes:
    try:
        read_line(raw)
    except ValueError:
        return b"\t\n"
    return raw
