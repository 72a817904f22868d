"""Broken samples stop a run, or are left out of it and counted; labels of every kind reach the batch."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
import torch

from vilbert_lib import runs
from vilbert_lib.data import formats
from vilbert_lib.data.datasets import PairDataset, PretrainingDataset, label_rows
from vilbert_lib.data.formats import Record
from vilbert_lib.data.tokenizer import of_root


@pytest.fixture
def damaged(tiny_root, tmp_path):
    """A root whose memes have a broken line in training, and in validation a missing and a broken image."""
    root = shutil.copytree(tiny_root, tmp_path / "root")
    folder = root / "hateful_memes"
    lines = (folder / "train.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "train.jsonl").write_bytes(b"".join([*lines[:3], b"{\n", *lines[4:]]))
    val = formats.task("hateful_memes").splits(root, on_error="skip")["val"]
    val[0].img.unlink()
    val[1].img.write_bytes(b"no image")
    return root


def test_a_run_that_skips_says_how_many_it_left_out(damaged, tiny_profile, tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    config = runs.configure(
        tiny_profile, damaged, "hateful_memes", "baseline", on_error="skip", train={"epochs": 1}
    )
    summary = runs.train(config, damaged).summary
    assert {name: summary[name] for name in ("skipped", "n_train", "n_val", "n_test")} == {
        "skipped": 3,
        "n_train": 31,
        "n_val": 6,
        "n_test": 16,
    }


@pytest.mark.parametrize("objectives", [None, ("mlm", "ap")])
def test_samples_of_an_image_that_does_not_decode_are_left_out_whole(tiny_root, tmp_path, objectives):
    root = shutil.copytree(tiny_root, tmp_path / "root")
    records = formats.task("easy_vqa").splits(root)["train"]
    image = records[0].img
    lost = [record for record in records if record.img == image]
    image.write_bytes(image.read_bytes()[:100])
    arguments = (records, of_root(tiny_root), 32, 32)
    extra = {"objectives": objectives, "seed": 0} if objectives else {}
    make = PretrainingDataset if objectives else PairDataset
    with pytest.raises(ValueError, match=rf"{image.name}: broken image"):
        make(*arguments, **extra)
    pairs = make(*arguments, on_error="skip", **extra)
    assert len(lost) > 1 and pairs.records == [record for record in records if record.img != image]
    assert [problem.where for problem in pairs.problems] == [str(image)] * len(lost)
    whole = PairDataset(pairs.records, *arguments[1:])
    assert len(pairs) == len(whole) and (pairs.ids == whole.ids).all() and (pairs.labels == whole.labels).all()
    assert (pairs.pixels[pairs.image_of] == whole.pixels[whole.image_of]).all()


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)], ids=["pipe", "folder", "link"]
)
def test_what_is_no_file_is_left_out_where_samples_are_skipped(tiny_root, tmp_path, make):
    root = shutil.copytree(tiny_root, tmp_path / "root")
    for task, skipped in (("hateful_memes", 1), ("easy_vqa", 2)):  # one names its images, the other numbers them
        image = formats.task(task).splits(root)["test"][0].img
        image.unlink()
        make(image)
        reading = formats.task(task).read(root, on_error="skip")
        assert [problem.cause for problem in reading.problems["test"]] == ["missing image"] * skipped
        assert len(PairDataset(reading.splits["test"], of_root(tiny_root), 8, 8)) == 16 - skipped


def test_where_every_image_is_broken_no_dataset_is_made(tiny_root, tmp_path):
    root = shutil.copytree(tiny_root, tmp_path / "root")
    records = formats.task("hateful_memes").splits(root)["val"]
    for record in records:
        record.img.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"each of the 8 images is broken, the first is .*\.png"):
        PairDataset(records, of_root(tiny_root), 32, 32, on_error="skip")


def test_a_split_without_samples_is_named(tiny_root, tiny_profile, tmp_path):
    root = shutil.copytree(tiny_root, tmp_path / "root")
    (root / "hateful_memes" / "dev.jsonl").write_text("")
    config = runs.configure(tiny_profile, root, "hateful_memes", "baseline")
    with pytest.raises(ValueError, match="hateful_memes val: no samples"):
        runs.dataset(config, root, "val")


def test_skipping_makes_another_run_and_a_clean_root_keeps_its_words(tiny_root, tiny_profile):
    strict, lenient = (
        runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", on_error=on_error)
        for on_error in ("raise", "skip")
    )
    assert strict.id != lenient.id and strict == dataclasses.replace(lenient, on_error="raise")


def test_words_trained_without_some_samples_have_a_name_of_their_own(tiny_root, tmp_path):
    """The annotations are the same where only an image is missing."""
    root = shutil.copytree(tiny_root, tmp_path / "root")
    whole = of_root(root, on_error="skip").name
    formats.task("hateful_memes").splits(root)["train"][0].img.unlink()
    assert of_root(root, on_error="skip").name != whole == of_root(tiny_root).name


# Labels


def records(*labels) -> list[Record]:
    return [Record(str(i), None, "text", label) for i, label in enumerate(labels)]


def test_single_labels_are_whole_numbers():
    rows = label_rows(records(3, None, 0))
    assert rows.dtype == np.int64 and rows.tolist() == [3, -1, 0]


def test_sets_of_labels_are_rows_of_ones_and_zeros():
    rows = label_rows(records((0, 2), (), None), classes=3)
    assert rows.dtype == np.float32 and rows.tolist() == [[1, 0, 1], [0, 0, 0], [-1, -1, -1]]


def test_a_batch_of_a_multilabel_task_holds_such_rows(tiny_root):
    found = formats.task("hateful_memes").splits(tiny_root)["train"][:3]
    found = [r._replace(label=label) for r, label in zip(found, [(1,), (0, 1), ()], strict=True)]
    label = PairDataset(found, of_root(tiny_root), 32, 32, classes=2).__getitems__([2, 0, 1])["label"]
    assert label.dtype == torch.float32 and label.tolist() == [[0, 0], [0, 1], [1, 1]]
