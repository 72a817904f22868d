"""The streams are the libraries' own, they meet where they should, and padding changes nothing."""

import pytest
import timm
import torch
from small import inputs
from torch import nn
from transformers import BertModel

from vilbert_lib.config import ARCHITECTURES, ModelConfig, arrange, profile
from vilbert_lib.model.coattention import CoAttentionBlock, schedule
from vilbert_lib.model.heads import Classifier
from vilbert_lib.model.vilbert import ViLBERT

SMALL = ModelConfig(
    width=32, heads=2, coattention_width=48, coattention_heads=4, pooled_width=24, patch_size=32, vocab_size=50
)


def model_of(architecture="asymmetric_fusion", **changes):
    torch.manual_seed(0)
    base = ModelConfig(**{**SMALL.__dict__, **changes})
    return ViLBERT(arrange(base, architecture)).eval()


@pytest.mark.parametrize("lengths", [(7, 7, 7), (7, 3, 1)], ids=["full", "padded"])
def test_without_coattention_the_text_states_are_berts(lengths):
    model = model_of("baseline")
    ids, mask, pixels = inputs(lengths=lengths)
    bert = BertModel(model.bert.config, add_pooling_layer=False).eval()
    bert.load_state_dict(model.bert.state_dict())
    expected = bert(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    states = model(ids, mask, pixels).text_states
    assert len(states) == len(expected) == 13
    assert all(torch.equal(a, b) for a, b in zip(states, expected, strict=True))


def test_without_coattention_the_vision_states_are_timms():
    model = model_of("baseline")
    ids, mask, pixels = inputs()
    states = model(ids, mask, pixels).vision_states
    layers = model.vit.forward_intermediates(
        pixels, output_fmt="NLC", return_prefix_tokens=True, norm=False, intermediates_only=True
    )
    expected = [torch.cat([prefix, patches], 1) for patches, prefix in layers]
    assert len(states) == 13 and len(expected) == 12
    assert all(torch.equal(a, b) for a, b in zip(states[1:], expected, strict=True))
    assert torch.equal(model.vit.norm(states[-1]), model.vit.forward_features(pixels))


def test_every_vision_block_runs_once():
    model, runs = model_of("second_half_fusion"), []
    for i, block in enumerate(model.vit.blocks):
        block.register_forward_hook(lambda *_, i=i: runs.append(i))
    model.vit.patch_embed.register_forward_hook(lambda *_: runs.append("patches"))
    model(*inputs())
    assert runs == ["patches", *range(12)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_schedule_runs_every_layer_once_in_order(architecture):
    t_ids, v_ids = ARCHITECTURES[architecture]
    steps = schedule(t_ids, v_ids, 12, 12)
    for kind, count in (("T", 12), ("V", 12), ("C", len(t_ids))):
        assert [i for k, i in steps if k == kind] == list(range(count))
    for k, (t, v) in enumerate(zip(t_ids, v_ids, strict=True)):
        met = steps.index(("C", k))
        assert steps.index(("T", t)) > met and steps.index(("V", v)) > met
        assert all(steps.index((s, i - 1)) < met for s, i in (("T", t), ("V", v)) if i)


def test_coattention_keeps_each_streams_length_and_reads_the_states_before_the_exchange():
    torch.manual_seed(0)
    block = CoAttentionBlock(16, 24, 32, 4, 0.0).eval()
    text, vision, mask = torch.randn(2, 5, 16), torch.randn(2, 9, 24), torch.ones(2, 5, dtype=torch.bool)
    new_text, new_vision = block(text, vision, mask)
    assert new_text.shape == text.shape and new_vision.shape == vision.shape
    # Each side's answer depends on the other side's old state, not on its new one.
    block.vision_feed_forward[-1].weight.data.mul_(100)
    assert torch.equal(block(text, vision, mask)[0], new_text)
    block.text_feed_forward[-1].weight.data.mul_(100)
    normed = block.vision_norm_attention(vision)
    asked = vision + block.vision_asks(normed, text, mask)
    torch.testing.assert_close(
        block(text, vision, mask)[1], asked + block.vision_feed_forward(block.vision_norm_output(asked))
    )


def test_the_residual_is_the_asking_streams_own():
    block = CoAttentionBlock(16, 16, 16, 2, 0.0).eval()
    for part in (block.text_asks.output, block.vision_asks.output):
        nn.init.zeros_(part.weight), nn.init.zeros_(part.bias)
    for part in (block.text_feed_forward[-1], block.vision_feed_forward[-1]):
        nn.init.zeros_(part.weight), nn.init.zeros_(part.bias)
    text, vision = torch.randn(2, 4, 16), torch.randn(2, 6, 16)
    new_text, new_vision = block(text, vision, None)
    assert torch.equal(new_vision, vision)  # pre-norm: the residual path is untouched
    torch.testing.assert_close(new_text, nn.functional.layer_norm(text, (16,)), atol=1e-4, rtol=1e-4)  # post-norm


def blocks_of_every_residual():
    """Blocks that differ in ``residual`` alone, on text (2, 5, 16) and an image (2, 9, 24) far from norm 1."""
    torch.manual_seed(0)
    block = CoAttentionBlock(16, 24, 32, 4, 0.0).eval()
    blocks = {"asker": block}
    for residual in ("none", "normed"):
        blocks[residual] = CoAttentionBlock(16, 24, 32, 4, 0.0, residual).eval()
        blocks[residual].load_state_dict(block.state_dict())  # the weights are the same
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    return blocks, (torch.randn(2, 5, 16), 10 * torch.randn(2, 9, 24), mask)


def test_without_residual_a_block_gives_what_was_answered_alone():
    blocks, (text, vision, mask) = blocks_of_every_residual()
    block = blocks["none"]
    new_text, new_vision = block(text, vision, mask)
    normed = block.vision_norm_attention(vision)
    told = block.text_norm_attention(block.text_asks(text, normed))
    shown = block.vision_asks(normed, text, mask)
    assert torch.equal(new_text, block.text_norm_output(told + block.text_feed_forward(told)))
    assert torch.equal(new_vision, shown + block.vision_feed_forward(block.vision_norm_output(shown)))
    for other in ("asker", "normed"):
        changed = blocks[other](text, vision, mask)
        assert not torch.allclose(changed[0], new_text) and not torch.allclose(changed[1], new_vision)


def test_a_normed_residual_resets_the_scale_of_the_image_and_of_it_alone():
    blocks, (text, vision, mask) = blocks_of_every_residual()
    scales = {name: block(text, vision, mask)[1].std().item() for name, block in blocks.items()}
    assert scales["normed"] == pytest.approx(1, abs=0.05) and scales["asker"] == pytest.approx(10, rel=0.1)
    block = blocks["normed"]
    joined = block.vision_norm_attention(vision + block.vision_asks(vision, text, mask))
    expected = block.vision_norm_output(joined + block.vision_feed_forward(joined))
    assert torch.equal(block(text, vision, mask)[1], expected)
    told = block.text_norm_attention(text + block.text_asks(text, vision))
    assert torch.equal(block(text, vision, mask)[0], block.text_norm_output(told + block.text_feed_forward(told)))


@pytest.mark.parametrize("residual", ["none", "normed"])
def test_a_model_of_another_residual_has_the_same_weights_and_differs_from_the_first_block_on(residual):
    ours, other = model_of("middle_fusion"), model_of("middle_fusion", residual=residual)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), other.parameters(), strict=True))
    a, b = ours(*inputs()), other(*inputs())
    for one, two in ((a.text_states, b.text_states), (a.vision_states, b.vision_states)):
        assert [torch.equal(x, y) for x, y in zip(one, two, strict=True)] == [True] * 7 + [False] * 6


def test_two_passes_take_what_the_vision_transformer_gives_for_embeddings():
    once, twice = model_of("baseline"), model_of("baseline", vision_passes=2)
    ids, mask, pixels = inputs()
    a, b = once(ids, mask, pixels), twice(ids, mask, pixels)
    state = once.vit.forward_features(pixels)
    assert torch.equal(b.vision_states[0], state) and len(b.vision_states) == 13
    for block, found in zip(once.vit.blocks, b.vision_states[1:], strict=True):
        state = block(state)
        assert torch.equal(found, state)
    assert all(torch.equal(x, y) for x, y in zip(a.text_states, b.text_states, strict=True))


def test_gradients_reach_every_parameter():
    model = Classifier(arrange(SMALL, "late_fusion"), 5)
    logits, _ = model(*inputs())
    logits.sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert not without


def test_base_size_follows_from_the_published_configurations():
    """194.69 M parameters in the streams and 14.176 M a co-attention block, counted without memory."""
    base = profile("base").model
    with torch.device("meta"):
        block = CoAttentionBlock(768, 768, base.coattention_width, base.coattention_heads, 0.1)
        vit = timm.create_model("vit_base_patch16_224", num_classes=0)
    assert sum(p.numel() for p in block.parameters()) / 1e6 == pytest.approx(14.176, abs=0.001)
    assert sum(p.numel() for p in vit.parameters()) / 1e6 == pytest.approx(85.8, abs=0.05)
