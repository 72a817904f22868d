"""UPMC Food-101 (Wang et al. 2015): photographs of dishes and the titles of the pages they come from.

The lists are CSV without header: image, title, class. Samples without a title are left out.
"""

from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats.files import csv_rows, remember
from vilbert_lib.data.formats.records import (
    LeftOut,
    Record,
    Row,
    Task,
    broken_line,
    checked,
    holding_out,
    unknown_label,
)

PARTS = ("train", "test")


def titles(folder: Path, part: str) -> Path:
    return folder / "texts" / f"{part}_titles.csv"


def dishes(folder: Path) -> tuple[str, ...]:
    """The classes: those of the training list, in alphabetical order."""
    return _dishes(titles(folder, "train"))


@remember
def _dishes(path: Path) -> tuple[str, ...]:
    return tuple(sorted({row[2] for _, row in csv_rows(path) if isinstance(row, list) and len(row) == 3}))


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    classes = {dish: number for number, dish in enumerate(dishes(folder))}
    for part in PARTS:
        for where, row in csv_rows(titles(folder, part)):
            yield holding_out(part, _sample(folder, part, where, row, classes))


def _sample(folder: Path, part: str, where: str, row: list[str] | ValueError, classes: dict[str, int]) -> Row:
    if isinstance(row, ValueError):
        return broken_line(where, row)
    if len(row) != 3:
        return broken_line(where, ValueError(f"{len(row)} columns instead of image, title and class"))
    image, title, dish = row
    if not title.strip():
        return LeftOut("no text")
    if dish not in classes:
        return unknown_label(where, f"class {dish!r} is not in the training list")
    # Both parts count their images from 0.
    name, file = f"{part}-{Path(image).stem}", folder / "images" / part / dish / image
    return checked(where, Record(name, file, title, classes[dish]))


TASK = Task(
    name="upmc_food",
    kind="multiclass",
    annotations=lambda folder: [titles(folder, part) for part in PARTS],
    rows=rows,
    labels=dishes,
)
