"""Data of one's own: lists of {"img", "text", "label"}, a folder of images, and a ``task.json`` about them.

Lists are JSON lines, or CSV with a header. A label is a name or a whole number; in multi-label
tasks a list of these, which in CSV are separated by ``|``. Rows with the same ``group`` stay in one
split where splits are taken from one list.
"""

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, get_args

from vilbert_lib.config import TaskKind, choose, from_dict, to_dict
from vilbert_lib.data.formats.files import csv_rows, existing, json_lines, read_json, remember, value
from vilbert_lib.data.formats.known import TASKS
from vilbert_lib.data.formats.records import (
    Broken,
    Problem,
    Record,
    Row,
    Task,
    checked,
    doubtful_names,
    image_path,
    is_utf_8,
    parsed,
    settled,
)

FILE = "task.json"
SPLITS = ("train", "val", "test")
FIELDS = ("img", "text", "label", "id", "group")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a ``task.json`` says; paths are relative to its folder.

    ``files`` names the list of each split. A split without one is taken out of the training list:
    ``split_off`` gives its share of the images, which are drawn with ``seed``, each with all its
    texts; where the list has groups, its share of these. ``labels`` names the classes in order;
    without it they are those of the training list, numbers by size and names by the alphabet.
    """

    kind: TaskKind
    files: dict[str, str]
    images: str = "."
    labels: tuple[str, ...] = ()
    split_off: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self):
        choose("kind", self.kind, get_args(TaskKind))
        for name, kind, words in _FIELDS:
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} {getattr(self, name)!r} is not {words}")
        for split in (*self.files, *self.split_off):
            choose("split", split, SPLITS)
        for split in SPLITS:
            if (split in self.files) == (split in self.split_off):
                raise ValueError(f"{split} needs either a list in files or a share in split_off")
        if "train" in self.split_off:
            raise ValueError("train needs a list in files: the other splits are split off from it")
        for split, file in self.files.items():
            if not isinstance(file, str) or not file.endswith((".jsonl", ".csv")):
                raise ValueError(f"files: {split} {file!r} is neither .jsonl nor .csv")
        shares = self.split_off.values()
        if not all(isinstance(share, float) and 0 < share < 1 for share in shares) or sum(shares) >= 1:
            raise ValueError(f"split_off {self.split_off}: each share lies in (0, 1), all together below 1")
        object.__setattr__(self, "labels", tuple(_name(label) for label in self.labels))
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels {list(self.labels)}: a name stands there twice")


_FIELDS = (
    ("files", dict, "an object of splits and lists"),
    ("split_off", dict, "an object of splits and shares"),
    ("images", str, "the name of a folder"),
    ("labels", (list, tuple), "a list of names or whole numbers"),
    ("seed", int, "a whole number"),
)


def task(folder: Path) -> Task:
    """The task that the ``task.json`` in ``folder`` describes; its name is the folder's."""
    folder = Path(folder)
    return _task(folder.name, read_description(folder))


def register(folder: Path, **description) -> Task:
    """Make the lists in ``folder`` a task: write its ``task.json`` from the fields of :class:`Description`.

    The folder's name is the task's, the folder that holds it the data root. Raises ValueError
    where the folder holds another ``task.json`` or has the name of a dataset that the library knows.
    """
    folder = Path(folder).resolve()
    if folder.name in TASKS:
        raise ValueError(
            f"{folder}: {folder.name!r} is a dataset that the library knows: name the folder otherwise"
        )
    wanted = Description(**description)
    for file in wanted.files.values():
        existing(folder / file)
    path = folder / FILE
    if path.is_file() and read_description(folder) != wanted:
        raise ValueError(f"{path} describes another task: remove it, or change it by hand")
    made = _task(folder.name, wanted)
    made.labels(folder)
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_text(json.dumps(to_dict(wanted), indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return made


def read_description(folder: Path) -> Description:
    """The ``task.json`` of ``folder``; a ValueError names the file and what is wrong with it."""
    path = Path(folder) / FILE
    values = read_json(path, dict)
    try:
        return from_dict(Description, values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _task(name: str, description: Description) -> Task:
    def lists(folder: Path) -> list[Path]:
        return [folder / file for file in description.files.values()]

    def labels(folder: Path) -> tuple[str, ...]:
        kind, train = description.kind, folder / description.files["train"]
        names = description.labels or _told(train, kind).names
        least, most = {"binary": (2, 2), "multiclass": (2, math.inf), "multilabel": (1, math.inf)}.get(
            kind, (0, 0)
        )
        if not least <= len(names) <= most:
            found = ", ".join(names[:5]) or f"no row of {train.name} has a value in 'label'"
            what = f"{folder}: {len(names)} labels are not those of a {kind} task: {found}"
            broken = None if description.labels else _told(train, kind).broken
            raise ValueError(f"{what}; the first broken row is {broken}" if broken else what)
        for doubt in [] if description.labels else doubtful_names(names):
            warnings.warn(f"{folder}: {doubt}", stacklevel=2)
        return names

    def groups(folder: Path) -> dict[str, set[str]]:
        return {s: _told(folder / file, description.kind).groups for s, file in description.files.items()}

    return Task(
        name=name,
        kind=description.kind,
        annotations=lambda folder: [folder / FILE, *lists(folder)],
        rows=lambda folder: _rows(folder, description, labels(folder)),
        labels=labels,
        images=lambda folder: settled(folder / description.images),
        groups=groups,
        draws_groups=lambda folder: bool(description.split_off and groups(folder)["train"]),
        labels_are_given=bool(description.labels),
    )


class _Told(NamedTuple):
    """What a list tells as a whole: the labels in order, the groups, and the first row whose label is broken."""

    names: tuple[str, ...]
    groups: set[str]
    broken: Problem | None


@remember
def _told(path: Path, kind: TaskKind) -> _Told:
    """Read a list; broken rows, which reading will name, are passed over."""

    def label_of(row: dict) -> tuple[str, ...]:
        return _names(row.get("label"), kind) or ()

    names, groups, broken = set(), {""}, None
    for where, row in _objects(path):
        label, group = parsed(where, row, label_of), parsed(where, row, _group)
        if isinstance(label, Problem):
            broken = broken or label
        else:
            names |= set(label)
        groups |= set() if isinstance(group, Problem) else {group}
    # pandas writes whole numbers as 1.0 where one of them is missing.
    if all(re.fullmatch(r"-?[0-9]+(\.0+)?", name) for name in names):
        names = {_whole(name) for name in names}
    numbers = all(re.fullmatch("-?[0-9]+", name) for name in names)
    ordered = sorted(names, key=lambda name: (int(name) if numbers else 0, name))
    return _Told(tuple(ordered), groups - {""}, broken)


def _group(row: dict) -> str:
    """The group of a row; the empty string where it has none."""
    group = row.get("group")
    return "" if group is None or group == "" else _whole(_name(group, "group"))


def _names(label, kind: TaskKind) -> tuple[str, ...] | None:
    """The names in a label as it stands in a list; None where there is none."""
    if kind == "captions" or label is None:
        return None
    if kind == "multilabel":
        parts = [part for part in label.split("|") if part.strip()] if isinstance(label, str) else label
        if not isinstance(parts, list):
            raise ValueError(f"label {label!r} is not a list of names or whole numbers")
        return tuple(sorted({_name(part) for part in parts}))
    return None if isinstance(label, str) and not label.strip() else (_name(label),)


def _name(label, field: str = "label") -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if not isinstance(label, (str, int)):
        raise ValueError(f"{field} {label!r} is neither a name nor a whole number")
    if label == "":
        raise ValueError("an empty name is no label")
    if isinstance(label, str) and "\n" in label.strip():
        raise ValueError(f"{field} {label[:40]!r} runs over several lines: a quote is opened and not closed")
    if isinstance(label, str) and not is_utf_8(label):
        raise ValueError(f"{field} {label!r} is not UTF-8: save the list as UTF-8")
    return label.strip() if isinstance(label, str) else str(label).lower()  # true and false as JSON writes them


def _whole(name: str) -> str:
    """A whole number without the ``.0`` that pandas writes; other names as they are."""
    whole = re.fullmatch(r"(-?[0-9]+)\.0+", name)
    return whole[1] if whole else name


def _objects(path: Path) -> Iterator[tuple[str, dict | ValueError]]:
    """The rows of a list as objects, whichever of the two forms it has."""
    if path.suffix == ".jsonl":
        for where, row in json_lines(path):
            wrong = _misspelt(row) if isinstance(row, dict) else ""
            yield where, ValueError(wrong) if wrong else row
        return
    rows = csv_rows(path)
    where, header = next(rows, (f"{path}:1", []))
    if isinstance(header, ValueError):
        raise ValueError(f"{where}: the header is broken ({header})")
    needed = [name for name in ("img", "text") if name not in header]
    if twice := [name for name in FIELDS if header.count(name) > 1]:
        raise ValueError(f"{where}: the header {header!r} has column {twice[0]!r} twice: remove one of the two")
    wrong = _misspelt(header)
    if needed or wrong:
        lacks = f"has no column {' and no column '.join(needed)}" if needed else "cannot be read"
        raise ValueError(f"{where}: the header {header!r} {lacks}; {wrong or 'known are ' + ', '.join(FIELDS)}")
    for where, row in rows:
        if isinstance(row, list):
            wrong = len(row) != len(header)
            message = f"{len(row)} columns, {len(header)} in the header"
            row = ValueError(message) if wrong else dict(zip(header, row, strict=True))
        yield where, row


def _misspelt(names: Iterable[str]) -> str:
    """Which name is a known one in other letters, in words; empty where there is none."""
    for name in names:
        if (known := name.strip().lower()) in FIELDS and known not in names and known != "id":
            return f"{name!r} is not {known!r}: names are in lower case and without blanks"
    return ""


def _rows(folder: Path, description: Description, names: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    numbers = {name: number for number, name in enumerate(names)}
    images = settled(folder / description.images)
    for split, file in description.files.items():
        path, seen, groups = folder / file, {}, {}
        found = []
        for where, row in _objects(path):
            if file.endswith(".csv") and isinstance(row, dict) and (others := _swallowed(images, row)):
                what = f"a field runs on to the row of {others[0]!r}, further rows in it: {len(others)}"
                row = ValueError(f"{what}; a quote is opened and not closed")
            given = images, folder.parent, os.path.basename(where), description.kind, numbers
            found.append(parsed(where, row, _sample, *given, seen=seen))
            if isinstance(found[-1], Record):
                groups.setdefault(found[-1].img, set()).add(_group(row))
        try:
            taken = _split_off(images, groups, description, path) if split == "train" else {}
        except ValueError as error:
            broken = next((row for row in found if isinstance(row, Problem)), None)
            raise ValueError(f"{error}; the first broken row is {broken}" if broken else str(error)) from error
        for row in found:
            yield (taken.get(row.img, split) if isinstance(row, Record) else split), row


def _sample(row: dict, images: Path, root: Path, line: str, kind: TaskKind, numbers: dict[str, int]) -> Record:
    img, text, label = value(row, "img", str), value(row, "text", str), _names(row.get("label"), kind)
    image = image_path(images, img, root)
    _group(row)
    if label is not None:
        label = {name if name in numbers else _whole(name) for name in label}
    if unknown := [name for name in label or () if name not in numbers]:
        raise Broken("unknown label", f"label {unknown[0]!r} is none of {', '.join(list(numbers)[:10])}")
    found = None if label is None else tuple(sorted(numbers[name] for name in label))
    single = found if kind == "multilabel" or found is None else found[0]
    name = line if row.get("id") in (None, "") else str(row["id"])
    return checked(Record(name, image, text, single))


def _swallowed(images: Path, row: dict[str, str]) -> list[str]:
    """The images of further rows that fields over several lines hold."""
    lines = [line for text in row.values() for line in text.splitlines()[1:]]
    parts = [part.strip() for line in lines for part in line.split(",")]
    return [part for part in parts if "." in part and os.path.isfile(images / part)]


def _split_off(
    images: Path, groups: dict[Path, set[str]], description: Description, path: Path
) -> dict[Path, str]:
    """The split of each image that is taken out of training; ``groups`` has the groups of each image.

    The images, or where there are groups these, are ordered by a hash of seed and name, so that
    neither their order in the list nor the machine matters, and one that is added moves few others.
    """

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{description.seed}/{name}".encode()).digest()

    units = _units(images, groups)
    ordered = sorted(set(units.values()), key=rank)
    taken, start = {}, 0
    for split, share in description.split_off.items():
        count = round(share * len(ordered))
        if not count:
            what = "images" if all(found == {""} for found in groups.values()) else "groups"
            raise ValueError(f"{path}: split_off {split} {share}: that share of {len(ordered)} {what} is none")
        taken |= dict.fromkeys(ordered[start : start + count], split)
        start += count
    return {image: taken[unit] for image, unit in units.items() if unit in taken}


def _units(images: Path, groups: dict[Path, set[str]]) -> dict[Path, str]:
    """What each image is drawn with: itself, or the images that share a group with it, directly or through others.

    A unit is called after its image, or after its first group by the alphabet.
    """
    parent: dict[str, str] = {}

    def unit(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    names = {image: os.path.relpath(image, images) for image in groups}
    for image, found in groups.items():
        for group in found - {""}:
            # A null character is in no file's name, and comes first in the alphabet.
            first, other = sorted((unit(names[image]), unit(f"\0{group}")))
            parent[other] = first
    return {image: unit(name) for image, name in names.items()}
