"""What every reader gives: records, what was left out and why, and the task they belong to."""

import filecmp
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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


class Broken(ValueError):
    """Why a row cannot be used: the cause in two words, and what is wrong."""

    def __init__(self, cause: str, what: str):
        super().__init__(what)
        self.cause = cause


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
    are pairs of splits that share samples in the dataset as it is published. ``groups`` gives the
    groups of samples in each list that are to stay in one split, and ``draws_groups`` tells whether
    splits are taken from a list by these; ``labels_are_given`` is true where the names of the classes
    are written down, not gathered from the samples. ``published`` counts the rows of the lists as they
    are published, by the splits that are read from a list.
    """

    name: str
    kind: TaskKind
    annotations: Callable[[Path], list[Path]]
    rows: Callable[[Path], Iterator[tuple[str, Row]]]
    labels: Callable[[Path], tuple[str, ...]]
    images: Callable[[Path], Path] = lambda folder: folder
    overlaps: tuple[frozenset[str], ...] = ()
    groups: Callable[[Path], dict[str, set[str]]] = lambda folder: {}
    draws_groups: Callable[[Path], bool] = lambda folder: False
    labels_are_given: bool = False
    published: dict[tuple[str, ...], int] = field(default_factory=dict)

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
        """Twelve hex digits that identify the samples: the hash of the annotations.

        Where splits are taken from a list by groups, this is part of the hash: it changes what a split holds.
        """
        folder = self.folder(data_root)
        parts = _digest(*(path if path.is_dir() else existing(path) for path in self.annotations(folder)))
        parts += b"groups" if self.draws_groups(folder) else b""
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


def parsed(
    where: str, row, read: Callable[..., Row], *given, seen: dict[str, tuple[str, Record]] | None = None
) -> Row:
    """What ``read(row, *given)`` makes of the row at ``where``.

    Parameters
    ----------
    where : str
        File and line of the row.
    row : object
        The row, or the ValueError that reading it gave.
    read : callable
        Raises :class:`Broken`, or another ValueError for a line that cannot be parsed.
    *given
        Further arguments of ``read``.
    seen : dict of str to (str, Record), optional
        For each id the first row of the list that has it; the row is added. An id that is known with another
        image, text or label is refused; copies of an image are the same image.

    Returns
    -------
    Record, Problem or LeftOut
        What ``read`` returns, or in place of an error the problem.
    """
    try:
        if isinstance(row, ValueError):
            raise row
        found = read(row, *given)
        if seen is not None and isinstance(found, Record):
            _refuse_other_sample(found, *seen.setdefault(found.id, (where, found)))
        return found
    except Broken as error:
        return Problem(where, error.cause, str(error))
    except ValueError as error:
        fix = "; save the list as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        return Problem(where, "broken line", f"broken line ({error}{fix})")


def _refuse_other_sample(record: Record, first: str, other: Record) -> None:
    """Refuse ``record`` where it is another sample than the ``other`` in line ``first``, that has its id."""
    same = (record.text, record.label) == (other.text, other.label)
    if not same or not (record.img == other.img or filecmp.cmp(record.img, other.img, shallow=False)):
        what = f"id {record.id!r} is that of another sample in {first}: give each sample an id of its own"
        raise Broken("repeated id", what)


def with_text(record: Record) -> Record:
    """``record``, unless its text is empty or not UTF-8."""
    if not record.text.strip():
        raise Broken("no text", "the text is empty")
    if not is_utf_8(record.text):
        fix = ": save the list as UTF-8" if re.search("[\udc80-\udcff]", record.text) else ""
        raise Broken("broken line", f"text {record.text!r} is not UTF-8{fix}")
    return record


def is_utf_8(text: str) -> bool:
    """Return whether ``text`` can be written as UTF-8: lone surrogates stand for bytes that are not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked(record: Record) -> Record:
    """``record``, unless something is wrong with its text or with its image's file."""
    with_text(record)
    if not os.path.isfile(record.img):  # unlike Path.is_file it is no error for a name that cannot be
        raise missing_image(record.img)
    if not is_utf_8(f"{record.id}{record.img}"):
        what = f"id {record.id!r}, image {str(record.img)!r}: a name is not UTF-8: save the list as UTF-8"
        raise Broken("broken line", f"{what} and rename the file")
    return record


def image_path(images: Path, name: str, root: Path) -> Path:
    """The file ``name`` below the folder ``images``; one image has one path, however a list spells it.

    Parameters
    ----------
    images : Path
        The folder to which names are relative.
    name : str
        A path as it stands in a list.
    root : Path
        The data root.

    Raises
    ------
    ValueError
        If ``..`` or an absolute path leads out of both ``images`` and ``root``.
    """
    path = images / name
    if not os.path.isabs(name) and ".." not in path.relative_to(images).parts:
        return path
    if not (is_below(path, images) or is_below(path, root)):
        raise ValueError(
            f"{name!r} lies outside the data root {root} and the images' folder {images}: move the file there, "
            "or, for data of your own, name its folder as images in task.json"
        )
    return settled(path)


def is_below(path: Path, folder: Path) -> bool:
    """Return whether ``path`` lies in ``folder`` once all links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def settled(path: Path) -> Path:
    """Return ``path`` without ``..``; after a link ``..`` leads where the system goes, not one name back."""
    plain, real = os.path.normpath(path), os.path.realpath(path)
    return Path(plain if os.path.realpath(plain) == real else real)


def doubtful_names(names: Iterable[str], what: str = "label") -> list[str]:
    """Find what may be a mistake in the names of classes, or of ``what`` else they are.

    Returns
    -------
    list of str
        A sentence for each name that differs from another in case, blanks, invisible characters or
        Unicode form only, and for each that reads like a missing value, such as ``nan``.
    """
    found: list[str] = []
    first: dict[str, str] = {}
    for name in names:
        letters = (c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
        plain = " ".join(unicodedata.normalize("NFKC", "".join(letters).casefold()).split())
        if (other := first.setdefault(plain, name)) != name:
            found.append(f"{what}s {other!a} and {name!a} differ in case, blanks or Unicode form only")
        if plain in ("nan", "<na>", "nat", "null"):
            found.append(f"{what} {name!r} reads like a missing value: leave the {what} empty")
    return found


def missing_image(image: Path) -> Broken:
    """Describe an image that is not there."""
    return Broken("missing image", f"image {image} is missing{_other_spelling(image)}")


def _other_spelling(image: Path) -> str:
    """Under which name of other bytes, Latin-1 or another Unicode form, the file is there, in words."""
    if image.name.isascii() or not os.path.isdir(image.parent):
        return ""

    def plain(name: str) -> str:
        name = name if is_utf_8(name) else os.fsencode(name).decode("latin-1")
        return unicodedata.normalize("NFC", name)

    names = sorted(name for name in os.listdir(image.parent) if plain(name) == plain(image.name))
    return f"; there is {names[0]!a}, the same name in other bytes: rename that file" if names else ""


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
