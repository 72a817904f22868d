"""Easy-VQA: questions about one drawn shape, as questions.json = [[question, answer, image id], ...]."""

from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats.files import existing, image_names, read_json
from vilbert_lib.data.formats.records import (
    Broken,
    Record,
    Row,
    Task,
    holding_out,
    missing_image,
    parsed,
    with_text,
)

PARTS = ("train", "test")


def answers(folder: Path) -> tuple[str, ...]:
    """The classes, in the order of ``answers.txt``."""
    path = existing(folder / "data" / "answers.txt")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except ValueError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}; save the file as UTF-8)") from error
    return tuple(line.strip() for line in lines if line.strip())


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Read the questions: split and row, one by one."""
    classes = {answer: number for number, answer in enumerate(answers(folder))}
    for part in PARTS:
        path = folder / "data" / part / "questions.json"
        images = path.parent / "images"
        known = image_names(images)
        for number, entry in enumerate(read_json(path, list)):
            where, name = f"{path}: entry {number}", f"{part}-{number}"
            yield holding_out(part, parsed(where, entry, _question, images, known, name, classes))


def _question(entry, images: Path, known: set[str], name: str, classes: dict[str, int]) -> Record:
    match entry:
        case [str(question), str(answer), int(image)] if not isinstance(image, bool):
            pass
        case _:
            raise ValueError(f"{entry!r} is not [question, answer, image id]")
    if answer not in classes:
        raise Broken("unknown label", f"answer {answer!r} is not in answers.txt")
    file = f"{image}.png"
    if file not in known:
        raise missing_image(images / file)
    return with_text(Record(name, images / file, question, classes[answer]))


TASK = Task(
    name="easy_vqa",
    kind="multiclass",
    annotations=lambda folder: [
        folder / "data" / name for name in ("answers.txt", "train/questions.json", "test/questions.json")
    ],
    rows=rows,
    labels=answers,
    published={("train", "val"): 38_575, ("test",): 9673},
)
