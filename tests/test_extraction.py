"""Features of the layers of other projects' models."""

import numpy as np
import pytest
import timm
import torch
from torch import nn
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from vilbert_lib.features import extract
from vilbert_lib.metrics import alignment_grid


def words(n: int = 6, length: int = 7) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, length + 1, (n,), generator=generator)
    lengths[0] = length
    return {
        "input_ids": torch.randint(5, 50, (n, length), generator=generator),
        "attention_mask": (torch.arange(length) < lengths[:, None]).long(),
        "id": torch.arange(100, 100 + n),
    }


def in_batches(batch: dict[str, torch.Tensor], size: int) -> list[dict[str, torch.Tensor]]:
    """Each batch as long as its longest text."""
    parts = []
    for start in range(0, len(batch["id"]), size):
        part = {name: value[start : start + size] for name, value in batch.items()}
        longest = int(part["attention_mask"].sum(1).max())
        parts.append({name: value[:, :longest] if value.ndim == 2 else value for name, value in part.items()})
    return parts


@pytest.fixture(scope="module")
def bert() -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32
    )
    return BertModel(config).train()


def test_pooled_states_of_a_text_model_are_those_of_its_own_hidden_states(bert):
    batch = words()
    with torch.no_grad():
        bert.eval()
        states = bert(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True
        ).hidden_states[1:]
        bert.train()
    mask = batch["attention_mask"].bool()
    for pool, expected in (
        ("cls", [s[:, 0] for s in states]),
        ("mean", [torch.stack([x[m][1:].mean(0) for x, m in zip(s, mask, strict=True)]) for s in states]),
        (lambda s, m: (s * m[..., None]).amax(1), [(s * mask[..., None]).amax(1) for s in states]),
    ):
        found = extract(bert, in_batches(batch, 4), "encoder.layer.*", pool=pool, prefix_tokens=1)
        assert list(found.layers) == [f"encoder.layer.{i}" for i in range(3)]
        for layer, wanted in zip(found.layers.values(), expected, strict=True):
            assert torch.allclose(layer, wanted, atol=1e-5)
    assert found.ids == list(range(100, 106))
    assert bert.training


def test_padding_on_the_left_gives_the_same_features(bert):
    batch = words()
    left = {name: value.clone() for name, value in batch.items()}
    for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        for name in ("input_ids", "attention_mask"):
            left[name][row] = batch[name][row].roll(7 - length)
        left["input_ids"][row, : 7 - length] = 0
    # Words keep their positions: what differs is the side of the padding alone.
    left["position_ids"] = (left["attention_mask"].cumsum(1) - 1).clamp_min(0)
    for pool in ("cls", "mean"):
        a, b = (extract(bert, [x], ["encoder.layer.2"], pool=pool, prefix_tokens=1) for x in (batch, left))
        assert torch.allclose(a.layers["encoder.layer.2"], b.layers["encoder.layer.2"], atol=1e-5)


def test_tokens_are_kept_with_their_masks_and_measured(bert):
    batch = words()
    found = extract(bert, in_batches(batch, 4), {"a": "encoder.layer.0", "b": "encoder.layer.2"}, pool="tokens")
    assert found.layers["a"].shape == (6, 7, 16)
    assert torch.equal(found.masks["b"], batch["attention_mask"].bool())
    table = alignment_grid(found.layers, ["max_sim_tp"], ids=found.ids, masks=found.masks)
    assert np.isfinite(table.value).all()


def test_prefix_tokens_of_an_image_model_are_left_out_of_the_mean():
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, reg_tokens=4, num_classes=0).eval()
    images = torch.randn(5, 3, 32, 32)
    loader = [(images[:3], torch.zeros(3)), (images[3:], torch.zeros(2))]
    found = extract(vit, loader, "blocks.*", prefix_tokens=5)
    with torch.no_grad():
        states = vit.forward_intermediates(images, output_fmt="NLC", norm=False)[1]  # without the prefix
    for layer, state in zip(found.layers.values(), states, strict=True):
        assert torch.allclose(layer, state.mean(1), atol=1e-5)


def test_model_outputs_tuples_and_maps_of_pixels():
    torch.manual_seed(0)
    sizes = {"image_size": 16, "patch_size": 8, "hidden_size": 8, "intermediate_size": 16}
    config = ViTConfig(num_hidden_layers=2, num_attention_heads=2, **sizes)
    vit, images = ViTModel(config, add_pooling_layer=False).eval(), torch.randn(4, 3, 16, 16)
    found = extract(vit, [{"pixel_values": images}], {"output": "", "normed": "layernorm"}, pool="cls")
    assert torch.equal(found.layers["output"], found.layers["normed"])

    conv = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = extract(conv, [images], ["0", "1", "3"])
    assert torch.allclose(found.layers["1"], found.layers["3"], atol=1e-6)

    lstm, sequence = nn.LSTM(3, 5), torch.randn(7, 4, 3)  # the sequence comes first
    found = extract(nn.Sequential(lstm), [sequence], ["0"], batch_dim=1)
    assert torch.allclose(found.layers["0"], lstm(sequence)[0].mean(0), atol=1e-6)


def test_half_precision_and_what_it_cannot_hold(bert):
    found = extract(bert, [words()], ["encoder.layer.0"], dtype=torch.float16)
    assert found.layers["encoder.layer.0"].dtype == torch.float16
    large = nn.Sequential(nn.Linear(2, 2))
    nn.init.constant_(large[0].weight, 1e6)
    with pytest.raises(ValueError, match=r"layer '0' holds .*float16 cannot"):
        extract(large, [torch.ones(3, 2)], ["0"], dtype=torch.float16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modules": "encoder.layers.*"}, "no module is called 'encoder.layers.*'; near it: encoder.layer"),
        ({"modules": ["pooler.activation"], "pool": "max"}, "unknown pool 'max'"),
        ({"modules": {"a": "encoder.layer.*"}}, "stands for 3 modules"),
        ({"modules": "encoder.layer.0", "forward": lambda m, b: None}, "is not run by the model's forward pass"),
        ({"modules": "encoder.layer.0", "mask": {"*": "short"}}, r"its mask is \(6, 2\)"),
        ({"modules": "encoder.layer.0", "loader": []}, "the loader gave no batch"),
        ({"modules": "encoder.layer.0", "loader": [{"x": torch.ones(2, 2)}]}, "the batch has x: give forward"),
        ({"modules": "encoder.layer.0", "loader": ["text"]}, "a batch is a str"),
    ],
)
def test_what_is_refused(bert, options, message):
    batch = words() | {"short": torch.ones(6, 2)}
    with pytest.raises(ValueError, match=message):
        extract(bert, options.pop("loader", [batch]), **options)


def test_a_batch_as_long_as_its_texts_needs_to_be_told(bert):
    batch = {name: value[:, :6] if value.ndim == 2 else value for name, value in words().items()}
    with pytest.raises(ValueError, match="give batch_dim=0, or 1"):
        extract(bert, [batch], "encoder.layer.0")
    assert len(extract(bert, [batch], "encoder.layer.0", batch_dim=0).layers) == 1
