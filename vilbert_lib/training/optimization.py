"""The optimizer and the schedule of its learning rate."""

import math

import torch
from torch import nn

from vilbert_lib.config import TrainConfig


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Rate of optimizer step ``step`` (from 0) of ``total``: linear warm-up, cosine to the floor."""
    warmup = max(1, round(config.warmup_fraction * total))
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr * (config.floor_fraction + (1 - config.floor_fraction) * cosine)


def optimizer_of(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; biases and LayerNorms, the parameters of one dimension, are not decayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=1e-8, fused=True)
