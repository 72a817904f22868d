"""Readers: the real layouts byte by byte, what they leave out, and fingerprints that see what a dataset is."""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import small_roots
from hypothesis import given, settings
from hypothesis import strategies as st
from small_roots import TRAIN_TSV, picture, write

from studies import floors
from vilbert_lib.data import formats


def read(root: Path, name: str, on_error="raise") -> formats.Reading:
    return formats.task(name, root).read(root, on_error)


def ids(splits: formats.Splits) -> dict[str, list[str]]:
    return {split: [record.id for record in records] for split, records in splits.items()}


# Hateful Memes


def test_hateful_memes_phase_1(tmp_path):
    images = small_roots.hateful_memes(tmp_path) / "img"
    assert formats.task("hateful_memes").splits(tmp_path) == {
        "train": [
            ("42953", images / "42953.png", "its their character not their color that matters", 0),
            ("23058", images / "23058.png", "don't be afraid to love \u2764 again", 1),
        ],
        "val": [("8291", images / "08291.png", "white people is this", 1)],
        "test": [("1726", images / "01726.png", "a\u00e9 b", None)],
    }


def test_hateful_memes_phase_2_takes_the_seen_parts_and_has_the_unseen_ones_beside(tmp_path):
    small_roots.hateful_memes_2(tmp_path)
    assert ids(formats.task("hateful_memes").splits(tmp_path)) == {
        "train": ["42953", "23058"],
        "val": ["8291"],
        "test": ["1726"],
        "dev_unseen": ["8291", "03745"],
        "test_unseen": ["5629"],
    }


def test_lines_are_counted_over_blank_ones(tmp_path):
    path = small_roots.hateful_memes(tmp_path) / "dev.jsonl"
    write(path, b"\n" + path.read_bytes() + b"\n{\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}:4: ")):
        formats.task("hateful_memes").splits(tmp_path)


@settings(max_examples=200, deadline=None)
@given(
    line=st.binary(max_size=40)
    | st.dictionaries(
        st.sampled_from(["id", "img", "label", "text", "x"]),
        st.none()
        | st.booleans()
        | st.integers(-1, 2)
        | st.floats()
        | st.text(max_size=5)
        | st.just("img/42953.png"),
    ).map(lambda row: json.dumps(row).encode())
)
def test_whatever_a_line_holds_it_gives_a_record_or_a_problem_that_names_it(tmp_path_factory, line):
    root = tmp_path_factory.mktemp("memes")
    path = small_roots.hateful_memes(root) / "dev.jsonl"
    lines = [part for part in line.splitlines() if part.strip()]
    write(path, line)
    reading = read(root, "hateful_memes", "skip")
    problems = reading.problems.get("val", [])
    assert len(reading.splits["val"]) + len(problems) == len(lines)
    assert all(problem.where.startswith(f"{path}:") for problem in problems)
    if problems:
        with pytest.raises((ValueError, FileNotFoundError), match=re.escape(problems[0].where)):
            read(root, "hateful_memes")
    shutil.rmtree(root)


# MM-IMDb


def test_a_movie_has_its_longest_plot_and_the_numbers_of_its_genres(tmp_path):
    folder = small_roots.mm_imdb(tmp_path)
    task = formats.task("mm_imdb")
    genres = task.labels(folder)
    reading = task.read(tmp_path)
    assert len(genres) == 23 and list(genres) == sorted(genres)
    assert reading.splits["train"][0] == (
        "0012345",
        folder / "dataset" / "0012345.jpeg",
        "A much longer plot.",
        (genres.index("Comedy"), genres.index("Drama")),
    )
    assert {r.id: formats.in_words(r.label, genres) for rows in reading.splits.values() for r in rows} == {
        "0012345": "Comedy, Drama",
        "0023456": "Film-Noir",
        "0034567": "",
        "0056789": "Action, Western",
    }
    assert ids(reading.splits) == {"train": ["0012345", "0023456"], "val": ["0034567"], "test": ["0056789"]}


# UPMC Food-101


def test_a_dish_has_the_title_of_its_page(tmp_path):
    folder = small_roots.upmc_food(tmp_path)
    task = formats.task("upmc_food")
    reading = task.read(tmp_path)
    images = folder / "images"
    assert task.labels(folder) == ("apple_pie", "pho")
    assert reading.splits == {
        "train": [
            ("train-apple_pie_0", images / "train" / "apple_pie" / "apple_pie_0.jpg", "Apple pie, the best", 0),
            ("train-pho_3", images / "train" / "pho" / "pho_3.jpg", "caf\u00e9 pho", 1),
        ],
        "val": [("train-pho_19", images / "train" / "pho" / "pho_19.jpg", 'Pho "at home", in an hour', 1)],
        "test": [("test-apple_pie_9", images / "test" / "apple_pie" / "apple_pie_9.jpg", "Pie again", 0)],
    }
    assert reading.left_out == {"train": Counter({"no text": 1})}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_physical_line_is_one_record_whatever_its_quotes(tmp_path, end):
    path = small_roots.upmc_food(tmp_path) / "texts" / "train_titles.csv"
    lines = [
        b'apple_pie_0.jpg,"Apple pie,apple_pie',
        b'\tpho_19.jpg,"Pho',
        b'in an hour",pho',
        b'pho_3.jpg,the best",pho',
    ]
    write(path, end.join(lines) + end)
    reading = read(tmp_path, "upmc_food", "skip")
    assert [r.text for r in reading.splits["train"]] == ['"Apple pie', 'the best"']
    assert [str(p).split(": ")[0] for p in reading.problems["train"]] == [f"{path}:2", f"{path}:3"]


QUOTES = b'''pho_0.jpg,crisp golden pan weekday,pho
pie_1.jpg,grandmother"s tomato weekday soup pan,pie
pho_2.jpg,"unfinished lemon stack golden simple,pho
pie_3.jpg,basil "bright" pan,pie
pho_4.jpg,simple bake ginger 12" pan,pho
pie_5.jpg,"a, ""b"", c",pie
pho_6.jpg,"quoted" and "again",pho
pie_7.jpg,one, two,pie
pho_8.jpg,"Pho, at home",pho
pie_10.jpg,"last""",pie
'''


def test_a_stray_quote_of_a_title_is_a_character_and_costs_no_line(tmp_path):
    folder = tmp_path / "upmc_food"
    write(folder / "texts" / "train_titles.csv", QUOTES)
    write(folder / "texts" / "test_titles.csv", b"")
    names = re.findall(r"p(?:ho|ie)_\d+", QUOTES.decode())
    for name in names:
        picture(folder / "images" / "train" / name[:3] / f"{name}.jpg")
    reading = read(tmp_path, "upmc_food")
    assert formats.task("upmc_food").labels(folder) == ("pho", "pie")
    assert [(r.id, r.text, r.label) for r in reading.splits["train"]] == [
        ("train-pho_0", "crisp golden pan weekday", 0),
        ("train-pie_1", 'grandmother"s tomato weekday soup pan', 1),
        ("train-pho_2", '"unfinished lemon stack golden simple', 0),
        ("train-pie_3", 'basil "bright" pan', 1),
        ("train-pho_4", 'simple bake ginger 12" pan', 0),
        ("train-pie_5", 'a, "b", c', 1),
        ("train-pho_6", '"quoted" and "again"', 0),
        ("train-pie_7", "one, two", 1),
        ("train-pho_8", "Pho, at home", 0),
        ("train-pie_10", 'last"', 1),
    ]


# Easy-VQA


def test_a_null_character_breaks_its_line_and_utf_16_every_line(tmp_path):
    path = small_roots.hateful_memes(tmp_path) / "train.jsonl"
    good = path.read_bytes()
    for content, broken in ((b"{\0}\n" + good, 1), (good.decode().encode("utf-16-le"), 2)):
        write(path, content)
        reading = read(tmp_path, "hateful_memes", "skip")
        assert len(reading.problems["train"]) >= broken and len(reading.splits["train"]) == (
            2 if broken == 1 else 0
        )
        assert ("UTF-16" in str(reading.problems["train"][0])) == (broken == 2)


def test_only_line_ends_part_the_answers_of_easy_vqa(tmp_path):
    folder = small_roots.easy_vqa(tmp_path)
    write(folder / "data" / "answers.txt", "circle\r\nyes\u2028please\nno\n".encode())
    assert formats.task("easy_vqa").labels(folder) == ("circle", "yes\u2028please", "no")


def test_easy_vqa_holds_out_whole_images(tmp_path):
    small_roots.easy_vqa(tmp_path)
    splits = formats.task("easy_vqa").splits(tmp_path)
    images = {split: {r.img for r in records} for split, records in splits.items()}
    assert not images["train"] & images["val"]
    assert {path.name for path in images["val"]} == {"9.png", "19.png"}
    assert [len(splits[split]) for split in ("train", "val", "test")] == [36, 4, 4]
    assert len({r.id for records in splits.values() for r in records}) == 44


def test_easy_vqa_labels_follow_the_order_of_the_answers(tmp_path):
    folder = small_roots.easy_vqa(tmp_path)
    task = formats.task("easy_vqa")
    assert task.labels(folder) == ("circle", "yes", "no")
    images = folder / "data" / "train" / "images"
    assert task.splits(tmp_path)["train"][:4] == [
        ("train-0", images / "0.png", "what shape?", 0),
        ("train-1", images / "0.png", "is it red?", 2),
        ("train-2", images / "1.png", "what shape?", 0),
        ("train-3", images / "1.png", "is it red?", 1),
    ]


# VQA v2


def test_the_answer_of_vqa_is_the_most_common_of_the_ten(tmp_path):
    folder = small_roots.vqa(tmp_path)
    task = formats.task("vqa")
    reading = task.read(tmp_path)
    assert task.labels(folder) == ("cat", "2", "yes")  # cat twice; of five no and five yes the one that is named
    assert {split: [(r.id, r.text, r.label) for r in records] for split, records in reading.splits.items()} == {
        "train": [("250", "Red?", 2), ("300", "How many?", 1), ("301", "What color?", 0)],
        "val": [("90", "What is it?", 0)],
        "test": [("420", "Is it a cat?", 2)],
    }
    assert reading.splits["test"][0].img == folder / "val2014" / "COCO_val2014_000000000042.jpg"


def test_vqa_has_as_many_classes_as_asked_and_equals_follow_the_alphabet(tmp_path, monkeypatch):
    folder = small_roots.vqa(tmp_path)
    monkeypatch.setattr(formats.vqa, "CLASSES", 2)
    assert formats.task("vqa").labels(folder) == ("cat", "2")
    assert ids(formats.task("vqa").splits(tmp_path))["test"] == []


def test_the_photographs_of_vqa_may_lie_beside_the_questions(tmp_path):
    folder = small_roots.vqa(tmp_path)
    for part in ("train2014", "val2014"):
        for path in sorted((folder / part).iterdir()):
            path.rename(folder / path.name)
        (folder / part).rmdir()
    assert [len(records) for records in read(tmp_path, "vqa").splits.values()] == [3, 1, 1]


# Conceptual Captions


def test_captions_without_an_image_are_left_out_and_counted(tmp_path):
    folder = small_roots.conceptual_captions(tmp_path)
    reading = read(tmp_path, "conceptual_captions")
    validation = [("validation-0", folder / "validation" / "0000" / "00000000.jpeg", "a dog", None)]
    assert reading.splits == {
        "train": [
            ("train-0", folder / "train" / "0000" / "00000000.png", 'a "quoted" word , alone', None),
            ("train-2", folder / "train" / "0000" / "00000002.jpg", "caf\u00e9 at night", None),
        ],
        "val": validation,
        "test": validation,
    }
    assert reading.left_out == {"train": Counter({"no image": 1})}


def test_captions_beyond_ten_thousand_find_their_folder(tmp_path):
    folder = small_roots.conceptual_captions(tmp_path)
    write(folder / TRAIN_TSV, b"".join(b"line %d\thttp://a.invalid/\n" % i for i in range(10_003)))
    picture(folder / "train" / "0001" / "00010002.jpg")
    assert ids(read(tmp_path, "conceptual_captions").splits)["train"] == [
        "train-0",
        "train-2",
        "train-7",
        "train-10002",
    ]


def test_of_two_images_for_one_caption_always_the_same_is_taken(tmp_path):
    folder = small_roots.conceptual_captions(tmp_path)
    picture(folder / "train" / "0000" / "00000000.jpg")
    assert read(tmp_path, "conceptual_captions").splits["train"][0].img.name == "00000000.jpg"


# Roots, tasks, fingerprints


def test_the_tasks_of_a_root_are_those_whose_folders_it_holds(tmp_path):
    for make in small_roots.ALL:
        make(tmp_path)
    (tmp_path / "notes").mkdir()
    assert formats.names_in(tmp_path) == sorted({path.name for path in tmp_path.iterdir()} - {"notes"})
    assert [task.name for task in formats.tasks_in(tmp_path)] == formats.names_in(tmp_path)


FILES_THAT_COUNT = [
    (small_roots.hateful_memes_2, "test_unseen.jsonl"),
    (small_roots.mm_imdb, "dataset/0056789.json"),
    (small_roots.upmc_food, "texts/test_titles.csv"),
    (small_roots.easy_vqa, "data/train/questions.json"),
    (small_roots.vqa, "v2_mscoco_train2014_annotations.json"),
    (small_roots.conceptual_captions, TRAIN_TSV),
    (small_roots.pets, "val.csv"),
]


@pytest.mark.parametrize(("make", "file"), FILES_THAT_COUNT, ids=lambda value: getattr(value, "__name__", value))
def test_the_fingerprint_follows_the_annotations_not_the_place(tmp_path, make, file):
    name = make(tmp_path / "here").name
    before = formats.task(name, tmp_path / "here").fingerprint(tmp_path / "here")
    moved = tmp_path / "elsewhere" / "root"
    shutil.copytree(tmp_path / "here", moved)
    assert formats.task(name, moved).fingerprint(moved) == before
    write(moved / name / file, (moved / name / file).read_bytes() + b"\n")
    assert formats.task(name, moved).fingerprint(moved) != before


def test_the_fingerprint_of_captions_sees_which_images_are_there(tmp_path):
    folder = small_roots.conceptual_captions(tmp_path)
    task = formats.task("conceptual_captions")
    prints = [task.fingerprint(tmp_path)]
    picture(folder / "train" / "0000" / "00000001.jpg")
    prints.append(task.fingerprint(tmp_path))
    (folder / "validation" / "0000" / "00000000.jpeg").unlink()
    prints.append(task.fingerprint(tmp_path))
    write(folder / "train" / "0000" / "00000005.jpg.unfinished", b"half an image")
    assert len(set(prints)) == 3 and task.fingerprint(tmp_path) == prints[-1]


def test_an_old_file_that_changes_is_hashed_again(tmp_path):
    path = small_roots.upmc_food(tmp_path) / "texts" / "train_titles.csv"
    task = formats.task("upmc_food")
    prints = []
    for dish, year in ((b"pho", 1), (b"pie", 2)):  # the same size, another time
        write(path, path.read_bytes().replace(b"pho", dish))
        os.utime(path, (year * 3.2e7, year * 3.2e7))
        prints += [task.fingerprint(tmp_path), task.fingerprint(tmp_path)]
    assert prints[0] == prints[1] != prints[2] == prints[3]
    assert task.labels(path.parent.parent) == ("apple_pie", "pie")


def test_tasks_have_fingerprints_of_their_own(tmp_path):
    for make in small_roots.ALL:
        make(tmp_path)
    prints = {task.name: task.fingerprint(tmp_path) for task in formats.tasks_in(tmp_path)}
    assert len(set(prints.values())) == len(prints) == 7
    assert all(re.fullmatch("[0-9a-f]{12}", value) for value in prints.values())


# Broken samples


@pytest.mark.parametrize("make", small_roots.ALL, ids=lambda make: make.__name__)
def test_where_nothing_is_broken_skipping_changes_nothing(tmp_path, make):
    name = make(tmp_path).name
    assert read(tmp_path, name, "skip") == read(tmp_path, name, "raise")


# The real one

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
