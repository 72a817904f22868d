"""Floors, counted by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from studies import floors
from vilbert_lib.data import formats
from vilbert_lib.data.formats import Record
from vilbert_lib.data.masking import IGNORED


def records(*pairs: tuple[str, int | tuple[int, ...]]) -> list[Record]:
    return [Record(str(i), Path("image.png"), text, label) for i, (text, label) in enumerate(pairs)]


TRAIN = records(("red?", 1), ("red?", 1), ("red?", 0), ("shape?", 2), ("shape?", 2), ("blue?", 1))


def test_the_majority_is_that_of_the_training_part():
    test = records(("red?", 1), ("shape?", 2), ("shape?", 2), ("shape?", 2))
    assert floors.majority(TRAIN, test) == pytest.approx(1 / 4)


def test_each_text_gets_its_most_frequent_label():
    test = records(("red?", 1), ("red?", 0), ("shape?", 2), ("blue?", 0))
    assert floors.text_only(TRAIN, test) == pytest.approx(2 / 4)


GENRES = ("crime", "drama", "war")
FILMS = records(("a", (0,)), ("a", (0, 1)), ("b", (1,)), ("b", (1, 2)), ("b", (1,)))


def test_with_several_labels_each_is_guessed_by_itself():
    """Drama is guessed (4 of 5 have it), crime and war are not."""
    test = records(("b", (1,)), ("b", (0, 2)), ("c", ()))
    assert floors.majority(FILMS, test, GENRES) == pytest.approx((3 + 0 + 2) / 9)


def test_with_several_labels_each_text_has_its_own():
    """Text a: crime (drama has only half); text b: drama; c, which was never seen: drama."""
    test = records(("a", (0,)), ("b", (1, 2)), ("c", (1,)), ("c", (0,)))
    assert floors.text_only(FILMS, test, GENRES) == pytest.approx((3 + 2 + 3 + 1) / 12)


def test_the_most_frequent_label_has_a_name_and_a_share():
    assert floors.most_frequent_label(FILMS, GENRES) == {"most frequent label": "drama", "its share": 0.8}
    assert floors.most_frequent_label(TRAIN[:4], GENRES)["most frequent label"] == "drama"
    assert floors.most_frequent_label([TRAIN[0], TRAIN[2]], GENRES)["most frequent label"] == "crime"
    assert floors.most_frequent_label([TRAIN[0]._replace(label=None)], GENRES)["most frequent label"] == ""


class Held:
    """What :func:`floors.most_frequent_word` asks of a pretraining dataset."""

    tokenizer = SimpleNamespace(vocab_size=12, special_ids=np.array([0, 1, 2, 3, 4]))

    def __init__(self, ids, targets):
        self.ids, self.targets = np.array(ids), torch.tensor(targets)

    def __len__(self):
        return len(self.ids)

    def __getitems__(self, indices):
        return {"mlm_targets": self.targets[indices]}


X = IGNORED
TRAIN_WORDS = Held([[2, 7, 7, 3, 0, 0], [2, 8, 7, 9, 3, 0]], [[X] * 6] * 2)


def test_the_most_frequent_word_is_never_a_special_token():
    held_out = Held([[2, 7, 8, 3], [2, 9, 7, 3]], [[X, 7, 8, X], [X, 9, 7, X]])
    assert floors.most_frequent_word(TRAIN_WORDS, held_out) == pytest.approx(2 / 4)


EMOJI = {"majority": 0.562, "text lookup": 0.892}


def made(accuracy: dict[str, float], seeds=(0, 1)) -> pd.DataFrame:
    """Runs whose accuracy differs by a fifth of a point from seed to seed."""
    return pd.DataFrame(
        {"run": f"{name}-{seed}", "architecture": name, "seed": seed, "test_accuracy": value + 0.002 * seed}
        | {"n_test": 800}
        for name, value in accuracy.items()
        for seed in seeds
    )


def test_baselines_of_a_task_are_those_of_its_splits(tiny_root):
    task = formats.task("easy_vqa", tiny_root)
    splits, names = task.splits(tiny_root), task.labels(task.folder(tiny_root))
    known = splits["train"] + splits["val"]
    assert floors.baselines("easy_vqa", tiny_root) == {
        "majority": floors.majority(known, splits["test"], names),
        "text lookup": floors.text_only(known, splits["test"], names),
    }


def test_runs_that_predict_one_class_are_listed_and_the_criterion_is_named():
    runs = made({"a": 0.562, "b": 0.6})
    old = floors.notes(runs)
    assert old[0].endswith("best validation accuracy.") and old[1].startswith("Of 4 of 4 runs it is not recorded")
    new = floors.notes(runs.assign(select="macro_f1", test_classes_predicted=[1, 2, 2, 2]))
    assert new[0].endswith("best validation macro F1.") and len(new) == 2
    assert new[1] == (
        "1 of 4 runs predict one class for every test sample, so their accuracy is that of a constant: a-0."
    )
    mixed = floors.notes(runs.assign(select=["loss", None, None, None]))
    assert mixed[0].endswith("best validation loss (1 runs), accuracy (3 runs).")


def test_a_model_below_the_text_lookup_is_not_better_than_what_needs_no_model():
    runs = made({"middle": 0.669, "text_only": 0.612, "image_only": 0.6})
    reached = runs.groupby("architecture").test_accuracy.mean()
    row = floors.against_baselines("emoji", reached, EMOJI, 800)
    assert row["verdict"] == "contradicted" and row["estimate"] == pytest.approx(-22.2)
    assert "middle reaches 67.0%" in row["sentence"] and "89.2% of a text lookup" in row["sentence"]
    row = floors.against_one_side("emoji", runs, "middle", ["text_only", "image_only"], EMOJI)
    assert row["verdict"] == "contradicted" and "text lookup" in row["sentence"]
