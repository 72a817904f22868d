"""Entropy of attention by hand, and the paired test on planted differences."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from vilbert_lib.attribution import entropies, focus
from vilbert_lib.attribution.entropy import beside_blocks
from vilbert_lib.config import ModelConfig
from vilbert_lib.model.attention import recording
from vilbert_lib.model.heads import Classifier

TINY = ModelConfig(
    t_biattention_ids=(1,),
    v_biattention_ids=(0,),
    num_layers=2,
    width=16,
    heads=2,
    coattention_width=16,
    coattention_heads=4,
    image_size=32,
    patch_size=16,
    vocab_size=50,
)
IDS = torch.tensor([[2, 6, 7, 9, 3], [2, 5, 3, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": IDS != 0, "pixel_values": torch.randn(2, 3, 32, 32)}


def test_entropy_is_normalised_by_the_keys_that_are_there_and_padding_does_not_ask():
    torch.manual_seed(0)
    model = Classifier(TINY, 2).eval()
    for module in model.vilbert.coattention[0].vision_asks.query, model.vilbert.bert.encoder.layer[0]:
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    found = entropies(model, BATCH).set_index(["kind", "index", "head", "sample"])
    with recording(model) as record, torch.no_grad():
        model(IDS, IDS != 0, BATCH["pixel_values"])
    by_place = {(a.kind, a.index): a.probabilities.double().numpy() for a in record}
    p = by_place["text", 0][1, 1, :3, :3]
    assert found.value["text", 0, 1, 1] == pytest.approx((-(p * np.log(p)).sum(1) / np.log(3)).mean(), abs=1e-5)
    assert found.value["text", 0, 1, 1] < 0.99
    p = by_place["vision asks", 0][1, 3, :, :3]
    assert found.value["vision asks", 0, 3, 1] == pytest.approx(
        (-(p * np.log(p)).sum(1) / np.log(3)).mean(), abs=1e-5
    )
    assert found.loc[("vision asks", 0, 3, 1), "keys"] == 3 and found.loc[("text asks", 0, 0, 1), "keys"] == 5
    assert found.value.between(0, 1 + 1e-6).all() and len(found) == 2 * (4 * 2 + 2 * 4)


def test_attention_that_is_the_same_for_all_keys_has_entropy_one():
    model = Classifier(dataclasses.replace(TINY, streams="single", t_biattention_ids=(), v_biattention_ids=()), 2)
    with torch.no_grad():
        for block in model.vilbert.vit.blocks:
            block.attn.qkv.weight.zero_()
            block.attn.qkv.bias.zero_()
    found = entropies(model.eval(), BATCH)
    assert set(found.kind) == {"joint"} and found.value.to_numpy() == pytest.approx(1, abs=1e-6)


def made(step: float, learned: float) -> pd.DataFrame:
    """Entropies of 6 models in which co-attention is ``step`` off before and ``learned`` more after training."""
    rng = np.random.default_rng(0)
    rows = [
        {"moment": moment, "model": f"m{m}", "sample": s, "kind": kind, "layer": layer, "head": 0, "value": value}
        for m in range(6)
        for s in range(8)
        for moment, more in (("untrained", 0), ("trained", learned))
        for kind, off in (("text", 0), ("vision", 0), ("text asks", 1), ("vision asks", 1))
        for layer in ((1, 2) if off == 0 else (1,))
        for value in [0.8 + off * (step + more) + 0.2 * (layer == 2) + 0.01 * rng.standard_normal()]
    ]
    return pd.DataFrame(rows)


def test_focus_finds_what_was_planted_and_what_was_learned():
    found = focus(made(-0.1, -0.2)).set_index("moment")
    assert found["mean"].tolist() == pytest.approx(
        [-0.2, -0.4, -0.2], abs=0.01
    )  # half of the self-attention: +0.2
    assert (found.p < 0.05).all() and (found.clusters == 6).all() and (found.d < 0).all()
    assert (found.low < found["mean"]).all() and (found["mean"] < found.high).all()
    none = focus(made(0.1, 0.0)).set_index("moment")
    assert none["mean"].tolist() == pytest.approx([0, 0, 0], abs=0.01)


def test_beside_the_blocks_only_their_own_layers_are_compared():
    near = beside_blocks(made(-0.1, 0.0))
    assert set(near.layer) == {1}
    assert focus(near).set_index("moment")["mean"]["trained"] == pytest.approx(-0.1, abs=0.01)
