"""Baselines, pooling, frozen layers and gradient checkpointing, on both kinds of streams."""

import dataclasses

import pytest
import torch
from small import inputs

from vilbert_lib.config import BASELINES, ModelConfig, arrange
from vilbert_lib.model.heads import Classifier
from vilbert_lib.model.streams import parameter_table, pool

SMALL = ModelConfig(
    width=16, heads=2, coattention_width=16, coattention_heads=2, pooled_width=12, patch_size=32, vocab_size=50
)
EVERY = ["middle_fusion", "baseline", *BASELINES]


def model_of(architecture, head=lambda config: Classifier(config, 4), **changes):
    torch.manual_seed(0)
    return head(arrange(dataclasses.replace(SMALL, **changes), architecture))


@pytest.mark.parametrize("architecture", EVERY)
def test_every_architecture_gives_logits_and_a_state_a_layer(architecture):
    model = model_of(architecture).eval()
    logits, output = model(*inputs())
    assert logits.shape == (3, 4)
    assert [s.shape for s in output.text_states] == [(3, 7, 16)] * 13
    assert [s.shape for s in output.vision_states] == [(3, 5, 16)] * 13
    assert output.fused.shape == (3, model.vilbert.fused_width)


@pytest.mark.parametrize("architecture", EVERY)
def test_padding_changes_nothing(architecture):
    model = model_of(architecture, pooling="mean").eval()
    ids, mask, pixels = inputs()
    garbage = torch.where(mask, ids, torch.randint_like(ids, 5, 50))
    assert torch.equal(model(ids, mask, pixels)[0], model(garbage, mask, pixels)[0])


@pytest.mark.parametrize(("architecture", "reads_text", "reads_image"), [
    ("text_only", True, False), ("image_only", False, True), ("single_stream", True, True),
    ("linear_probe", True, True), ("baseline", True, True),
])  # fmt: skip
def test_a_baseline_reads_what_its_name_says(architecture, reads_text, reads_image):
    model = model_of(architecture).eval()
    ids, mask, pixels = inputs()
    logits = model(ids, mask, pixels)[0]
    other_text = model((ids - 1).masked_fill(~mask, 0), mask, pixels)[0]
    other_image = model(ids, mask, pixels + 1)[0]
    assert torch.equal(logits, other_text) != reads_text
    assert torch.equal(logits, other_image) != reads_image


@pytest.mark.parametrize(("architecture", "untrained"), [("text_only", "vit."), ("image_only", "bert.encoder")])
def test_the_stream_that_is_not_read_learns_nothing(architecture, untrained):
    model = model_of(architecture)
    model(*inputs())[0].sum().backward()
    learns = {name for name, p in model.vilbert.named_parameters() if p.grad is not None and p.grad.any()}
    assert learns and not [name for name in learns if name.startswith(untrained)]


def test_words_and_patches_of_the_single_stream_see_each_other_from_the_first_layer():
    model = model_of("single_stream").vilbert.eval()
    ids, mask, pixels = inputs()
    one, other = model(ids, mask, pixels), model(ids, mask, pixels + 1)
    assert torch.equal(one.text_states[0], other.text_states[0])
    assert not torch.equal(one.text_states[1], other.text_states[1])
    assert model.bert.encoder is None


def test_the_linear_probe_trains_a_linear_layer_on_the_two_first_tokens_and_nothing_else():
    model = model_of("linear_probe")
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]
    ids, mask, pixels = inputs()
    model.eval()
    logits, output = model(ids, mask, pixels)
    features = torch.cat([output.text_states[-1][:, 0], model.vilbert.vit.norm(output.vision_states[-1])[:, 0]], 1)
    assert torch.allclose(logits, model.head(features))


@pytest.mark.parametrize("fusion", ["hadamard", "sum", "concat"])
def test_fusion_is_that_of_the_pooled_states(fusion):
    model = model_of("late_fusion", fusion=fusion).eval()
    _, output = model(*inputs())
    t, v = (pooled.relu() for pooled in output.pooled)
    wanted = {"hadamard": t * v, "sum": t + v, "concat": torch.cat([t, v], 1)}[fusion]
    assert torch.equal(output.fused, wanted)


def test_pooling_takes_the_first_token_or_the_mean_of_the_others_without_padding():
    states = torch.arange(24.0).view(2, 4, 3)
    content = torch.tensor([[True, True, True, False], [True, False, False, False]])
    assert torch.equal(pool(states, content, "cls"), states[:, 0])
    assert torch.equal(pool(states, content, "mean")[0], states[0, 1:3].mean(0))
    assert torch.equal(pool(states, content, "mean")[1], torch.zeros(3))  # no token but the first
    assert torch.equal(pool(states, None, "mean"), states[:, 1:].mean(1))


@pytest.mark.parametrize("architecture", ["middle_fusion", "single_stream"])
@pytest.mark.parametrize("frozen", [2, -1])
def test_frozen_layers_stay_as_they_are_and_are_without_dropout(architecture, frozen):
    model = model_of(architecture, frozen_layers=frozen, dropout=0.2)
    before = {name: p.clone() for name, p in model.named_parameters()}
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(*inputs())[0].square().sum().backward()
    optimizer.step()
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert "vilbert.vit.pos_embed" in still and "vilbert.vit.blocks.1.mlp.fc1.weight" in still
    assert ("vilbert.vit.blocks.2.mlp.fc1.weight" in still) == (frozen == -1)
    assert "vilbert.text_pooler.weight" not in still
    assert not model.vilbert.vit.blocks[1].training
    assert model.vilbert.vit.blocks[2].training == (frozen == 2)
    with pytest.raises(ValueError, match=r"frozen_layers 13: the streams have"):
        model_of(architecture, frozen_layers=13)


@pytest.mark.parametrize("frozen", ["text", "image"])
@pytest.mark.parametrize("layers", [2, -1])
def test_one_stream_alone_can_be_frozen(frozen, layers):
    model = model_of("middle_fusion", frozen_layers=layers, frozen_stream=frozen)
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    text, image = "vilbert.bert.encoder.layer.{}.output.dense.weight", "vilbert.vit.blocks.{}.mlp.fc1.weight"
    kept, free = (text, image) if frozen == "text" else (image, text)
    assert [trained[kept.format(i)] for i in (1, 2)] == [False, layers == 2]
    assert trained[free.format(0)] and trained[free.format(11)]
    assert trained["vilbert.bert.embeddings.word_embeddings.weight"] == (frozen == "image")
    assert trained["vilbert.vit.pos_embed"] == trained["vilbert.vit.patch_embed.proj.weight"] == (frozen == "text")
    assert trained["vilbert.vit.norm.weight"] == (frozen == "text" or layers == 2)
    with pytest.raises(ValueError, match="frozen_stream 'text': streams 'single' are one"):
        model_of("single_stream", frozen_stream="text")


def test_the_table_of_parameters_adds_up():
    table = parameter_table(model_of("middle_fusion", frozen_layers=-1)).set_index("part")
    model = model_of("middle_fusion", frozen_layers=-1)
    assert table.parameters["all"] == sum(p.numel() for p in model.parameters())
    assert table.trained["all"] == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert table.trained["vilbert.bert"] == 0 < table.trained["vilbert.coattention"]
    assert table.parameters[:-1].sum() == table.parameters["all"]


@pytest.mark.parametrize("architecture", ["asymmetric_fusion", "single_stream"])
def test_gradient_checkpointing_changes_no_bit(architecture):
    gradients = []
    for checkpointing in (False, True):
        model = model_of(architecture, dropout=0.3).train()
        model.vilbert.gradient_checkpointing = checkpointing
        torch.manual_seed(1)
        model(*inputs())[0].square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
