"""Data of one's own: a list, a folder of images and a task.json are a task like the others."""

import dataclasses
import hashlib
import json
import random
import re
import warnings
from pathlib import Path

import pytest
import small_roots
from small_roots import picture, write, write_json

from vilbert_lib import runs
from vilbert_lib.data import formats
from vilbert_lib.data.formats import own
from vilbert_lib.paths import REPOSITORY


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


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (b"1.0 0.0 10.0 2.0", ("0", "1", "2", "10")),
        (b"1.0 0 1 0.0", ("0", "1")),
        (b"1.0 a 0.0 a", ("0.0", "1.0", "a")),
    ],
)
def test_whole_numbers_as_pandas_writes_them_are_whole_numbers(tmp_path, written, names):
    for name in "abcd":
        picture(tmp_path / "mine" / f"{name}.png")
    rows = (b"%c.png,text %d,%s\n" % (97 + i, i, label) for i, label in enumerate(written.split()))
    task = make(tmp_path, b"img,text,label\n" + b"".join(rows), kind="multiclass")
    assert task.labels(tmp_path / "mine") == names
    assert len(found(task, tmp_path)) == 4


def test_a_test_list_may_write_whole_numbers_otherwise_than_the_training_list(tmp_path):
    files = {"train": "all.jsonl", "val": "all.jsonl", "test": "test.jsonl"}
    task = make(tmp_path, labelled(0, 1), kind="binary", files=files, split_off={})
    write(tmp_path / "mine" / "test.jsonl", b'{"img": "0.png", "text": "x", "label": 1.0}\n')
    assert [record.label for record in task.splits(tmp_path)["test"]] == [1]


@pytest.mark.parametrize("other", ["CAT", "c\u0061\u200bt", "\uff43at"])
def test_labels_that_read_alike_are_warned_of_unless_they_are_named(tmp_path, other):
    rows = labelled("cat", other, "dog", "cat")
    with pytest.warns(UserWarning, match="labels '(cat|CAT)' and .* differ in case, blanks or Unicode form only"):
        make(tmp_path, rows, kind="multiclass").labels(tmp_path / "mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(tmp_path, rows, kind="multiclass", labels=["cat", other, "dog"]).labels(tmp_path / "mine")


def test_a_broken_row_costs_one_row_of_a_csv(tmp_path):
    for name in "abcd":
        picture(tmp_path / "mine" / f"{name}.png")
    rows = b'a.png,one,x\nb.png,"two,y\nc.png,"three\nlines",y\nd.png,four,x\n'
    task = make(tmp_path, b"img,text,label\n" + rows, kind="multiclass", split_off={"val": 0.3, "test": 0.3})
    reading = task.read(tmp_path, on_error="skip")
    assert {r.text for records in reading.splits.values() for r in records} == {"one", "three\nlines", "four"}
    assert [problem.where for problem in reading.problems["train"]] == [f"{tmp_path / 'mine' / 'all.csv'}:3"]


def test_two_stray_quotes_of_a_csv_cost_no_row_and_no_label_silently(tmp_path):
    rows = [f"{i}.png,text {i},{'xy'[i % 2]}" for i in range(40)]
    rows[3], rows[20] = rows[3].replace(",y", ',"y'), rows[20] + '"'
    for i in range(40):
        picture(tmp_path / "mine" / f"{i}.png")
    task = make(tmp_path, "\n".join(["img,text,label", *rows]).encode(), kind="binary")
    reading = task.read(tmp_path, on_error="skip")
    assert task.labels(tmp_path / "mine") == ("x", "y") and sum(map(len, reading.splits.values())) == 22
    [problem] = reading.problems["train"]
    assert problem.where.endswith("all.csv:5") and "the row of '4.png', further rows in it: 17" in problem.what


def test_a_column_that_stands_twice_in_a_csv_is_refused(tmp_path):
    task = make(tmp_path, b"img,text,label,label\na.png,one,x,y\n", kind="binary")
    with pytest.raises(ValueError, match=r"all\.csv:1: the header .* has column 'label' twice: remove one"):
        task.read(tmp_path)


def test_the_first_broken_row_is_named_where_too_few_are_left_to_split(tmp_path):
    task = make(tmp_path, labelled(*"ab" * 8), kind="binary", images="elsewhere")
    first = rf"the first broken row is {re.escape(str(tmp_path))}/mine/all\.jsonl:1: image .*0\.png is missing"
    with pytest.raises(ValueError, match=rf"that share of 0 images is none; {first}"):
        task.read(tmp_path)


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


def test_without_groups_images_are_drawn_by_the_hash_of_seed_and_name(tmp_path):
    """Finished runs were trained on these splits."""
    task = make(tmp_path, labelled(*"ab" * 20), kind="binary", seed=3)
    names = sorted((f"{i}.png" for i in range(40)), key=lambda name: hashlib.sha256(f"3/{name}".encode()).digest())
    parts = images(task.splits(tmp_path))
    assert parts == {"train": set(names[20:]), "val": set(names[:10]), "test": set(names[10:20])}


def test_rows_of_one_group_and_of_one_image_stay_in_one_split(tmp_path):
    rows = [row | {"group": i // 4} for i, row in enumerate(labelled(*"ab" * 40))]
    rows.append({"img": "0.png", "text": "the picture of one group in another", "label": "a", "group": 19})
    rows.append({"img": "alone.png", "text": "no group", "label": "b", "group": None})
    splits = make(tmp_path, rows, kind="binary").splits(tmp_path)
    group_of = {row["text"]: row["group"] for row in rows}
    groups = {split: {group_of[r.text] for r in records} for split, records in splits.items()}
    assert not groups["train"] & groups["val"] and not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"] and set.union(*groups.values()) == {*range(20), None}
    assert [split for split in groups if 0 in groups[split]] == [split for split in groups if 19 in groups[split]]
    # 20 units: the first group and the last are one, and the image without a group is one.
    assert {split: len(found - {19}) for split, found in groups.items()} == {"train": 10, "val": 5, "test": 5}


def test_a_share_of_less_than_a_group_is_named(tmp_path):
    rows = [row | {"group": "one"} for row in labelled(*"ab" * 8)]
    with pytest.raises(ValueError, match=r"split_off val 0\.25: that share of 1 groups is none"):
        make(tmp_path, rows, kind="binary").splits(tmp_path)


def test_groups_are_a_part_of_the_fingerprint_only_where_splits_follow_them(tmp_path):
    rows = [row | {"group": i // 2} for i, row in enumerate(labelled(*"ab" * 8))]
    task = make(tmp_path, rows, kind="binary")
    ungrouped = dataclasses.replace(task, draws_groups=lambda folder: False)
    assert task.fingerprint(tmp_path) != ungrouped.fingerprint(tmp_path)
    for part in ("val", "test"):
        write(tmp_path / "mine" / f"{part}.jsonl", (tmp_path / "mine" / "all.jsonl").read_bytes())
    files = {"train": "all.jsonl", "val": "val.jsonl", "test": "test.jsonl"}
    task = make(tmp_path, rows, kind="binary", files=files, split_off={})
    ungrouped = dataclasses.replace(task, draws_groups=lambda folder: False)
    assert task.fingerprint(tmp_path) == ungrouped.fingerprint(tmp_path)


# Where images lie


def test_two_dots_after_a_link_lead_where_the_system_goes(tmp_path):
    """``photos/link/../a.png`` is the image beside the link's target, not ``photos/a.png``."""
    task = make(tmp_path, labelled(*"ab" * 4), kind="binary", images="photos")
    (tmp_path / "mine" / "photos").mkdir()
    for i in range(8):
        (tmp_path / "mine" / f"{i}.png").rename(tmp_path / "mine" / "photos" / f"{i}.png")
    target = picture(tmp_path / "mine" / "elsewhere" / "0.png")
    (target.parent / "inner").mkdir()
    (tmp_path / "mine" / "photos" / "link").symlink_to(target.parent / "inner")
    lines = (tmp_path / "mine" / "all.jsonl").read_text().replace('"0.png"', '"link/../0.png"')
    write(tmp_path / "mine" / "all.jsonl", lines.encode())
    opened = {r.text: r.img for records in task.splits(tmp_path).values() for r in records}
    assert opened["text 0"] == target and opened["text 1"] == tmp_path / "mine" / "photos" / "1.png"


def test_images_may_lie_outside_the_data_root_where_the_description_says_so(tmp_path):
    root, photos = tmp_path / "root", tmp_path / "photos"
    rows = labelled(*"ab" * 4)
    task = make(root, rows, kind="binary", images="../../photos")
    for row in rows:
        picture(photos / row["img"])
    assert {r.img.parent for records in task.splits(root).values() for r in records} == {photos}
    with pytest.raises(ValueError, match=r"all\.jsonl:1: .* outside the data root .* as images in task\.json"):
        make(root, [{"img": "../../photos/0.png", "text": "x", "label": "a"}, *rows], kind="binary").read(root)


def test_the_task_json_for_memes_without_labelled_test_part_does_what_the_book_says(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    line = '{"id": %d, "img": "img/%d.png", "text": "text %d", "label": %d}\n'
    write(folder / "train.jsonl", "".join(line % (i, i, i, i % 2) for i in range(50)).encode())
    for i in range(50):
        picture(folder / "img" / f"{i}.png")
    book = (REPOSITORY / "book" / "method" / "data.md").read_text(encoding="utf-8")
    [description] = re.findall(r":caption: memes/task\.json\n(.*?)```", book, re.DOTALL)
    write(tmp_path / "memes" / "task.json", description.encode())
    task = formats.task("memes", tmp_path)
    assert task.labels(tmp_path / "memes") == ("0", "1")
    splits = task.splits(tmp_path)
    assert {split: len(records) for split, records in splits.items()} == {"train": 47, "val": 3, "test": 1}
    assert splits["test"][0] == ("8291", folder / "img" / "08291.png", "white people is this", 1)


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
