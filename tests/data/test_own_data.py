"""Data of one's own: a list, a folder of images and a task.json are a task like the others."""

import json
import random
from pathlib import Path

import pytest
import small_roots
from small_roots import picture, write, write_json

from vilbert_lib import runs
from vilbert_lib.data import formats
from vilbert_lib.data.formats import own


def make(root: Path, rows: list[dict] | bytes, **description) -> formats.Task:
    """A task of one list; each image is drawn."""
    folder = root / "mine"
    if isinstance(rows, bytes):
        write(folder / "all.csv", rows)
    else:
        write(folder / "all.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
        for row in rows:
            picture(folder / row["img"])
    shares = {"val": 0.25, "test": 0.25}
    file = "all.csv" if isinstance(rows, bytes) else "all.jsonl"
    write_json(folder / "task.json", {"files": {"train": file}, "split_off": shares} | description)
    return formats.task("mine", root)


def labelled(*labels) -> list[dict]:
    return [{"img": f"{i}.png", "text": f"text {i}", "label": label} for i, label in enumerate(labels)]


def found(task: formats.Task, root: Path) -> dict[str, str]:
    """The label of each sample, in words."""
    names = task.labels(root / task.name)
    records = [record for part in task.splits(root).values() for record in part]
    return {r.text: None if r.label is None else formats.in_words(r.label, names) for r in records}


def test_lists_of_both_forms_become_records(tmp_path):
    folder = small_roots.pets(tmp_path)
    task = formats.task("pets", tmp_path)
    assert (task.name, task.kind, task.labels(folder)) == ("pets", "multiclass", ("bird", "cat", "dog"))
    photos = folder / "photos"
    assert task.splits(tmp_path) == {
        "train": [
            ("train.jsonl:1", photos / "a.png", "purrs", 1),
            ("train.jsonl:2", photos / "b.png", "barks", 2),
            ("train.jsonl:3", photos / "b.png", "barks again", 2),
            ("train.jsonl:4", photos / "c.png", "sings", 0),
        ],
        "val": [("v1", photos / "d.png", "purrs", 1)],
        "test": [("test.csv:2", photos / "e.png", "barks, at night", 2)],
    }


@pytest.mark.parametrize(
    ("kind", "labels", "names", "said"),
    [
        ("binary", [0, 1, 0, 1], ("0", "1"), ["0", "1", "0", "1"]),
        ("binary", ["no", "yes", "yes", "no"], ("no", "yes"), ["no", "yes", "yes", "no"]),
        ("binary", [True, False, True, False], ("false", "true"), ["true", "false", "true", "false"]),
        ("multiclass", [10, 9, -1, 9], ("-1", "9", "10"), ["10", "9", "-1", "9"]),
        ("multiclass", [" a", "b ", 3, None], ("3", "a", "b"), ["a", "b", "3", None]),
        ("multiclass", ["01", 1, "1 ", "  "], ("01", "1"), ["01", "1", "1", None]),
        ("multilabel", [["x", "y"], [], ["y", "y"], None], ("x", "y"), ["x, y", "", "y", None]),
        ("multilabel", [[2, 1], [10], [], []], ("1", "2", "10"), ["1, 2", "10", "", ""]),
        ("captions", [None, None, "ignored", 7], (), [None] * 4),
    ],
)
def test_labels_are_numbers_names_or_sets_of_them(tmp_path, kind, labels, names, said):
    folder = tmp_path / "mine"
    make(tmp_path, labelled(*labels), kind=kind)
    for part in ("val", "test"):
        write(folder / f"{part}.jsonl", (folder / "all.jsonl").read_bytes())
    files = {"train": "all.jsonl", "val": "val.jsonl", "test": "test.jsonl"}
    write_json(folder / "task.json", {"kind": kind, "files": files})
    task = formats.task("mine", tmp_path)
    assert task.labels(folder) == names
    assert list(found(task, tmp_path).values()) == said


def test_sets_in_csv_are_separated_by_bars_and_an_empty_cell_is_the_empty_set(tmp_path):
    for name in "abcd":
        picture(tmp_path / "mine" / f"{name}.png")
    task = make(
        tmp_path, b"img,text,label\na.png,one,x|y\nb.png,two,\nc.png,three,y\nd.png,four,x\n", kind="multilabel"
    )
    assert found(task, tmp_path) == {"one": "x, y", "two": "", "three": "y", "four": "x"}


def test_an_empty_cell_is_no_label_where_one_is_asked_for(tmp_path):
    for name in "abcd":
        picture(tmp_path / "mine" / f"{name}.png")
    task = make(
        tmp_path, b"img,text,label\na.png,one,x\nb.png,two,\nc.png,three,y\nd.png,four,x\n", kind="multiclass"
    )
    assert found(task, tmp_path) == {"one": "x", "two": None, "three": "y", "four": "x"}


def test_named_labels_keep_their_order(tmp_path):
    task = make(tmp_path, labelled("b", "a", "b", "a"), kind="binary", labels=["b", "a"])
    assert task.labels(tmp_path / "mine") == ("b", "a")


def test_an_empty_name_in_a_set_is_a_broken_line(tmp_path):
    with pytest.raises(ValueError, match=r"all\.jsonl:2: broken line \(an empty name is no label\)"):
        make(tmp_path, labelled(["x"], ["x", ""], [], ["x"]), kind="multilabel").read(tmp_path)


# Splitting off


def images(splits: formats.Splits) -> dict[str, set[str]]:
    return {split: {record.img.name for record in records} for split, records in splits.items()}


def test_shares_are_exact_and_an_image_is_in_one_split_with_all_its_texts(tmp_path):
    rows = labelled(*"ab" * 20)
    task = make(tmp_path, [*rows, *({**row, "text": "again"} for row in rows[:20])], kind="binary")
    parts = images(task.splits(tmp_path))
    assert {split: len(names) for split, names in parts.items()} == {"train": 20, "val": 10, "test": 10}
    assert len(set.union(*parts.values())) == 40
    assert sum(map(len, task.splits(tmp_path).values())) == 60


def test_the_split_depends_on_names_and_seed_not_on_order_or_place(tmp_path):
    rows = labelled(*"ab" * 20)
    parts = [images(make(tmp_path / "one", rows, kind="binary").splits(tmp_path / "one"))]
    random.Random(0).shuffle(rows)
    parts.append(images(make(tmp_path / "other", rows, kind="binary").splits(tmp_path / "other")))
    parts.append(images(make(tmp_path / "third", rows, kind="binary", seed=1).splits(tmp_path / "third")))
    assert parts[0] == parts[1] != parts[2]


def test_one_image_spelt_in_two_ways_is_one_image(tmp_path):
    rows = labelled(*"ab" * 4)
    twice = [*rows, *({**row, "img": f"./{row['img']}"} for row in rows)]
    task = make(tmp_path, twice, kind="binary")
    parts = images(task.splits(tmp_path))
    assert {split: len(names) for split, names in parts.items()} == {"train": 4, "val": 2, "test": 2}


def test_broken_rows_of_a_list_that_is_split_are_skipped(tmp_path):
    rows = labelled(*"ab" * 4)
    task = make(tmp_path, rows, kind="binary")
    with open(tmp_path / "mine" / "all.jsonl", "a") as file:
        file.write("{\n")
    reading = task.read(tmp_path, on_error="skip")
    assert sum(map(len, reading.splits.values())) == 8
    assert [problem.cause for problem in reading.problems["train"]] == ["broken line"]


# Registering


def test_register_writes_a_description_that_reads_back(tmp_path):
    folder = small_roots.pets(tmp_path)
    (folder / "task.json").unlink()
    arguments = {
        "kind": "multiclass",
        "files": {"train": "train.jsonl", "val": "val.csv"},
        "images": "photos",
        "split_off": {"test": 0.34},
    }
    task = own.register(folder, **arguments)
    assert own.read_description(folder) == own.Description(**arguments)
    assert formats.names_in(tmp_path) == ["pets"]
    assert formats.task("pets", tmp_path).splits(tmp_path) == task.splits(tmp_path)
    assert own.register(folder, **arguments).name == "pets"  # a second time changes nothing
    assert [path.name for path in folder.glob("task*")] == ["task.json"]


def test_a_description_that_cannot_be_is_not_written(tmp_path):
    folder = small_roots.pets(tmp_path)
    (folder / "task.json").unlink()
    files = {"train": "train.jsonl", "val": "val.csv", "test": "test.csv"}
    with pytest.raises(ValueError, match="3 labels are not those of a binary task"):
        own.register(folder, kind="binary", files=files)
    assert not list(folder.glob("task*"))


# Everything else


@pytest.mark.parametrize(
    ("kind", "draw", "figures"),
    [
        ("binary", lambda i: i % 2, {"test_accuracy", "test_auroc"}),
        ("multiclass", lambda i: "xyz"[i % 3], {"test_accuracy"}),
        ("multilabel", lambda i: ["x", "y"][: i % 3], {"test_accuracy", "test_micro_f1", "test_macro_f1"}),
    ],
)
def test_a_run_learns_from_data_of_ones_own(tmp_path, monkeypatch, tiny_profile, kind, draw, figures):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    make(tmp_path, labelled(*(draw(i) for i in range(32))), kind=kind)
    config = runs.configure(tiny_profile, tmp_path, "mine", "middle_fusion", train={"epochs": 1})
    run = runs.train(config, tmp_path)
    assert run.folder.parent.name == "mine" and run.summary["skipped"] == 0
    assert figures <= set(run.summary) and all(0 <= run.summary[name] <= 1 for name in figures)
    assert run.model(tmp_path).head.out_features == {"binary": 2, "multiclass": 3, "multilabel": 2}[kind]


def test_pretraining_takes_captions_of_ones_own(tmp_path, monkeypatch, tiny_profile):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    make(tmp_path, labelled(*[None] * 32), kind="captions")
    config = runs.configure(
        tiny_profile, tmp_path, "mine", "baseline", objectives=("mlm", "ap"), train={"epochs": 1}
    )
    assert runs.train(config, tmp_path).summary["val_loss"] > 0
