"""What every reader gives: records, what was left out and why, and the task they belong to."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, get_args

from vilbert_lib.config import OnError, TaskKind, choose
from vilbert_lib.data.formats.files import existing, image_names, remember


class Record(NamedTuple):
    """One sample: an image's file, a text, and a label.

    The label is the number of a class, or, in multi-label tasks, the sorted numbers of all that
    apply; None where the dataset gives none.
    """

    id: str
    img: Path
    text: str
    label: int | tuple[int, ...] | None


class Problem(NamedTuple):
    """A sample that cannot be used: where it stands (file and line), its cause in two words, and what is wrong."""

    where: str
    cause: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"

    def error(self) -> Exception:
        """The problem as an error."""
        return (FileNotFoundError if self.cause.startswith("missing") else ValueError)(str(self))


class LeftOut(NamedTuple):
    """A row that the dataset is known to hold and that no reader gives, such as one without text."""

    cause: str


Row = Record | Problem | LeftOut
Splits = dict[str, list[Record]]


@dataclass
class Reading:
    """All samples of a dataset, by split, and beside them the rows that gave none.

    ``problems`` are broken samples that were skipped; ``left_out`` counts rows by their cause.
    """

    splits: Splits = field(default_factory=lambda: {"train": [], "val": [], "test": []})
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A dataset and what is asked of it.

    ``annotations`` lists the files that define the samples, and the folders of which the names of
    the images do; ``rows`` reads a dataset's folder and tells the split of each row; ``labels``
    names the classes in order; ``images`` is the folder below which the images lie; ``overlaps``
    are pairs of splits that share samples in the dataset as it is published.
    """

    name: str
    kind: TaskKind
    annotations: Callable[[Path], list[Path]]
    rows: Callable[[Path], Iterator[tuple[str, Row]]]
    labels: Callable[[Path], tuple[str, ...]]
    images: Callable[[Path], Path] = lambda folder: folder
    overlaps: tuple[frozenset[str], ...] = ()

    def folder(self, data_root: Path) -> Path:
        """The dataset's folder below ``data_root``; a FileNotFoundError names what is missing."""
        data_root = Path(data_root)
        if not data_root.is_dir():
            raise FileNotFoundError(f"data root {data_root} does not exist")
        folder = data_root / self.name
        if not folder.is_dir():
            raise FileNotFoundError(f"data root {data_root} holds no folder {self.name}/ for task {self.name!r}")
        return folder

    def read(self, data_root: Path, on_error: OnError = "raise") -> Reading:
        """Read all splits; a broken sample is an error that names it, or skipped and listed.

        A file of the dataset that is missing or unreadable as a whole is an error in any case.
        """
        choose("on_error", on_error, get_args(OnError))
        reading = Reading()
        for split, row in self.rows(self.folder(data_root)):
            if isinstance(row, Record):
                reading.splits.setdefault(split, []).append(row)
            elif isinstance(row, LeftOut):
                reading.left_out.setdefault(split, Counter())[row.cause] += 1
            elif on_error == "skip":
                reading.problems.setdefault(split, []).append(row)
            else:
                raise row.error()
        return reading

    def splits(self, data_root: Path, on_error: OnError = "raise") -> Splits:
        """The samples alone: ``train``, ``val``, ``test``, and further splits that the dataset has."""
        return self.read(data_root, on_error).splits

    def fingerprint(self, data_root: Path) -> str:
        """Twelve hex digits that identify the samples: the hash of the annotations."""
        parts = _digest(
            *(path if path.is_dir() else existing(path) for path in self.annotations(self.folder(data_root)))
        )
        return hashlib.sha256(self.name.encode() + parts).hexdigest()[:12]


@remember
def _digest(*paths: Path) -> bytes:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_dir():
            names = "/".join(sorted(image_names(path)))
            digest.update(f"{path.parent.name}/{path.name}/:{names}".encode())
        else:
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.digest()


def text_problem(where: str, text: str) -> Problem | None:
    """What is wrong with a text, if anything."""
    if not text.strip():
        return Problem(where, "no text", "the text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Problem(where, "broken line", f"text {text!r} is not UTF-8")
    return None


def checked(where: str, record: Record) -> Record | Problem:
    """``record``, or what is wrong with its text or with its image's file."""
    if problem := text_problem(where, record.text):
        return problem
    if not os.path.isfile(record.img):  # unlike Path.is_file it is no error for a name that cannot be
        return missing_image(where, record.img)
    return record


def missing_image(where: str, image: Path) -> Problem:
    return Problem(where, "missing image", f"image {image} is missing")


def broken_line(where: str, error: ValueError) -> Problem:
    return Problem(where, "broken line", f"broken line ({error})")


def unknown_label(where: str, what: str) -> Problem:
    return Problem(where, "unknown label", what)


def holding_out(part: str, row: Row) -> tuple[str, Row]:
    """Split and row, in a dataset that comes without a validation part.

    The training images whose number ends in 9 are held out, with all their texts, so that no
    image is in two splits.
    """
    held_out = part == "train" and isinstance(row, Record) and row.img.stem.endswith("9")
    return ("val" if held_out else part), row


def in_words(label: int | tuple[int, ...] | None, names: tuple[str, ...]) -> str:
    """The names of a record's label, separated by commas."""
    numbers = () if label is None else label if isinstance(label, tuple) else (label,)
    return ", ".join(names[number] for number in numbers)
