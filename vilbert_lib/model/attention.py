"""Attention made visible: the probabilities of every head, in the order in which the layers ran."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vilbert_lib.model.vilbert import ViLBERT

Kind = Literal["text", "vision", "text asks", "vision asks", "joint"]


@dataclass(frozen=True)
class Attention:
    """What one attention looked at: ``probabilities`` (B, heads, queries, keys) sum to 1 over the keys.

    ``kind`` is ``text`` or ``vision`` for self-attention, ``text asks`` (queries are words, keys are patches) or
    ``vision asks`` for co-attention, ``joint`` for a single stream, whose words come first. ``index`` is the
    number of the layer, of co-attention that of the block.
    """

    kind: Kind
    index: int
    probabilities: Tensor


class _Recorder(TorchFunctionMode):
    """Computes the fused attention of whatever library step by step, and keeps the probabilities."""

    def __init__(self):
        super().__init__()
        self.place: tuple[Kind, int] | None = None
        self.record: list[Attention] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return self._attend(*args, **(kwargs or {}))

    def enter(self, kind: Kind, index: int) -> None:
        self.refuse_unseen()
        self.place = kind, index

    def refuse_unseen(self) -> None:
        if self.place is not None:
            raise RuntimeError("the attention of {} {} does not go through torch's fused one".format(*self.place))

    def _attend(
        self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
    ) -> Tensor:
        if self.place is None or dropout_p or is_causal or enable_gqa:
            raise RuntimeError("an attention of no known layer, with dropout, causal or of grouped heads")
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if attn_mask is not None:
            is_bool = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if is_bool else scores + attn_mask
        probabilities = scores.softmax(-1)
        if torch.is_grad_enabled() and not probabilities.requires_grad:
            probabilities.requires_grad_()  # below frozen layers too one may ask for its gradient
        self.record.append(Attention(*self.place, probabilities))
        self.place = None
        return probabilities @ value


@contextmanager
def recording(model: nn.Module) -> Iterator[list[Attention]]:
    """Inside, every forward pass of ``model`` adds its attentions to the list that is given.

    ``model`` holds its streams as ``vilbert``. Results are those of the fused attention but for rounding; the
    probabilities are part of the graph, so that gradients of and by them can be taken. Nothing of the model is
    changed. A ValueError in training, where dropout would be part of what is seen, and with gradient
    checkpointing, which runs layers twice.
    """
    streams = model.vilbert
    if model.training or streams.gradient_checkpointing:
        raise ValueError("attention is recorded of a model in eval mode, without gradient checkpointing")
    recorder = _Recorder()
    with ExitStack() as stack:
        for kind, index, module in _attending(streams):

            def enter(*_, kind=kind, index=index):
                recorder.enter(kind, index)

            stack.callback(module.register_forward_pre_hook(enter).remove)
        stack.enter_context(recorder)
        yield recorder.record
    recorder.refuse_unseen()


def _attending(streams: nn.Module) -> Iterator[tuple[Kind, int, nn.Module]]:
    """The modules of which each attends once, with what their attention is called."""
    is_pair = isinstance(streams, ViLBERT)
    for i, block in enumerate(streams.vit.blocks):
        yield "vision" if is_pair else "joint", i, block
    if is_pair:
        for i, layer in enumerate(streams.bert.encoder.layer):
            yield "text", i, layer
        for k, block in enumerate(streams.coattention):
            yield "text asks", k, block.text_asks
            yield "vision asks", k, block.vision_asks
