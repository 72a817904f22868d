"""The streams themselves: from published weights, or from noise at the configured size."""

import dataclasses
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from vilbert_lib import weights
from vilbert_lib.config import ModelConfig

# timm and transformers take seconds to import: functions that build a stream do it, so that a study of archived
# runs, which builds none, does without.
if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What published checkpoints hold beside the encoder.
VISION_HEADS = ("head.", "head_dist.")
TEXT_HEADS = ("cls.", "pooler.", "lm_head.", "classifier.", "qa_outputs.", "discriminator_predictions.")


def text_stream(config: ModelConfig) -> "PreTrainedModel":
    """BERT, or a model that is built like it, without its pooler.

    ``config.text_weights`` is empty or what :func:`vilbert_lib.weights.identify` gave. A ValueError
    lists weights that are missing, unexpected or of another shape.
    """
    from transformers import BertConfig, BertModel

    if config.text_weights:
        return _published_text(config)
    return BertModel(
        BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.width,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.width,
            max_position_embeddings=config.max_tokens,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            attn_implementation="sdpa",
        ),
        add_pooling_layer=False,
    )


def vision_stream(config: ModelConfig) -> nn.Module:
    """timm's ViT without its head; ``config.vision_weights`` as :func:`text_stream` takes it, or a timm name."""
    import timm

    if config.vision_weights:
        return _published_vision(config)
    return timm.models.VisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        embed_dim=config.width,
        depth=config.num_layers,
        num_heads=config.heads,
        proj_drop_rate=config.dropout,
        attn_drop_rate=config.dropout,
        num_classes=0,
    )


def described(config: ModelConfig, keep: tuple[str, ...] = ()) -> ModelConfig:
    """``config`` with what the published weights say of themselves: size, mean, deviation, interpolation.

    Fields in ``keep`` stay as they are. Raises ValueError where the placement of the co-attention
    blocks, the frozen layers, the fusion or the length of the texts does not fit the weights.
    """
    values = {}
    (t_width, t_layers), (v_width, v_layers) = stream_sizes(config)
    if name := config.vision_weights:
        from timm.data import resolve_data_config

        with torch.device("meta"):  # its shape, without its numbers
            model = _vision_model(name, {})
        transform = resolve_data_config(pretrained_cfg=model.pretrained_cfg)
        values = {
            "image_size": transform["input_size"][-1],
            "patch_size": model.patch_embed.patch_size[0],
            "pixel_mean": tuple(transform["mean"]),
            "pixel_std": tuple(transform["std"]),
            "interpolation": transform["interpolation"],
        }
        _check_ids("vision", config.v_biattention_ids, v_layers, name)
        if "patch_size" in keep and config.patch_size != values["patch_size"]:
            raise ValueError(f"patch_size {config.patch_size}: the patches of {name} are {values['patch_size']}")
    if name := config.text_weights:
        _check_ids("text", config.t_biattention_ids, t_layers, name)
        from transformers import AutoConfig

        positions = AutoConfig.from_pretrained(weights.folder(name)).max_position_embeddings
        if config.max_tokens > positions:
            raise ValueError(f"max_tokens {config.max_tokens}: {name} has {positions} positions")
    layers = (v_layers,) if config.streams == "single" else (t_layers, v_layers)
    if config.frozen_stream != "both":
        layers = (t_layers,) if config.frozen_stream == "text" else (v_layers,)
    if config.frozen_layers > min(layers):
        raise ValueError(
            f"frozen_layers {config.frozen_layers}: the streams have {' and '.join(map(str, layers))}"
        )
    joined = config.streams == "both" and config.pooler == "none" and config.fusion != "concat"
    if joined and t_width != v_width:
        raise ValueError(f"fusion {config.fusion!r} needs equal widths: text {t_width}, vision {v_width}")
    return dataclasses.replace(config, **{name: value for name, value in values.items() if name not in keep})


def stream_sizes(config: ModelConfig) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and number of layers of the text stream, and of the vision stream.

    In a single stream the words are as wide as the patches.
    """
    own = (config.width, config.num_layers)
    vision = _vision_sizes(config.vision_weights) if config.vision_weights else own
    if config.streams == "single":
        return vision, vision
    return _text_sizes(config.text_weights) if config.text_weights else own, vision


@cache
def _text_sizes(name: str) -> tuple[int, int]:
    from transformers import AutoConfig

    text = AutoConfig.from_pretrained(weights.folder(name))
    return text.hidden_size, text.num_hidden_layers


@cache
def _vision_sizes(name: str) -> tuple[int, int]:
    with torch.device("meta"):
        model = _vision_model(name, {})
    return model.embed_dim, len(model.blocks)


def vision_folder(name: str) -> Path:
    """Folder of vision weights: a timm name, a hub name, or what :func:`vilbert_lib.weights.identify` gave."""
    if "/" in name:
        return weights.folder(name)
    import timm

    known = timm.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(name) else None
    if known is None or not known.hf_hub_id:
        near = timm.list_pretrained(f"*{name.split('.')[0]}*")[:5] or timm.list_pretrained("vit_base*")[:5]
        raise ValueError(f"vision_weights {name!r}: timm has no such weights; some that it has: {', '.join(near)}")
    return weights.folder(known.hf_hub_id)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of a damaged file of weights as a ValueError that names it."""
    try:
        yield
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"weights {path} cannot be read: {error}; fetch or write them again") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers prints when it loads weights: what is missing or strange is an error here."""
    from transformers.utils import logging

    before, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if shown:
            logging.enable_progress_bar()


def _published_text(config: ModelConfig) -> "PreTrainedModel":
    from transformers import AutoModel

    folder = weights.folder(config.text_weights)
    with _naming(folder), _quiet():
        model, report = AutoModel.from_pretrained(
            folder,
            attn_implementation="sdpa",
            dtype=torch.float32,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            ignore_mismatched_sizes=True,  # so that they are listed with the others
            output_loading_info=True,
        )
    if not (hasattr(model, "embeddings") and hasattr(getattr(model, "encoder", None), "layer")):
        raise ValueError(f"weights {config.text_weights}: {type(model).__name__} is not built like BERT")
    prefix = f"{model.base_model_prefix}."
    strange = [key for key in report["unexpected_keys"] if not key.removeprefix(prefix).startswith(TEXT_HEADS)]
    lacking = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
    _complain(config.text_weights, lacking, strange, [key for key, *_ in report["mismatched_keys"]])
    if hasattr(model, "pooler"):
        model.pooler = None
    return model


def _published_vision(config: ModelConfig) -> nn.Module:
    from timm.models import vision_transformer

    model = _vision_model(
        config.vision_weights,
        {"img_size": config.image_size, "proj_drop_rate": config.dropout, "attn_drop_rate": config.dropout},
    )
    file = weights.file_in(vision_folder(config.vision_weights))
    with _naming(file):
        found = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    found = vision_transformer.checkpoint_filter_fn(found, model)  # other namings, another image size
    found = {name: tensor for name, tensor in found.items() if not name.startswith(VISION_HEADS)}
    own = model.state_dict()
    _complain(
        config.vision_weights,
        own.keys() - found.keys(),
        found.keys() - own.keys(),
        [name for name in own.keys() & found.keys() if own[name].shape != found[name].shape],
    )
    model.load_state_dict(found)
    return model


def _vision_model(name: str, options: dict) -> nn.Module:
    """The vision transformer that the folder of weights ``name`` describes, from noise."""
    import timm

    folder = vision_folder(name)
    try:
        model = timm.create_model(f"local-dir:{folder}", pretrained=False, num_classes=0, **options)
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder / 'config.json'}: not the configuration of a timm model ({error!r})") from error
    except TypeError as error:
        raise ValueError(f"weights {name}: not those of a vision transformer ({error})") from error
    if getattr(model, "num_prefix_tokens", 0) != 1 or not hasattr(model, "blocks"):
        raise ValueError(f"weights {name}: {type(model).__name__} is no ViT with a class token alone")
    return model


def _check_ids(stream: str, ids: tuple[int, ...], layers: int, name: str) -> None:
    if any(i >= layers for i in ids):
        raise ValueError(f"{stream} ids {list(ids)}: {name} has {layers} layers, 0..{layers - 1}")


def _complain(name: str, missing, unexpected, mismatched) -> None:
    problems = [
        f"{len(keys)} {what}: {', '.join(sorted(map(str, keys)))}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", mismatched))
        if keys
    ]
    if problems:
        raise ValueError(f"weights {name} do not fit: {'; '.join(problems)}")
