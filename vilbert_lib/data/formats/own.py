"""Data of one's own: lists of {"img", "text", "label"}, a folder of images, and a ``task.json`` about them.

Lists are JSON lines, or CSV with a header. A label is a name or a whole number; in multi-label
tasks a list of these, which in CSV are separated by ``|``.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from vilbert_lib.config import TaskKind, choose, from_dict, to_dict
from vilbert_lib.data.formats.files import csv_rows, existing, json_lines, read_json, remember, value
from vilbert_lib.data.formats.known import TASKS
from vilbert_lib.data.formats.records import Problem, Record, Row, Task, broken_line, checked, unknown_label

FILE = "task.json"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a ``task.json`` says; paths are relative to its folder.

    ``files`` names the list of each split. A split without one is taken out of the training list:
    ``split_off`` gives its share of the images, which are drawn with ``seed``, each with all its
    texts. ``labels`` names the classes in order; without it they are those of the training list,
    numbers by size and names by the alphabet.
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
        kind = description.kind
        names = description.labels or _names_in(folder / description.files["train"], kind)
        least, most = {"binary": (2, 2), "multiclass": (2, math.inf), "multilabel": (1, math.inf)}.get(
            kind, (0, 0)
        )
        if not least <= len(names) <= most:
            raise ValueError(
                f"{folder}: {len(names)} labels are not those of a {kind} task: {', '.join(names[:5])}"
            )
        return names

    return Task(
        name=name,
        kind=description.kind,
        annotations=lambda folder: [folder / FILE, *lists(folder)],
        rows=lambda folder: _rows(folder, description, labels(folder)),
        labels=labels,
        images=lambda folder: folder / description.images,
    )


def _names_in(path: Path, kind: TaskKind) -> tuple[str, ...]:
    return () if kind == "captions" else (_sets_in if kind == "multilabel" else _classes_in)(path)


@remember
def _classes_in(path: Path) -> tuple[str, ...]:
    return _distinct(path, "multiclass")


@remember
def _sets_in(path: Path) -> tuple[str, ...]:
    return _distinct(path, "multilabel")


def _distinct(path: Path, kind: TaskKind) -> tuple[str, ...]:
    """The labels of a list in order; broken rows, which reading will name, are passed over."""
    names = set()
    for _, row in _objects(path):
        if isinstance(row, dict):
            try:
                names |= set(_names(row.get("label"), kind) or ())
            except ValueError:
                continue
    numbers = all(re.fullmatch("-?[0-9]+", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


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


def _name(label) -> str:
    if not isinstance(label, (str, int)):
        raise ValueError(f"label {label!r} is neither a name nor a whole number")
    if label == "":
        raise ValueError("an empty name is no label")
    return label.strip() if isinstance(label, str) else str(label).lower()  # true and false as JSON writes them


def _objects(path: Path) -> Iterator[tuple[str, dict | ValueError]]:
    """The rows of a list as objects, whichever of the two forms it has."""
    if path.suffix == ".jsonl":
        yield from json_lines(path)
        return
    rows = csv_rows(path)
    where, header = next(rows, (f"{path}:1", []))
    needed = [name for name in ("img", "text") if isinstance(header, ValueError) or name not in header]
    if needed:
        raise ValueError(f"{where}: the header {header!r} has no column {' and no column '.join(needed)}")
    for where, row in rows:
        if isinstance(row, list):
            wrong = len(row) != len(header)
            message = f"{len(row)} columns, {len(header)} in the header"
            row = ValueError(message) if wrong else dict(zip(header, row, strict=True))
        yield where, row


def _rows(folder: Path, description: Description, names: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    numbers = {name: number for number, name in enumerate(names)}
    images = folder / description.images
    for split, file in description.files.items():
        path = folder / file
        found = [_sample(images, where, row, description.kind, numbers) for where, row in _objects(path)]
        taken = _split_off(images, found, description, path) if split == "train" else {}
        for row in found:
            yield (taken.get(row.img, split) if isinstance(row, Record) else split), row


def _sample(
    images: Path, where: str, row: dict | ValueError, kind: TaskKind, numbers: dict[str, int]
) -> Record | Problem:
    try:
        if isinstance(row, ValueError):
            raise row
        img, text, label = value(row, "img", str), value(row, "text", str), _names(row.get("label"), kind)
    except ValueError as error:
        return broken_line(where, error)
    if unknown := [name for name in label or () if name not in numbers]:
        return unknown_label(where, f"label {unknown[0]!r} is none of {', '.join(list(numbers)[:10])}")
    found = None if label is None else tuple(sorted(numbers[name] for name in label))
    single = found if kind == "multilabel" or found is None else found[0]
    name = os.path.basename(where) if row.get("id") in (None, "") else str(row["id"])
    # One image has one path, however a list spells it.
    return checked(where, Record(name, Path(os.path.normpath(images / img)), text, single))


def _split_off(images: Path, rows: list[Row], description: Description, path: Path) -> dict[Path, str]:
    """The split of each image that is taken out of training.

    The images are ordered by a hash of seed and name, so that neither their order in the list nor
    the machine matters, and an image that is added moves few others.
    """

    def rank(image: Path) -> bytes:
        return hashlib.sha256(f"{description.seed}/{os.path.relpath(image, images)}".encode()).digest()

    ordered = sorted({row.img for row in rows if isinstance(row, Record)}, key=rank)
    taken, start = {}, 0
    for split, share in description.split_off.items():
        count = round(share * len(ordered))
        if not count:
            raise ValueError(f"{path}: split_off {split} {share}: that share of {len(ordered)} images is none")
        taken |= dict.fromkeys(ordered[start : start + count], split)
        start += count
    return taken
