"""Two streams with the heads of a labelled task, or of pretraining."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vilbert_lib.config import ModelConfig
from vilbert_lib.model.single_stream import SingleStream
from vilbert_lib.model.streams import Output, Streams, initialise
from vilbert_lib.model.vilbert import ViLBERT


def streams_of(config: ModelConfig) -> Streams:
    """The streams that ``config`` describes."""
    return SingleStream(config) if config.streams == "single" else ViLBERT(config)


class Classifier(nn.Module):
    """The streams with a linear head on the fused state: one logit a class."""

    def __init__(self, config: ModelConfig, num_labels: int):
        super().__init__()
        self.vilbert = streams_of(config)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.vilbert.fused_width, num_labels)
        initialise(self.head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> tuple[Tensor, Output]:
        """Logits (B, ``num_labels``) and the states of every layer."""
        output = self.vilbert(input_ids, attention_mask, pixel_values)
        return self.head(self.dropout(output.fused)), output


class PretrainingModel(nn.Module):
    """The streams with the heads of masked language and image modelling and alignment prediction."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.vilbert = streams_of(config)
        t_width, v_width = self.vilbert.widths
        embedding = self.vilbert.word_embedding
        width = embedding.embedding_dim
        self.mlm_transform = nn.Sequential(nn.Linear(t_width, width), nn.GELU(), nn.LayerNorm(width, eps=1e-12))
        self.mlm_bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        self.mim_head = nn.Linear(v_width, v_width)
        self.ap_head = nn.Linear(self.vilbert.fused_width, 2)
        for head in (self.mlm_transform, self.mim_head, self.ap_head):
            head.apply(initialise)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> tuple[Tensor, Output]:
        """Alignment logits (B, 2: swapped, aligned) and the states of every layer."""
        output = self.vilbert(input_ids, attention_mask, pixel_values)
        return self.ap_head(output.fused), output

    def predict_words(self, states: Tensor) -> Tensor:
        """Vocabulary logits (M, vocabulary) of the text states (M, D) at the masked positions.

        The decoder is the word embedding itself, as in BERT.
        """
        return F.linear(self.mlm_transform(states), self.vilbert.word_embedding.weight, self.mlm_bias)

    def predict_patches(self, states: Tensor) -> Tensor:
        """What the final vision states (M, D) say of their patches: unit vectors (M, D) to compare."""
        predicted = self.mim_head(self.vilbert.vit.norm(states))
        return F.normalize(predicted.to(torch.promote_types(predicted.dtype, torch.float32)), dim=-1)
