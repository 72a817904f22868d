"""Tests of methods, tried on a model whose evidence is known because it is written here."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vilbert_lib.attribution import Relevance, areas, curves, gains, inside, pointing, trust, trusted

WORD, PATCH = 2, 5  # the places that decide
IDS = torch.tensor([[2, 6, 7, 9, 3, 0], [2, 5, 7, 8, 6, 3], [2, 5, 7, 3, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": IDS != 0, "pixel_values": torch.ones(3, 3, 16, 16)}


class Knows(nn.Module):
    """Says class 1 where patch 5 of 16 is bright and word 2 is there."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(6.0))

    def forward(self, ids, mask, pixels):
        bright = pixels[:, :, 4:8, 4:8].mean((1, 2, 3))
        seen = bright + mask[:, WORD].float() - 1
        return torch.stack([torch.zeros_like(seen), self.scale * seen], 1), None


def relevance_of(sign: float) -> Relevance:
    text, patches = np.zeros((3, 6)), np.zeros((3, 16))
    text[:, WORD], patches[:, PATCH] = sign, sign
    return Relevance(text, patches)


@pytest.fixture(scope="module")
def table():
    found = {"right": relevance_of(1.0), "wrong": relevance_of(-1.0), "blind": relevance_of(0.0)}
    return curves(Knows(), BATCH, found, 1, levels=4, draws=3)


def test_a_curve_begins_and_ends_where_all_or_nothing_is_there(table):
    sure, lost = (float(torch.sigmoid(torch.tensor(x))) for x in (6.0, 0.0))
    for (_, _, curve), group in table.groupby(["method", "side", "curve"]):
        ends = group.groupby("share").value.mean()
        wanted = (sure, lost) if curve == "deletion" else (lost, sure)
        assert (ends[0.0], ends[1.0]) == pytest.approx(wanted, abs=1e-6)
    assert sorted(table.share.unique()) == [0, 0.25, 0.5, 0.75, 1]


def test_the_area_is_that_of_the_curve_by_hand(table):
    sure, lost = (float(torch.sigmoid(torch.tensor(x))) for x in (6.0, 0.0))
    found = areas(table).set_index(["method", "side", "curve", "sample"]).value
    gone_first = (sure / 2 + 3 * lost + lost / 2) / 4
    gone_last = (sure / 2 + 3 * sure + lost / 2) / 4
    assert found["right", "patches", "deletion", 0] == pytest.approx(gone_first, abs=1e-6)
    assert found["wrong", "patches", "deletion", 0] == pytest.approx(gone_last, abs=1e-6)
    assert found["right", "patches", "insertion", 0] == pytest.approx(gone_last, abs=1e-6)


def test_only_the_right_order_beats_a_random_one(table):
    means = gains(table).groupby(["method", "side", "curve"]).value.mean().unstack("method")
    assert (means.right > 0).all() and (means.wrong < 0).all()
    assert set(means.columns) == {"right", "wrong", "blind"}
    assert (means.blind.abs() < means.right).all()  # ties are broken at random


def test_the_share_of_a_patch_in_a_box_is_by_area():
    found = inside([(0.0, 0.25, 0.5, 0.625)], 16).reshape(4, 4)
    assert found.tolist() == [[0, 1, 0.5, 0], [0, 1, 0.5, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert inside([(0.0, 0.0, 1.0, 1.0)], 4).mean() == 1


def test_pointing_is_the_share_of_positive_relevance_on_the_evidence():
    text = np.array([[0, 3.0, 1.0, -5.0, 0], [0, 1.0, 1.0, 0, 0]])
    words = np.array([[0, 1, 1, 1, 0], [0, 1, 1, 0, 0]], bool)
    deciding = np.array([[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    patches = np.array([[1.0, 3, 0, 0], [0, 0, 0, 0]])
    evidence = np.array([[0, 0.5, 0, 0], [1, 0, 0, 0]])
    found = pointing({"m": Relevance(text, patches)}, evidence, deciding, words).set_index(["side", "sample"])
    assert found.loc[("words", 0), ["share", "top", "chance"]].tolist() == pytest.approx([3 / 4, 1, 1 / 3])
    assert found.loc[("patches", 0), ["share", "top", "chance"]].tolist() == pytest.approx([1.5 / 4, 0.5, 0.125])
    assert found.loc[("patches", 1), ["share", "top", "chance"]].tolist() == pytest.approx([0.25] * 3)  # nothing
    assert ("words", 1) not in found.index  # no word is known to decide


def test_trusted_is_who_passes_every_test(table):
    models = pd.concat([table.assign(model=name) for name in "abc"], ignore_index=True)
    found = trust(models)
    assert set(found.test) == {"deletion", "insertion"} and (found.models == 3).all()
    assert all(trusted(found)[side] == ["right"] for side in ("words", "patches"))
    pointed = pd.DataFrame({"method": "right", "side": "words", "sample": range(3), "share": 0.1, "top": 1.0})
    pointed = pd.concat([pointed.assign(chance=0.5, model=name) for name in "abc"], ignore_index=True)
    assert list(trusted(trust(models, pointed)).index) == ["patches"]  # the share of words is below chance
