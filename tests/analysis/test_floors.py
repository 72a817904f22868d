"""Floors, counted by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vilbert_lib.analysis import floors
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


def test_a_text_that_was_never_seen_gets_the_majority():
    assert floors.text_only(TRAIN, records(("green?", 1), ("green?", 2), ("green?", 2))) == pytest.approx(1 / 3)


def test_the_text_floor_is_the_majority_where_texts_tell_nothing():
    same = [record._replace(text="?") for record in TRAIN]
    assert floors.text_only(same, same) == floors.majority(same, same) == pytest.approx(3 / 6)


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


def test_nothing_asked_is_a_floor_of_zero():
    assert floors.most_frequent_word(TRAIN_WORDS, Held([[2, 7, 3]], [[X, X, X]])) == 0.0
