"""The streams themselves: from published weights, or from noise at the configured size."""

import timm
from torch import nn
from transformers import BertConfig, BertModel

from vilbert_lib.config import ModelConfig


def text_stream(config: ModelConfig) -> BertModel:
    """BERT without its pooler; ``config.text_weights`` is a hub name or a local folder, or empty."""
    if config.text_weights:
        return _load(
            config.text_weights,
            lambda: BertModel.from_pretrained(
                config.text_weights, add_pooling_layer=False, attn_implementation="sdpa"
            ),
        )
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
    """timm's ViT without its head; ``config.vision_weights`` is a timm name, or empty."""
    if config.vision_weights:
        return _load(
            config.vision_weights,
            lambda: timm.create_model(config.vision_weights, pretrained=True, num_classes=0),
        )
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


def _load(name: str, load):
    """Run ``load``; where the weights cannot be had, say what to do instead."""
    try:
        return load()
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"weights {name!r} could not be loaded: neither a local folder, nor in the cache, nor to be had"
            " from the hub. Give the path of a folder that holds them, or fill the cache on a machine with"
            " a network and copy it (HF_HOME says where it lies)"
        ) from error
