"""VQA v2 (Goyal et al. 2017): questions about COCO's photographs, ten answers each.

As a task of many classes: the answer is the most common of the ten, the classes are the 3 129
most frequent answers of the training annotations, and questions whose answer is none of these are
left out. The labels of the official test part are not public: the validation part serves for
testing, and a tenth of the training images, with their questions, for validation.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats.files import image_names, read_json, remember, value
from vilbert_lib.data.formats.records import (
    Broken,
    LeftOut,
    Record,
    Row,
    Task,
    holding_out,
    missing_image,
    parsed,
    with_text,
)

PARTS = {"train": "train2014", "test": "val2014"}
CLASSES = 3129


def questions_file(folder: Path, part: str) -> Path:
    """Path of the questions of a part."""
    return folder / f"v2_OpenEnded_mscoco_{part}_questions.json"


def annotations_file(folder: Path, part: str) -> Path:
    """Path of the annotations of a part."""
    return folder / f"v2_mscoco_{part}_annotations.json"


def classes(folder: Path) -> tuple[str, ...]:
    """The most frequent answers of the training annotations, most frequent first, equals by the alphabet."""
    counts = Counter(_answers(annotations_file(folder, PARTS["train"])).values())
    return tuple(sorted(counts, key=lambda answer: (-counts[answer], answer))[:CLASSES])


@remember
def _answers(path: Path) -> dict[int, str]:
    """The answer to each question; broken annotations are left out, so that their question has none."""
    content = read_json(path, dict, object_hook=_reduced)
    try:
        found = value(content, "annotations", list)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return dict(pair for pair in found if isinstance(pair, tuple))


def _reduced(entry: dict):
    # Called from the inside out while the file is read: kept whole, its four million answers
    # would fill gigabytes.
    if "answers" in entry:
        return _answered(entry)
    return entry.get("answer", entry)


def _answered(entry: dict) -> tuple[int, str] | None:
    """The question's number and its most common answer; None where the annotation is broken.

    Of equally common answers it is the one that the dataset itself names, else the first in the alphabet.
    """
    question, answers = entry.get("question_id"), entry["answers"]
    if not isinstance(question, int) or not isinstance(answers, list) or not answers:
        return None
    if not all(isinstance(answer, str) for answer in answers):
        return None
    counts, named = Counter(answers), entry.get("multiple_choice_answer")
    return question, min(counts, key=lambda answer: (-counts[answer], answer != named, answer))


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Read the questions: split and row, one by one."""
    numbers = {answer: number for number, answer in enumerate(classes(folder))}
    for split, part in PARTS.items():
        path, answers = questions_file(folder, part), _answers(annotations_file(folder, part))
        images = folder / part if (folder / part).is_dir() else folder
        known = image_names(images)
        questions = read_json(path, dict).get("questions")
        if not isinstance(questions, list):
            raise ValueError(f"{path}: no list under 'questions'")
        seen = {}
        for number, entry in enumerate(questions):
            where, given = f"{path}: entry {number}", (images, known, part, answers, numbers)
            yield holding_out(split, parsed(where, entry, _question, *given, seen=seen))


def _question(entry, images: Path, known: set[str], part: str, answers: dict, numbers: dict) -> Row:
    if not isinstance(entry, dict):
        raise ValueError(f"{entry!r} is not an object")
    name, text = value(entry, "question_id", int), value(entry, "question", str)
    file = f"COCO_{part}_{value(entry, 'image_id', int):012d}.jpg"
    if name not in answers:
        raise Broken("unknown label", f"question {name} has no answers in v2_mscoco_{part}_annotations.json")
    if answers[name] not in numbers:
        return LeftOut(f"answer not among the {CLASSES} most frequent")
    if file not in known:
        raise missing_image(images / file)
    return with_text(Record(str(name), images / file, text, numbers[answers[name]]))


TASK = Task(
    name="vqa",
    kind="multiclass",
    annotations=lambda folder: [
        file(folder, part) for part in PARTS.values() for file in (questions_file, annotations_file)
    ],
    rows=rows,
    labels=classes,
    published={("train", "val"): 443_757, ("test",): 214_354},
)
