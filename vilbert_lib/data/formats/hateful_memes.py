"""Hateful Memes (Kiela et al. 2020): JSON lines {"id", "img", "text", "label"} and a folder of images.

Phase 1 names its parts dev and test. Phase 2 has two of each: dev_seen and test_seen are read as
``val`` and ``test``, the others as splits of their own. Its two dev parts share samples.
"""

from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats.files import json_lines, value
from vilbert_lib.data.formats.records import Broken, Record, Row, Task, checked, image_path, parsed

UNSEEN = ("dev_unseen", "test_unseen")


def parts(folder: Path) -> dict[str, Path]:
    """The list of each split; those of phase 2 that need not be there only where they are."""
    phase2 = (folder / "dev_seen.jsonl").is_file()
    names = {"train": "train", "val": "dev_seen" if phase2 else "dev", "test": "test_seen" if phase2 else "test"}
    names |= {name: name for name in UNSEEN if (folder / f"{name}.jsonl").is_file()}
    return {split: folder / f"{name}.jsonl" for split, name in names.items()}


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Read the memes: split and row, line by line."""
    for split, path in parts(folder).items():
        seen = {}
        for where, row in json_lines(path):
            yield split, parsed(where, row, _meme, folder, seen=seen)


def _meme(row: dict, folder: Path) -> Record:
    name, label = str(value(row, "id")), row.get("label")
    image = image_path(folder, value(row, "img", str), folder.parent)
    record = Record(name, image, value(row, "text", str), label)
    if label not in (0, 1, None) or isinstance(label, (bool, float)):
        raise Broken("unknown label", f"label {label!r} is neither 0 nor 1")
    return checked(record)


TASK = Task(
    name="hateful_memes",
    kind="binary",
    annotations=lambda folder: list(parts(folder).values()),
    rows=rows,
    labels=lambda folder: ("benign", "hateful"),
    overlaps=(frozenset({"val", "dev_unseen"}),),
    published={("train",): 8500, ("val",): 500, ("test",): 1000, ("dev_unseen",): 540, ("test_unseen",): 2000},
)
