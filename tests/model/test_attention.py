"""Recorded attention is that of the model, layer by layer, and recording changes nothing."""

import dataclasses

import pytest
import torch

from vilbert_lib.config import ModelConfig
from vilbert_lib.model.attention import recording
from vilbert_lib.model.heads import Classifier

TINY = ModelConfig(
    t_biattention_ids=(1, 2),
    v_biattention_ids=(0, 2),
    num_layers=3,
    width=16,
    heads=2,
    coattention_width=16,
    coattention_heads=4,
    pooled_width=16,
    image_size=32,
    patch_size=8,
    vocab_size=50,
)
IDS = torch.tensor([[2, 6, 7, 9, 8, 3], [2, 5, 3, 0, 0, 0]])
MASK, PIXELS = IDS != 0, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def model_of(**changes) -> Classifier:
    torch.manual_seed(0)
    return Classifier(dataclasses.replace(TINY, **changes), 2).eval()


SINGLE = {"streams": "single", "t_biattention_ids": (), "v_biattention_ids": ()}


@pytest.mark.parametrize("changes", [{}, SINGLE, {"vision_passes": 2}, {"frozen_layers": -1}])
def test_the_model_says_the_same_while_it_is_recorded(changes):
    model = model_of(**changes)
    before, _ = model(IDS, MASK, PIXELS)
    with recording(model) as record:
        seen, _ = model(IDS, MASK, PIXELS)
    after, _ = model(IDS, MASK, PIXELS)
    assert torch.allclose(seen, before, atol=1e-6) and torch.equal(after, before)
    assert not any(module._forward_pre_hooks for module in model.modules())
    total = sum(a.probabilities.sum() for a in record)
    assert len(record) == len([a for a in record if a.probabilities.requires_grad]) and total.isfinite()


def test_the_record_follows_the_schedule():
    with recording(model := model_of()) as record:
        model(IDS, MASK, PIXELS)
    assert [(a.kind, a.index) for a in record] == [
        ("text", 0),
        ("text asks", 0),
        ("vision asks", 0),
        ("text", 1),
        ("vision", 0),
        ("vision", 1),
        ("text asks", 1),
        ("vision asks", 1),
        ("text", 2),
        ("vision", 2),
    ]
    shapes = {a.kind: tuple(a.probabilities.shape) for a in record}
    assert shapes == {
        "text": (2, 2, 6, 6),
        "vision": (2, 2, 17, 17),
        "text asks": (2, 4, 6, 17),
        "vision asks": (2, 4, 17, 6),
    }


def test_probabilities_sum_to_one_and_padding_gets_none():
    for changes in ({}, SINGLE):
        with recording(model := model_of(**changes)) as record:
            model(IDS, MASK, PIXELS)
        for a in record:
            sums = a.probabilities.sum(-1)
            assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5)
            if a.kind in ("text", "vision asks", "joint"):
                assert (a.probabilities[1, :, :, 3:6] == 0).all() and (a.probabilities[0, :, :, :6] > 0).all()


def test_only_attention_that_the_head_can_read_has_a_gradient():
    model = model_of(frozen_layers=-1)
    with recording(model) as record:
        logits, _ = model(IDS, MASK, PIXELS)
    gradients = torch.autograd.grad(logits[:, 0].sum(), [a.probabilities for a in record], allow_unused=True)
    named = {(a.kind, a.index): g for a, g in zip(record, gradients, strict=True)}
    # The head reads the first tokens: of the last layers' attention only their rows bear on it.
    for kind in ("text", "vision"):
        assert named[kind, 2][:, :, 1:].abs().max() == 0 and named[kind, 2][:, :, 0].abs().max() > 0
    assert named["text asks", 0].abs().max() > 0


def test_a_model_in_training_is_refused():
    model = model_of().train()
    with pytest.raises(ValueError, match="eval mode"), recording(model):
        pass


def test_an_attention_that_is_not_fused_is_not_passed_over():
    model = model_of()
    model.vilbert.vit.blocks[1].attn.fused_attn = False
    with pytest.raises(RuntimeError, match="vision 1 does not go through"), recording(model):
        model(IDS, MASK, PIXELS)
