"""Conceptual Captions (Sharma et al. 2018), with images that were downloaded from its lists of addresses.

Either ``train/`` and ``validation/`` are folders that img2dataset wrote
(:mod:`vilbert_lib.data.formats.img2dataset`), or they hold images named by the number of their line in the two
lists, which are tab-separated caption and address without header. Many addresses are dead: lines without an image
are left out. There is no test part: validation serves as both.
"""

from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats import img2dataset
from vilbert_lib.data.formats.files import existing, image_names
from vilbert_lib.data.formats.records import LeftOut, Record, Row, Task, parsed, with_text

LISTS = {"train": "Train_GCC-training.tsv", "validation": "Validation_GCC-1.1.0-Validation.tsv"}
ENDINGS = (".jpeg", ".jpg", ".png")
A_FOLDER = 10_000  # images
_NO_IMAGE = LeftOut("no image")


def caption_image(folder: Path, part: str, line: int) -> Path:
    """Where the image of line ``line`` (from 0) lies: ten thousand to a folder."""
    return folder / part / f"{line // A_FOLDER:04d}" / f"{line:08d}.png"


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Read the captions: split and row, line by line."""
    for row in _captions(folder, "train"):
        yield "train", row
    for row in _captions(folder, "validation"):
        yield "val", row
        if isinstance(row, Record):
            yield "test", row


def _captions(folder: Path, part: str) -> Iterator[Row]:
    if img2dataset.shards(folder / part):
        yield from img2dataset.records(folder / part, part)
        return
    path = folder / LISTS[part]
    with open(existing(path), "rb") as file:
        for number, line in enumerate(file):
            if number % A_FOLDER == 0:
                images = caption_image(folder, part, number).parent
                # Of two images for one line the first by the alphabet is taken.
                names = sorted(image_names(images), reverse=True)
                known = {name.partition(".")[0]: name for name in names if name.endswith(ENDINGS)}
            image = known.get(f"{number:08d}")
            given = f"{part}-{number}", images / image if image else None
            yield parsed(f"{path}:{number + 1}", line, _caption, *given)


def _caption(line: bytes, name: str, image: Path | None) -> Row:
    columns = line.rstrip(b"\r\n").split(b"\t")
    if len(columns) != 2:
        raise ValueError(f"{len(columns)} columns instead of caption and address")
    return with_text(Record(name, image, columns[0].decode("utf-8"), None)) if image else _NO_IMAGE


def annotations(folder: Path) -> list[Path]:
    """The files that define the samples: the shards' tables, or the list and the folders of the images."""
    lists, folders = [], []
    for part, name in LISTS.items():
        if shards := img2dataset.shards(folder / part):
            lists += shards
        else:
            lists.append(folder / name)
            folders += sorted(path for path in (folder / part).glob("*") if path.is_dir())
    return [*lists, *folders]


TASK = Task(
    name="conceptual_captions",
    kind="captions",
    annotations=annotations,
    rows=rows,
    labels=lambda folder: (),
    overlaps=(frozenset({"val", "test"}),),
    published={("train",): 3_318_333, ("val",): 15_840},
)
