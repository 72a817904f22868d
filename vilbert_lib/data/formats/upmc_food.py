"""UPMC Food-101 (Wang et al. 2015): photographs of dishes and the titles of the pages they come from.

The lists have no header. A physical line is a sample: image, title and class, separated by commas.
Their quotes are not reliable: a title may hold a stray one, and none continues on the next line.
Samples without a title are left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats.files import read_text, remember
from vilbert_lib.data.formats.records import (
    Broken,
    LeftOut,
    Record,
    Row,
    Task,
    checked,
    holding_out,
    image_path,
    parsed,
)

PARTS = ("train", "test")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def titles(folder: Path, part: str) -> Path:
    """Path of the list of titles of a part."""
    return folder / "texts" / f"{part}_titles.csv"


def dishes(folder: Path) -> tuple[str, ...]:
    """The classes: those of the training list, in alphabetical order."""
    return _dishes(titles(folder, "train"))


@remember
def _dishes(path: Path) -> tuple[str, ...]:
    return tuple(sorted({row[2] for _, row in _fields(path) if len(row) == 3}))


def _fields(path: Path) -> Iterator[tuple[str, list[str]]]:
    """File and line, and image, title and class there, for every line that is not blank.

    Image and class are the first and the last field, and all between is the title. Quotes are
    characters, except those around a whole field in which the others are doubled.
    """
    for number, line in enumerate(re.split("\r\n|\r|\n", read_text(path)), start=1):
        if line.strip():
            image, *between = line.split(",")
            fields = [image, ",".join(between[:-1]), between[-1]] if len(between) > 1 else [image, *between]
            yield f"{path}:{number}", [_unquoted(field) for field in fields]


def _unquoted(field: str) -> str:
    quoted = _QUOTED.fullmatch(field)
    return quoted[1].replace('""', '"') if quoted else field


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Read the dishes: split and row, line by line."""
    classes = {dish: number for number, dish in enumerate(dishes(folder))}
    for part in PARTS:
        for where, row in _fields(titles(folder, part)):
            yield holding_out(part, parsed(where, row, _sample, folder, part, classes))


def _sample(row: list[str], folder: Path, part: str, classes: dict[str, int]) -> Row:
    if len(row) != 3:
        raise ValueError(f"{len(row)} columns instead of image, title and class")
    image, title, dish = row
    if not title.strip():
        return LeftOut("no text")
    if dish not in classes:
        raise Broken("unknown label", f"class {dish!r} is not in the training list")
    # Both parts count their images from 0.
    name = f"{part}-{Path(image).stem}"
    file = image_path(folder / "images" / part / dish, image, folder.parent)
    return checked(Record(name, file, title, classes[dish]))


TASK = Task(
    name="upmc_food",
    kind="multiclass",
    annotations=lambda folder: [titles(folder, part) for part in PARTS],
    rows=rows,
    labels=dishes,
    published={("train", "val"): 67_988, ("test",): 22_716},
)
