"""Readers: the real layouts byte by byte, and errors that say where."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from vilbert_lib.analysis import floors
from vilbert_lib.data import formats


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def here(path: Path, line: int) -> str:
    return re.escape(f"{path}:{line}")


# Hateful Memes


@pytest.fixture
def memes(tmp_path) -> Path:
    """A root in the layout of phase 1; the test part has no labels, as the published one."""
    folder = tmp_path / "hateful_memes"
    for number in ("42953", "23058", "08291", "01726"):
        picture(folder / "img" / f"{number}.png")
    write(
        folder / "train.jsonl",
        b'{"id":42953,"img":"img/42953.png","label":0,"text":"its their character not their color that matters"}\n'
        b'{"id":23058,"img":"img/23058.png","label":1,"text":"don\'t be afraid to love \\u2764 again"}\n',
    )
    write(folder / "dev.jsonl", b'{"id":8291,"img":"img/08291.png","label":1,"text":"white people is this"}\n')
    write(folder / "test.jsonl", b'{"id":1726,"img":"img/01726.png","text":"a\xc3\xa9 b"}\n')
    return tmp_path


def test_hateful_memes_phase_1(memes):
    splits = formats.task("hateful_memes").splits(memes)
    images = memes / "hateful_memes" / "img"
    assert splits == {
        "train": [
            ("42953", images / "42953.png", "its their character not their color that matters", 0),
            ("23058", images / "23058.png", "don't be afraid to love \u2764 again", 1),
        ],
        "val": [("8291", images / "08291.png", "white people is this", 1)],
        "test": [("1726", images / "01726.png", "a\u00e9 b", None)],
    }


def test_hateful_memes_phase_2_takes_the_seen_parts(memes):
    folder = memes / "hateful_memes"
    for part in ("dev", "test"):
        (folder / f"{part}.jsonl").rename(folder / f"{part}_seen.jsonl")
        write(folder / f"{part}_unseen.jsonl", b'{"id":1,"img":"img/42953.png","label":0,"text":"unseen"}\n')
    splits = formats.task("hateful_memes").splits(memes)
    assert {split: [r.id for r in records] for split, records in splits.items()} == {
        "train": ["42953", "23058"],
        "val": ["8291"],
        "test": ["1726"],
    }


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":1,"img":"img/42953.png","label":0,"text":"cut of',
        b'{"id":1,"label":0,"text":"no image"}',
        b'{"id":1,"img":"img/42953.png","label":0}',
        b'{"img":"img/42953.png","label":0,"text":"no id"}',
        b'{"id":1,"img":7,"label":0,"text":"image is a number"}',
        b'["id", 1]',
        b'{"id":1,"img":"img/42953.png","label":2,"text":"label 2"}',
        b'{"id":1,"img":"img/42953.png","label":"1","text":"label is a string"}',
        b'{"id":1,"img":"img/42953.png","label":true,"text":"label is true"}',
        b'{"id":1,"img":"img/42953.png","label":0.0,"text":"label is a fraction"}',
        b'{"id":1,"img":"img/42953.png","label":0,"text":"\xff not utf-8"}',
        b'{"id":1,"img":"img/42953.png","label":0,"text":null}',
    ],
)
def test_a_broken_meme_is_found_by_file_and_line(memes, line):
    path = memes / "hateful_memes" / "train.jsonl"
    write(path, path.read_bytes().splitlines(keepends=True)[0] + line + b"\n")
    with pytest.raises(ValueError, match=here(path, 2)):
        formats.task("hateful_memes").splits(memes)


def test_lines_are_counted_over_blank_ones(memes):
    path = memes / "hateful_memes" / "dev.jsonl"
    write(path, b"\n" + path.read_bytes() + b"\n{\n")
    with pytest.raises(ValueError, match=here(path, 4)):
        formats.task("hateful_memes").splits(memes)


def test_a_missing_meme_image_is_named_with_its_line(memes):
    (memes / "hateful_memes" / "img" / "23058.png").unlink()
    with pytest.raises(FileNotFoundError, match=here(memes / "hateful_memes" / "train.jsonl", 2) + ".*23058.png"):
        formats.task("hateful_memes").splits(memes)


def test_a_missing_part_is_named(memes):
    (memes / "hateful_memes" / "dev.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"dev\.jsonl"):
        formats.task("hateful_memes").splits(memes)


# Easy-VQA


@pytest.fixture
def vqa(tmp_path) -> Path:
    """A root with 20 training and 2 test images, two questions an image."""
    data = tmp_path / "easy_vqa" / "data"
    write(data / "answers.txt", b"circle\nyes\nno\n")
    for part, images in (("train", 20), ("test", 2)):
        questions = []
        for image in range(images):
            picture(data / part / "images" / f"{image}.png")
            questions += [["what shape?", "circle", image], ["is it red?", "yes" if image % 2 else "no", image]]
        write(data / part / "questions.json", json.dumps(questions).encode())
    return tmp_path


def change_question(root: Path, number: int, entry) -> Path:
    path = root / "easy_vqa" / "data" / "train" / "questions.json"
    questions = json.loads(path.read_bytes())
    questions[number] = entry
    return write(path, json.dumps(questions).encode())


def test_easy_vqa_holds_out_whole_images(vqa):
    splits = formats.task("easy_vqa").splits(vqa)
    images = {split: {r.img for r in records} for split, records in splits.items()}
    assert not images["train"] & images["val"]
    assert {path.name for path in images["val"]} == {"9.png", "19.png"}
    assert [len(splits[split]) for split in ("train", "val", "test")] == [36, 4, 4]
    assert len({r.id for records in splits.values() for r in records}) == 44


def test_easy_vqa_labels_follow_the_order_of_the_answers(vqa):
    task = formats.task("easy_vqa")
    assert task.labels(task.folder(vqa)) == ("circle", "yes", "no")
    folder = vqa / "easy_vqa" / "data" / "train" / "images"
    assert task.splits(vqa)["train"][:4] == [
        ("train-0", folder / "0.png", "what shape?", 0),
        ("train-1", folder / "0.png", "is it red?", 2),
        ("train-2", folder / "1.png", "what shape?", 0),
        ("train-3", folder / "1.png", "is it red?", 1),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        ["what shape?", "hexagon", 1],
        ["what shape?", "circle"],
        ["what shape?", "circle", "one"],
        ["what shape?", ["circle"], 1],
        [None, "circle", 1],
        7,
        {"question": "what shape?"},
    ],
    ids=["unknown answer", "no image", "image is a word", "list of answers", "no question", "number", "object"],
)
def test_a_broken_question_is_found_by_file_and_entry(vqa, entry):
    path = change_question(vqa, 5, entry)
    with pytest.raises(ValueError, match=re.escape(f"{path}: entry 5")):
        formats.task("easy_vqa").splits(vqa)


def test_a_missing_question_image_is_named_with_its_entry(vqa):
    path = change_question(vqa, 5, ["what shape?", "circle", 77])
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path}: entry 5") + r".*77\.png"):
        formats.task("easy_vqa").splits(vqa)


@pytest.mark.parametrize("content", [b"[[", b"7"], ids=["cut off", "no list"])
def test_a_questions_file_that_holds_no_questions_is_named(vqa, content):
    path = write(vqa / "easy_vqa" / "data" / "test" / "questions.json", content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        formats.task("easy_vqa").splits(vqa)


def test_missing_answers_are_named(vqa):
    (vqa / "easy_vqa" / "data" / "answers.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"answers\.txt"):
        formats.task("easy_vqa").splits(vqa)


# Conceptual Captions

TRAIN_TSV, VAL_TSV = "Train_GCC-training.tsv", "Validation_GCC-1.1.0-Validation.tsv"


@pytest.fixture
def captions(tmp_path) -> Path:
    """A root with three training captions, of which the second has lost its image."""
    folder = tmp_path / "conceptual_captions"
    write(
        folder / TRAIN_TSV,
        b'a "quoted" word , alone\thttp://a.invalid/1.jpg\n'
        b"lost\thttp://a.invalid/2.jpg\n"
        b"caf\xc3\xa9 at night\thttp://a.invalid/3.jpg\n",
    )
    write(folder / VAL_TSV, b"a dog\thttp://a.invalid/4.jpg\n")
    picture(formats.caption_image(folder, "train", 0))
    picture(formats.caption_image(folder, "train", 2).with_suffix(".jpg"))
    picture(formats.caption_image(folder, "validation", 0))
    return tmp_path


def test_captions_without_an_image_are_left_out(captions):
    folder = captions / "conceptual_captions"
    splits = formats.task("conceptual_captions").splits(captions)
    validation = [("validation-0", folder / "validation" / "0000" / "00000000.png", "a dog", None)]
    assert splits == {
        "train": [
            ("train-0", folder / "train" / "0000" / "00000000.png", 'a "quoted" word , alone', None),
            ("train-2", folder / "train" / "0000" / "00000002.jpg", "caf\u00e9 at night", None),
        ],
        "val": validation,
        "test": validation,
    }


@pytest.mark.parametrize("line", [b"a caption without address", b"a\tb\tc", b""])
def test_a_wrong_number_of_columns_is_found_by_line(captions, line):
    path = captions / "conceptual_captions" / TRAIN_TSV
    write(path, path.read_bytes() + line + b"\n")
    with pytest.raises(ValueError, match=here(path, 4) + r": \d columns"):
        formats.task("conceptual_captions").splits(captions)


def test_captions_that_are_not_utf8_name_their_file(captions):
    path = write(captions / "conceptual_captions" / VAL_TSV, b"caf\xe9\thttp://a.invalid/4.jpg\n")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        formats.task("conceptual_captions").splits(captions)


# Roots, tasks, fingerprints


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"data root {tmp_path / 'nowhere'} does not exist")):
        formats.task("easy_vqa").splits(tmp_path / "nowhere")


def test_a_missing_task_folder_is_named(memes):
    with pytest.raises(FileNotFoundError, match=re.escape(str(memes)) + r".*easy_vqa/"):
        formats.task("easy_vqa").splits(memes)


def test_an_unknown_task_is_refused_and_the_known_ones_listed():
    with pytest.raises(ValueError, match=r"unknown task 'vqa'.*conceptual_captions, easy_vqa, hateful_memes"):
        formats.task("vqa")


@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("hateful_memes", "train.jsonl"),
        ("hateful_memes", "test.jsonl"),
        ("easy_vqa", "data/answers.txt"),
        ("easy_vqa", "data/train/questions.json"),
        ("conceptual_captions", TRAIN_TSV),
    ],
)
def test_the_fingerprint_follows_the_annotations_not_the_place(tiny_root, tmp_path, task, file):
    moved = shutil.copytree(tiny_root, tmp_path / "elsewhere" / "root")
    before = formats.task(task).fingerprint(tiny_root)
    assert formats.task(task).fingerprint(moved) == before
    write(moved / task / file, (moved / task / file).read_bytes() + b" ")
    assert formats.task(task).fingerprint(moved) != before


def test_tasks_have_fingerprints_of_their_own(tiny_root):
    prints = {name: task.fingerprint(tiny_root) for name, task in formats.TASKS.items()}
    assert len(set(prints.values())) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{12}", value) for value in prints.values())


REAL = os.environ.get("VILBERT_REAL_DATA", "")


@pytest.mark.skipif(
    not (Path(REAL) / "easy_vqa").is_dir() or not REAL,
    reason="VILBERT_REAL_DATA does not name a folder that holds easy_vqa/",
)
def test_the_real_easy_vqa():
    task = formats.task("easy_vqa")
    splits = task.splits(Path(REAL))
    train, test = splits["train"] + splits["val"], splits["test"]
    assert (len(train), len(test)) == (38_575, 9_673)
    assert len({r.img for r in train}) == 4_000 and len({r.img for r in test}) == 1_000
    assert len(task.labels(task.folder(Path(REAL)))) == 13
    assert round(floors.text_only(train, test), 3) == 0.670
    assert round(floors.majority(train, test), 3) == 0.373
