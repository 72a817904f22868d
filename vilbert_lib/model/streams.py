"""What every model of two streams has: embeddings, pooled states, their fusion, frozen layers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vilbert_lib.config import ModelConfig
from vilbert_lib.model.pretrained import text_stream, vision_stream

States = tuple[list[Tensor], list[Tensor]]  # of the text and of the vision stream, embeddings first


@dataclass
class Output:
    """One forward pass.

    ``text_states`` and ``vision_states`` are ``num_layers + 1`` tensors each, embeddings first:
    entry i + 1 is the state after self-attention layer i, (B, T, D) and (B, 1 + P, D). Vision
    states are those of the residual path, before ViT's final LayerNorm. ``pooled`` are the two
    streams' pooled states before the ReLU; ``fused`` (B, F) is what the task heads read.
    """

    text_states: tuple[Tensor, ...]
    vision_states: tuple[Tensor, ...]
    pooled: tuple[Tensor, Tensor]
    fused: Tensor


def pool(states: Tensor, content: Tensor | None, how: str) -> Tensor:
    """One vector a sample from ``states`` (B, N, D): ``cls``, the first token, or the ``mean`` of the others.

    ``content`` (B, N) bool leaves padding out of the mean.
    """
    if how == "cls":
        return states[:, 0]
    if content is None:
        return states[:, 1:].mean(1)
    weights = content[:, 1:, None].to(states.dtype)
    return (states[:, 1:] * weights).sum(1) / weights.sum(1).clamp_min(1)


class Streams(nn.Module, ABC):
    """Base of the models: a text and a vision stream whose pooled states are fused.

    A subclass gives :meth:`encode` and, for frozen layers, :meth:`encoder_layers`.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.bert = text_stream(config)
        self.vit = vision_stream(config)
        self.gradient_checkpointing = False

    def _add_poolers(self, t_width: int, v_width: int) -> None:
        config = self.config
        if config.pooler == "linear":
            self.text_pooler = nn.Linear(t_width, config.pooled_width)
            self.vision_pooler = nn.Linear(v_width, config.pooled_width)
            t_width = v_width = config.pooled_width
            for module in (self.text_pooler, self.vision_pooler):
                initialise(module)
        else:
            self.text_pooler, self.vision_pooler = nn.Identity(), nn.Identity()
        if config.streams in ("text", "image"):
            self.fused_width = t_width if config.streams == "text" else v_width
        elif config.fusion == "concat":
            self.fused_width = t_width + v_width
        elif t_width == v_width:
            self.fused_width = t_width
        else:
            raise ValueError(f"fusion {config.fusion!r} needs equal widths: text {t_width}, vision {v_width}")

    @property
    def word_embedding(self) -> nn.Embedding:
        """The embedding of the wordpieces."""
        return self.bert.embeddings.word_embeddings

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings (B, T, D) and the attention mask in the form that BERT's layers take."""
        from transformers.masking_utils import create_bidirectional_mask  # loaded with the stream at the latest

        embeddings = self.bert.embeddings(input_ids=input_ids)
        if hasattr(self.bert, "embeddings_project"):  # ELECTRA's small models
            embeddings = self.bert.embeddings_project(embeddings)
        mask = create_bidirectional_mask(
            config=self.bert.config, inputs_embeds=embeddings, attention_mask=attention_mask
        )
        return embeddings, mask

    def embed_image(self, pixel_values: Tensor) -> Tensor:
        """Patch and position embeddings with the class token, (B, 1 + P, D)."""
        vit = self.vit
        return vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(pixel_values))))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> Output:
        """Run both streams; ids and mask are (B, T), ``pixel_values`` (B, 3, H, W)."""
        content = attention_mask.bool()
        text_states, vision_states = self.encode(input_ids, content, pixel_values)
        t = self.text_pooler(pool(text_states[-1], content, self.config.pooling))
        v = self.vision_pooler(pool(self.vit.norm(vision_states[-1]), None, self.config.pooling))
        return Output(tuple(text_states), tuple(vision_states), (t, v), self.fuse(t, v))

    @abstractmethod
    def encode(self, input_ids: Tensor, content: Tensor, pixel_values: Tensor) -> States:
        """States of both streams, embeddings first."""

    def fuse(self, text: Tensor, vision: Tensor) -> Tensor:
        """Join the pooled states, (B, ``fused_width``)."""
        if self.config.pooler == "linear":
            text, vision = F.relu(text), F.relu(vision)
        if self.config.streams in ("text", "image"):
            return text if self.config.streams == "text" else vision
        match self.config.fusion:
            case "hadamard":
                return text * vision
            case "sum":
                return text + vision
            case "concat":
                return torch.cat([text, vision], dim=-1)

    def run(self, layer: nn.Module, *inputs):
        """``layer(*inputs)``; with gradient checkpointing its inner states are computed again when needed."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)

    def compile_layers(self) -> None:
        """Let :func:`torch.compile` translate the layers: one of each kind, the others share its code."""
        streams = self.encoder_layers()
        for layer in [layer for stream in streams for layer in stream] + list(getattr(self, "coattention", [])):
            layer.compile()

    # Frozen layers --------------------------------------------------------------------------

    @abstractmethod
    def encoder_layers(self) -> list[nn.ModuleList]:
        """Return the layers of each stream, text first: what frozen layers are counted in."""

    def embedding_parts(self) -> tuple[list[nn.Module | nn.Parameter], list[nn.Module | nn.Parameter]]:
        """Return modules and parameters of the text embedding, and of the image embedding."""
        vit = self.vit
        projection = [self.bert.embeddings_project] if hasattr(self.bert, "embeddings_project") else []
        tokens = [p for p in (vit.cls_token, vit.pos_embed) if p is not None]
        return [self.bert.embeddings, *projection], [vit.patch_embed, vit.norm_pre, *tokens]

    def _frozen(self) -> list[nn.Module | nn.Parameter]:
        count = self.config.frozen_layers
        if not count:
            return []
        text, image = self.embedding_parts()
        streams, embeddings, last = self.encoder_layers(), [*text, *image], [self.vit.norm]
        if self.config.frozen_stream == "text":
            streams, embeddings, last = streams[:1], text, []
        elif self.config.frozen_stream == "image":
            streams, embeddings = streams[1:], image
        if count == -1:
            return [*embeddings, *streams, *last]
        if count > min(map(len, streams)):
            raise ValueError(
                f"frozen_layers {count}: the streams have {' and '.join(str(len(s)) for s in streams)}"
            )
        return embeddings + [layer for stream in streams for layer in stream[:count]]

    def freeze(self) -> None:
        """Keep the encoders' weights as ``config.frozen_layers`` says."""
        for part in self._frozen():
            part.requires_grad_(False)

    def train(self, mode: bool = True):
        """As in torch, but what is frozen stays without dropout."""
        super().train(mode)
        for part in self._frozen():
            if isinstance(part, nn.Module):
                part.eval()
        return self


def initialise(module: nn.Module) -> None:
    """Draw a linear layer as small streams need it: deviation 1/sqrt(fan in), zero bias."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(module.bias)


def parameter_table(model: nn.Module) -> pd.DataFrame:
    """How many parameters each part of ``model`` has, and how many of them are trained.

    One row a part (``part``, ``parameters``, ``trained``), a row ``all`` last; a tensor that two
    parts share is counted once.
    """
    rows: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        pieces = name.split(".")
        part = ".".join(pieces[:2]) if pieces[0] == "vilbert" else pieces[0]
        counts = rows.setdefault(part, [0, 0])
        counts[0] += parameter.numel()
        counts[1] += parameter.numel() * parameter.requires_grad
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    return pd.DataFrame(
        [{"part": part, "parameters": total, "trained": trained} for part, (total, trained) in rows.items()]
    )
