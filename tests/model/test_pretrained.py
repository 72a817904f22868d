"""Published weights go into the streams exactly, and what does not fit is listed."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizerFast,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
)

from vilbert_lib import runs, weights
from vilbert_lib.config import ModelConfig
from vilbert_lib.data import tokenizer
from vilbert_lib.data.images import decode
from vilbert_lib.model import pretrained
from vilbert_lib.model.single_stream import SingleStream
from vilbert_lib.model.vilbert import ViLBERT

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "fox", "cat", "##s", "look", "walk"]
SMALL = ModelConfig(image_size=32, patch_size=8, coattention_width=16, max_tokens=16)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT with its language head, of another width than the image stream, saved by transformers itself."""
    folder = tmp_path_factory.mktemp("published") / "bert"
    vocabulary = folder.parent / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=24, num_hidden_layers=12, num_attention_heads=2, intermediate_size=48
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A ViT with a head and a transform of its own, saved by timm itself."""
    folder = tmp_path_factory.mktemp("published") / "vit"
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 12, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=7, **sizes)
    model.pretrained_cfg |= {
        "input_size": (3, 32, 32),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear",
    }
    save_for_hf(model, folder, model_args=sizes, safe_serialization=True)
    return folder


def config_of(**changes) -> ModelConfig:
    """As a run's configuration comes to name its weights."""
    named = {name: weights.identify(str(value)) if "weights" in name else value for name, value in changes.items()}
    return pretrained.described(dataclasses.replace(SMALL, **named))


def test_both_streams_give_the_hidden_states_of_the_libraries_own_models(bert, vit):
    model = ViLBERT(config_of(text_weights=bert, vision_weights=vit)).eval()
    ids = torch.tensor([[2, 6, 7, 9, 3], [2, 5, 3, 0, 0]])
    mask, pixels = ids != 0, torch.randn(2, 3, 32, 32)
    output = model(ids, mask, pixels)
    of_text = BertForMaskedLM.from_pretrained(bert).eval().bert
    expected = of_text(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert len(expected) == 13
    assert all(torch.equal(a, b) for a, b in zip(output.text_states, expected, strict=True))
    of_image = timm.create_model(f"local-dir:{vit}", pretrained=True).eval()
    layers = of_image.forward_intermediates(
        pixels, output_fmt="NLC", return_prefix_tokens=True, norm=False, intermediates_only=True
    )
    expected = [torch.cat([prefix, patches], 1) for patches, prefix in layers]
    assert all(torch.equal(a, b) for a, b in zip(output.vision_states[1:], expected, strict=True))


def test_the_vision_transform_is_that_of_the_weights(vit):
    config = config_of(vision_weights=vit, image_size=64, patch_size=16)
    assert (config.image_size, config.patch_size, config.interpolation) == (32, 8, "bilinear")
    assert config.pixel_mean == (0.485, 0.456, 0.406) and config.pixel_std == (0.229, 0.224, 0.225)
    kept = pretrained.described(dataclasses.replace(config, image_size=64), keep=("image_size",))
    assert kept.image_size == 64
    assert ViLBERT(kept).vit.patch_embed.num_patches == 64  # positions are interpolated


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (RobertaConfig(pad_token_id=0, max_position_embeddings=20), RobertaModel),
        (ElectraConfig(embedding_size=12), ElectraModel),
    ],
    ids=["roberta", "electra"],
)
def test_models_that_are_built_like_bert_are_read_as_well(tmp_path, config, kind):
    for name, value in {
        "vocab_size": 12,
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_attention_heads": 2,
    }.items():
        setattr(config, name, value)
    config.num_hidden_layers = 12
    kind(config).save_pretrained(tmp_path)
    ids = torch.tensor([[2, 6, 7, 9, 3], [2, 5, 3, 0, 0]])
    model = ViLBERT(config_of(text_weights=tmp_path)).eval()
    expected = kind.from_pretrained(tmp_path).eval()(
        input_ids=ids, attention_mask=ids != 0, output_hidden_states=True
    )
    states = model(ids, ids != 0, torch.randn(2, 3, 32, 32)).text_states
    last = len(expected.hidden_states) - 1
    assert torch.equal(states[last][ids != 0], expected.hidden_states[last][ids != 0])


@pytest.mark.parametrize("stream", ["text_weights", "vision_weights"])
def test_weights_that_cannot_be_read_are_named(bert, vit, tmp_path, stream):
    folder = shutil.copytree(bert if stream == "text_weights" else vit, tmp_path / "cut")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    config = config_of(**{stream: folder})
    with pytest.raises(ValueError, match=r"weights .*cut.* cannot be read: .*; fetch or write them again"):
        ViLBERT(config)


def damaged(folder, tmp_path, change) -> str:
    """A copy of published weights with ``change`` made to its tensors."""
    copy = tmp_path / "damaged"
    copy.mkdir()
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    (copy / "config.json").write_text((folder / "config.json").read_text())
    return copy


def misfits(key: str, extra: str):
    """Three ways in which tensors do not fit, and what is said of each."""
    name = re.escape(key.removeprefix("bert."))
    return pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.pop(key), rf"1 missing: {name}"),
            (lambda t: t.update({extra: torch.ones(2)}), rf"1 unexpected: .*{re.escape(extra)}"),
            (lambda t: t.update({key: torch.ones(3, 3)}), rf"1 of another shape: .*{name}"),
        ],
        ids=["missing", "unexpected", "shape"],
    )


@misfits("bert.encoder.layer.3.output.dense.weight", "bert.encoder.extra")
def test_text_weights_that_do_not_fit_are_listed(bert, tmp_path, change, message):
    config = config_of(text_weights=damaged(bert, tmp_path, change))
    with pytest.raises(ValueError, match=message):
        pretrained.text_stream(config)


@misfits("blocks.3.mlp.fc1.weight", "blocks.3.extra")
def test_vision_weights_that_do_not_fit_are_listed(vit, tmp_path, change, message):
    config = config_of(vision_weights=damaged(vit, tmp_path, change))
    with pytest.raises(ValueError, match=message):
        pretrained.vision_stream(config)


def test_text_weights_of_another_kind_are_refused(tmp_path):
    GPT2Model(GPT2Config(vocab_size=12, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises((ValueError, TypeError), match="GPT2Model"):
        pretrained.text_stream(config_of(text_weights=tmp_path))


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_vision_weights_without_one_class_token_are_refused(tmp_path, name):
    options = {"class_token": False, "global_pool": "avg"} if name.startswith("vit") else {}
    save_for_hf(timm.create_model(name, **options), tmp_path, model_args=options, safe_serialization=True)
    with pytest.raises(ValueError, match=r"no ViT with a class token|not those of a vision transformer"):
        config_of(vision_weights=tmp_path)


def test_a_timm_name_that_does_not_exist_names_some_that_do():
    with pytest.raises(ValueError, match=r"vision_weights 'vit_bsae'.*vit_base"):
        config_of(vision_weights="vit_bsae")


def test_blocks_and_texts_beyond_the_weights_are_refused_before_anything_is_loaded(bert, vit, tmp_path):
    fewer = json.loads((bert / "config.json").read_text()) | {"num_hidden_layers": 6}
    (tmp_path / "config.json").write_text(json.dumps(fewer))
    (tmp_path / "model.safetensors").write_bytes((bert / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"text ids \[7, 9, 10, 11\]: .* has 6 layers, 0\.\.5"):
        config_of(text_weights=tmp_path, t_biattention_ids=(7, 9, 10, 11), v_biattention_ids=(6, 7, 9, 10))
    with pytest.raises(ValueError, match=r"max_tokens 600: .* has 512 positions"):
        config_of(text_weights=bert, max_tokens=600)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"pooler": "none"}}, "fusion 'hadamard' needs equal widths: text 24, vision 32"),
        ({"model": {"frozen_layers": 13}}, "frozen_layers 13: the streams have 12 and 12"),
        ({"model": {"patch_size": 16}}, "patch_size 16: the patches of .* are 8"),
        (
            {"model": {"pooler": "none", "fusion": "concat"}, "train": {"contrastive_weight": 0.5}},
            "contrastive_weight needs pooled states of one width: 24 and 32",
        ),
        ({"measures": ("cka", "cosine")}, "t0 has d=24 features but v0 has d=32"),
    ],
)
def test_what_does_not_fit_the_weights_is_found_before_anything_is_trained(
    bert, vit, tiny_root, tiny_profile, settings, message
):
    settings = dict(settings)
    model = dataclasses.replace(tiny_profile.model, text_weights=str(bert), vision_weights=str(vit))
    alignment = dataclasses.replace(tiny_profile.alignment, measures=settings.pop("measures", ("cka",)))
    profile = dataclasses.replace(tiny_profile, model=model, alignment=alignment)
    with pytest.raises(ValueError, match=message):
        runs.configure(profile, tiny_root, "hateful_memes", "baseline", **settings)


def test_a_run_starts_from_published_weights_wherever_they_lie(bert, vit, tmp_path, tiny_root, tiny_profile):
    def configure(text):
        model = dataclasses.replace(tiny_profile.model, text_weights=str(text), vision_weights=str(vit))
        profile = dataclasses.replace(tiny_profile, model=model)
        return runs.configure(profile, tiny_root, "hateful_memes", "middle_fusion", train={"epochs": 1})

    config = configure(bert)
    assert config.model.vocab_size == 12 and config.model.image_size == 32
    untrained = runs.build_model(config, tiny_root)
    reference = BertForMaskedLM.from_pretrained(bert).bert.state_dict()
    assert all(torch.equal(t, reference[n]) for n, t in untrained.vilbert.bert.state_dict().items())
    assert runs.train(config, tiny_root).finished
    elsewhere = tmp_path / "bert"
    elsewhere.mkdir()
    for file in bert.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    assert configure(elsewhere).id == config.id


def test_a_run_s_images_are_prepared_as_its_vision_weights_want_them(vit, tiny_root, tiny_profile):
    model = dataclasses.replace(tiny_profile.model, vision_weights=str(vit))
    profile = dataclasses.replace(tiny_profile, model=model)
    data = runs.dataset(runs.configure(profile, tiny_root, "hateful_memes", "baseline"), tiny_root, "test")
    pixels = decode(data.records[3].img, 32, "bilinear") / 255
    wanted = (pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(data[3]["pixel_values"].permute(1, 2, 0), wanted, atol=1e-5)


def test_the_published_tokenizer_is_used_as_it_is(bert):
    words = tokenizer.of_weights(weights.identify(str(bert)))
    ids, lengths = words.encode(["The foxs look", "a"], 16)
    assert words.tokens(ids[0]) == ["[CLS]", "the", "fox", "##s", "look", "[SEP]"]
    assert lengths.tolist() == [6, 3] and words.tokens(ids[1])[3:] == ["[PAD]"] * 3


def test_the_single_stream_makes_words_as_wide_as_patches(bert, vit):
    config = dataclasses.replace(config_of(text_weights=bert, vision_weights=vit), streams="single")
    model = SingleStream(config).eval()
    ids = torch.tensor([[2, 6, 7, 9, 3]])
    output = model(ids, ids != 0, torch.randn(1, 3, 32, 32))
    assert output.text_states[0].shape == (1, 5, 32) and output.vision_states[0].shape == (1, 17, 32)
    assert model.word_embedding.weight.shape == (12, 24)


def test_raw_states_of_two_widths_can_only_be_concatenated(bert, vit):
    config = dataclasses.replace(config_of(text_weights=bert, vision_weights=vit), pooler="none")
    with pytest.raises(ValueError, match="fusion 'hadamard' needs equal widths: text 24, vision 32"):
        ViLBERT(config)
    assert ViLBERT(dataclasses.replace(config, fusion="concat")).fused_width == 56
