"""One reader for each dataset's real layout on disk: files in, records out."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from vilbert_lib.config import choose


class Record(NamedTuple):
    """One sample: an image's file, a text, and a label (None where the dataset gives none)."""

    id: str
    img: Path
    text: str
    label: int | None


Splits = dict[str, list[Record]]


@dataclass(frozen=True)
class Task:
    """A dataset and what is asked of it.

    ``annotations`` lists the files that define the samples, ``read`` turns a dataset's folder
    into the splits ``train``, ``val`` and ``test``, ``labels`` names the classes in order.
    """

    name: str
    kind: Literal["binary", "multiclass", "captions"]
    annotations: Callable[[Path], list[Path]]
    read: Callable[[Path], Splits]
    labels: Callable[[Path], tuple[str, ...]]

    def folder(self, data_root: Path) -> Path:
        """The dataset's folder below ``data_root``; a FileNotFoundError names what is missing."""
        data_root = Path(data_root)
        if not data_root.is_dir():
            raise FileNotFoundError(f"data root {data_root} does not exist")
        folder = data_root / self.name
        if not folder.is_dir():
            raise FileNotFoundError(f"data root {data_root} holds no folder {self.name}/ for task {self.name!r}")
        return folder

    def splits(self, data_root: Path) -> Splits:
        """Read all splits; every broken line or missing file is an error that names it."""
        return self.read(self.folder(data_root))

    def fingerprint(self, data_root: Path) -> str:
        """Twelve hex digits that identify the samples: the hash of the annotation files."""
        digest = hashlib.sha256(self.name.encode())
        for path in self.annotations(self.folder(data_root)):
            digest.update(path.name.encode())
            digest.update(_existing(path).read_bytes())
        return digest.hexdigest()[:12]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    return path


def _json(path: Path):
    try:
        return json.loads(_existing(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as JSON: {error}") from error


# Hateful Memes (Kiela et al. 2020): JSON lines {"id", "img", "text", "label"}; phase 1 names its
# parts dev and test, phase 2 dev_seen and test_seen.


def _memes_parts(folder: Path) -> dict[str, Path]:
    phase2 = (folder / "dev_seen.jsonl").is_file()
    dev, test = ("dev_seen", "test_seen") if phase2 else ("dev", "test")
    return {split: folder / f"{part}.jsonl" for split, part in (("train", "train"), ("val", dev), ("test", test))}


def _memes_records(folder: Path, path: Path) -> Iterator[Record]:
    for number, line in enumerate(_existing(path).read_bytes().splitlines(), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            label, text = row.get("label"), row["text"]
            record = Record(str(row["id"]), folder / row["img"], text, label)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{where}: broken line ({type(error).__name__}: {error})") from error
        if not isinstance(text, str):
            raise ValueError(f"{where}: text {text!r} is not a string")
        if label not in (0, 1, None) or isinstance(label, (bool, float)):
            raise ValueError(f"{where}: label {label!r} is neither 0 nor 1")
        if not record.img.is_file():
            raise FileNotFoundError(f"{where}: image {record.img} is missing")
        yield record


def _read_memes(folder: Path) -> Splits:
    return {split: list(_memes_records(folder, path)) for split, path in _memes_parts(folder).items()}


# Easy-VQA: questions.json = [[question, answer, image id], ...]. There is no validation part: the
# images whose number ends in 9 are held out of training, whole, so that no image is in both.


def _vqa_answers(folder: Path) -> tuple[str, ...]:
    return tuple(_existing(folder / "data" / "answers.txt").read_text(encoding="utf-8").split())


def _vqa_records(folder: Path, part: str, answers: dict[str, int]) -> Iterator[Record]:
    path = folder / "data" / part / "questions.json"
    images = path.parent / "images"
    known = {int(p.stem) for p in images.glob("*.png") if p.stem.isdigit()}
    rows = _json(path)
    if not isinstance(rows, list):
        raise ValueError(f"{path}: a {type(rows).__name__} instead of a list of questions")
    for number, row in enumerate(rows):
        where = f"{path}: entry {number}"
        try:
            question, answer, image = row
            image = int(image)
            if not isinstance(question, str) or not isinstance(answer, str):
                raise TypeError("question and answer are strings")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {row!r} is not [question, answer, image id]") from error
        if answer not in answers:
            raise ValueError(f"{where}: answer {answer!r} is not in answers.txt")
        if image not in known:
            raise FileNotFoundError(f"{where}: image {images / f'{image}.png'} is missing")
        yield Record(f"{part}-{number}", images / f"{image}.png", question, answers[answer])


def _read_vqa(folder: Path) -> Splits:
    answers = {answer: i for i, answer in enumerate(_vqa_answers(folder))}
    train = list(_vqa_records(folder, "train", answers))
    held_out = [int(record.img.stem) % 10 == 9 for record in train]
    return {
        "train": [r for r, held in zip(train, held_out, strict=True) if not held],
        "val": [r for r, held in zip(train, held_out, strict=True) if held],
        "test": list(_vqa_records(folder, "test", answers)),
    }


# Conceptual Captions (Sharma et al. 2018): tab-separated caption and address, no header. Images
# are named by the number of their line, so that no address ever becomes a path. Addresses rot:
# lines without an image are left out. There is no labelled test part: validation serves as both.

_CAPTIONS = {
    "train": ("Train_GCC-training.tsv", "train"),
    "val": ("Validation_GCC-1.1.0-Validation.tsv", "validation"),
}


def caption_image(folder: Path, part: str, line: int) -> Path:
    """Where the image of line ``line`` (from 0) lies: ten thousand to a folder."""
    return folder / part / f"{line // 10_000:04d}" / f"{line:08d}.png"


def _caption_records(folder: Path, name: str, part: str) -> Iterator[Record]:
    path = folder / name
    known = {p.stem: p for p in (folder / part).glob("*/*") if p.suffix in (".png", ".jpg", ".jpeg")}
    with open(_existing(path), "rb") as file:
        for number, line in enumerate(file):
            try:
                row = line.decode("utf-8").rstrip("\r\n").split("\t")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}:{number + 1}: not UTF-8 ({error})") from error
            if len(row) != 2:
                raise ValueError(f"{path}:{number + 1}: {len(row)} columns instead of caption and address")
            if image := known.get(f"{number:08d}"):
                yield Record(f"{part}-{number}", image, row[0], None)


def _read_captions(folder: Path) -> Splits:
    splits = {split: list(_caption_records(folder, *place)) for split, place in _CAPTIONS.items()}
    return splits | {"test": splits["val"]}


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="hateful_memes",
            kind="binary",
            annotations=lambda folder: list(_memes_parts(folder).values()),
            read=_read_memes,
            labels=lambda folder: ("benign", "hateful"),
        ),
        Task(
            name="easy_vqa",
            kind="multiclass",
            annotations=lambda folder: [
                folder / "data" / name for name in ("answers.txt", "train/questions.json", "test/questions.json")
            ],
            read=_read_vqa,
            labels=_vqa_answers,
        ),
        Task(
            name="conceptual_captions",
            kind="captions",
            annotations=lambda folder: [folder / name for name, _ in _CAPTIONS.values()],
            read=_read_captions,
            labels=lambda folder: (),
        ),
    )
}


def task(name: str) -> Task:
    """The task called ``name``; a ValueError lists the known ones."""
    return choose("task", name, TASKS)
