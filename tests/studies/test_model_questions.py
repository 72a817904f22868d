"""What is measured of residual path, first tokens and a second pass, on states whose answers are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from studies.model_questions import (
    across_streams,
    beside,
    best_poolings,
    first_tokens,
    origins,
    reach,
    readable,
    tokens_of,
    within_streams,
)
from vilbert_lib.config import ModelConfig, arrange
from vilbert_lib.metrics import MEASURES
from vilbert_lib.model.vilbert import ViLBERT

N, T, P, D = 24, 4, 5, 6


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pooled():
    """States of two layers with embeddings whose first tokens are the same in all samples."""
    states = {name: drawn(N, T if name[0] == "t" else P, D, seed=i) for i, name in enumerate(NAMES)}
    for name in ("t-1", "v-1"):
        states[name][:, 0] = states[name][0, 0]
    return {
        "cls": {name: x[:, 0] for name, x in states.items()},
        "mean": {name: x[:, 1:].mean(1) for name, x in states.items()},
        "full_seq": {name: x.flatten(1) for name, x in states.items()},
    }


NAMES = ["t-1", "t0", "t1", "v-1", "v0", "v1"]


def test_norm_and_cosine_of_tokens_are_those_by_hand_and_padding_is_left_out():
    text = torch.zeros(2, 3, 2)
    text[0] = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 5.0]])
    text[1, :2] = torch.tensor([[2.0, 0.0], [0.0, 2.0]])  # a word less
    image = torch.ones(2, 2, 4)
    found = tokens_of({"t0": text.flatten(1), "v3": image.flatten(1)}, (2, 4))
    assert found[["stream", "layer"]].values.tolist() == [["text", 0], ["vision", 3]]
    assert found.norm[0] == pytest.approx(((3 * 25 + 2 * 4) / 5) ** 0.5) and found.norm[1] == pytest.approx(2)
    assert found.cosine[0] == pytest.approx(((1 + 0.8 + 0.8) / 3 + 0) / 2) and found.cosine[1] == pytest.approx(1)


def test_origins_are_the_measure_with_both_embeddings(pooled):
    full = pooled["full_seq"] | {"t1": pooled["full_seq"]["v-1"]}  # the text became the image
    found = origins(full, "unbiased_cka").set_index(["stream", "layer", "embedding"]).value
    assert found["text", 1, "other"] == pytest.approx(1) and found["text", -1, "own"] == pytest.approx(1)
    wanted = MEASURES["unbiased_cka"](full["v0"], full["t-1"])
    assert found["vision", 0, "other"] == pytest.approx(wanted, abs=1e-5)
    assert len(found) == 12 and found.notna().all()


def test_a_first_token_that_is_the_same_in_all_samples_has_no_spread():
    found = first_tokens({"t-1": torch.ones(N, D), "t0": torch.ones(N, D) * 3, "t1": drawn(N, D)})
    assert found.spread[:2].tolist() == pytest.approx([0, 0], abs=1e-7)
    assert found.spread[2] == pytest.approx(1, abs=0.1)  # no mean: all of it is spread
    assert np.isnan(found.moved[0]) and found.moved[1] == pytest.approx(2)


def test_across_streams_every_pooling_meets_every_pooling(pooled):
    found = across_streams(pooled, "mknn", k=5).set_index(["text_pooling", "vision_pooling", "layer"]).value
    assert len(found) == 27
    wanted = MEASURES["mknn"](pooled["mean"]["t0"], pooled["cls"]["v0"], k=5)
    assert found["mean", "cls", 0] == pytest.approx(wanted)
    assert found[:, :, -1].isna().sum() == 5 and found[:, :, 1].notna().all()  # cls with anything


def test_states_of_constant_features_alone_are_not_measured_but_said():
    constant = {"cls": {"t-1": torch.ones(N, D), "v-1": torch.ones(N, D)}, "mean": {"t-1": drawn(N, D)}}
    found = across_streams({"cls": constant["cls"]}, "cka")
    assert found.value.isna().all() and len(found) == 1
    assert within_streams({"mean": constant["mean"], "cls": constant["cls"]}, "cka").value.isna().all()


@pytest.mark.parametrize("many", [False, True], ids=["one label", "several labels"])
def test_a_label_is_readable_where_it_stands_and_nowhere_else(many):
    classes = torch.arange(60) % 3
    one_hot = torch.eye(3)[classes]
    features = {"t-1": torch.ones(60, 4), "t0": drawn(60, 4), "v0": one_hot + 0.05 * drawn(60, 3, seed=1)}
    found = readable({"cls": features}, one_hot.numpy() if many else classes.numpy())
    values = found.set_index(["stream", "layer"]).value
    assert values["vision", 0] > 0.9 and values["text", 0] < 0.15 and values["text", -1] == 0
    assert values["vision", 0] == pytest.approx(MEASURES["r2"](features["v0"], one_hot), abs=1e-5)


@pytest.mark.parametrize(("passes", "share"), [(1, 1 / 5), (2, 1.0)])
def test_a_patch_reaches_its_own_embedding_alone_unless_the_image_passed_before(passes, share):
    torch.manual_seed(0)
    small = ModelConfig(width=16, heads=2, coattention_width=16, coattention_heads=2, patch_size=32, vocab_size=50)
    model = ViLBERT(dataclasses.replace(arrange(small, "middle_fusion"), vision_passes=passes)).eval()
    ids = torch.randint(5, 50, (3, 7))
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids, dtype=torch.bool),
        "pixel_values": drawn(3, 3, 64, 64),
    }
    before = batch["pixel_values"].clone()
    found = reach(model, batch, 32)
    assert found.layer.tolist() == list(range(-1, 12))
    assert found.share[0] == pytest.approx(share) and (found.share[1:] == 1).all()
    assert torch.equal(batch["pixel_values"], before)


def test_the_best_pair_of_poolings_is_counted_over_layers_without_the_embedding():
    values = {("cls", "cls"): (9, 0.3, 0.5), ("cls", "mean"): (0, 0.4, 0.4), ("mean", "cls"): (0, 0.1, 0.9)}
    table = pd.DataFrame(
        [
            {"text_pooling": t, "vision_pooling": v, "seed": seed, "layer": layer, "value": value + seed / 100}
            for (t, v), of_layers in values.items()
            for seed in (0, 1)
            for layer, value in enumerate(of_layers, start=-1)
        ]
    )
    found = best_poolings(table)
    assert found["best in layers"].to_dict() == {("cls", "cls"): 0, ("cls", "mean"): 1, ("mean", "cls"): 1}
    assert found.loc[("mean", "cls"), "mean"] == pytest.approx(0.505)
    assert found.loc[("mean", "cls"), "low"] == pytest.approx(0.505 - 12.7062 * 0.005, abs=1e-4)
    late = best_poolings(table, first_layer=1)
    assert late["best in layers"].tolist() == [0, 0, 1] and late["mean"].max() == pytest.approx(0.905)


def test_models_are_held_beside_another_seed_by_seed():
    def table(*values):
        return pd.DataFrame(
            [{"model": m, "seed": s, "value": v} for m, vs in zip("abc", values, strict=True)
             for s, v in enumerate(vs)]
        )  # fmt: skip

    clear = table([1.0, 2.0, 3.0], [2.0, 3.1, 3.9], [9.0, 9.0, 9.0])
    unclear = table([1.0, 2.0, 3.0], [1.5, 1.5, 3.5], [9.0, 9.0, 9.0])
    several = pd.concat([clear, clear.assign(value=clear.value + 2)])
    found = beside({"clear": clear, "unclear": unclear, "several rows": several}, ["b"], against="a")
    assert list(found.index) == [(look, m) for look in ("clear", "unclear", "several rows") for m in "ab"]
    assert found.apart.tolist() == [False, True, False, False, False, True]
    assert found.higher.tolist() == [0, 3, 0, 2, 0, 3]
    assert found.loc[("clear", "b"), ["mean", "difference"]].tolist() == pytest.approx([3, 1])
    half = 4.302653 * 0.1 / 3**0.5
    assert found.loc[("clear", "b"), ["from", "to"]].tolist() == pytest.approx([1 - half, 1 + half])
    assert found.loc[("clear", "a"), ["low", "high"]].tolist() == pytest.approx([2 - 2.4841, 2 + 2.4841], abs=1e-4)
    assert found.loc[("several rows", "b"), ["mean", "difference"]].tolist() == pytest.approx([4, 1])
    assert found.loc[("clear", "a"), ["difference", "from", "to"]].isna().all()


def test_a_sample_without_label_is_refused():
    with pytest.raises(ValueError, match="2 of the labels are -1"):
        readable({"cls": {"t0": drawn(4, 2)}}, np.array([0, -1, 1, -1]))
