"""Two streams that meet: BERT layers for the text, ViT blocks for the image, co-attention between."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask

from vilbert_lib.config import ModelConfig
from vilbert_lib.model.coattention import CoAttentionBlock, schedule
from vilbert_lib.model.pretrained import text_stream, vision_stream


@dataclass
class Output:
    """One forward pass.

    ``text_states`` and ``vision_states`` are ``num_layers + 1`` tensors each, embeddings first:
    entry i + 1 is the state after self-attention layer i, (B, T, D) and (B, 1 + P, D). Vision
    states are those of the residual path, before ViT's final LayerNorm. ``fused`` (B, F) is what
    the task heads read.
    """

    text_states: tuple[Tensor, ...]
    vision_states: tuple[Tensor, ...]
    fused: Tensor


class ViLBERT(nn.Module):
    """Two-stream transformer with co-attention (Lu et al. 2019), each stream the library's own.

    Without co-attention the states of each stream equal those of ``transformers.BertModel`` and
    ``timm``'s ``VisionTransformer`` to the last bit.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.bert = text_stream(config)
        self.vit = vision_stream(config)
        t_width, v_width = self.bert.config.hidden_size, self.vit.embed_dim
        t_layers, v_layers = len(self.bert.encoder.layer), len(self.vit.blocks)
        self.steps = schedule(config.t_biattention_ids, config.v_biattention_ids, t_layers, v_layers)
        self.coattention = nn.ModuleList(
            CoAttentionBlock(t_width, v_width, config.coattention_width, config.coattention_heads, config.dropout)
            for _ in config.t_biattention_ids
        )
        self.text_pooler = nn.Linear(t_width, config.pooled_width)
        self.vision_pooler = nn.Linear(v_width, config.pooled_width)
        for module in (self.coattention, self.text_pooler, self.vision_pooler):
            module.apply(initialise)

    @property
    def fused_width(self) -> int:
        return self.config.pooled_width * (2 if self.config.fusion == "concat" else 1)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings (B, T, D) and the attention mask in the form that BERT's layers take."""
        embeddings = self.bert.embeddings(input_ids=input_ids)
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
        text, bert_mask = self.embed_text(input_ids, attention_mask)
        vision = self.embed_image(pixel_values)
        content = attention_mask.bool()
        text_states, vision_states = [text], [vision]
        for kind, index in self.steps:
            if kind == "T":
                text = self.bert.encoder.layer[index](text, bert_mask)
                text_states.append(text)
            elif kind == "V":
                vision = self.vit.blocks[index](vision)
                vision_states.append(vision)
            else:
                text, vision = self.coattention[index](text, vision, content)
        return Output(tuple(text_states), tuple(vision_states), self.fuse(text, self.vit.norm(vision)))

    def fuse(self, text: Tensor, vision: Tensor) -> Tensor:
        """Pool each stream's first token (linear, ReLU) and join the two, (B, ``fused_width``)."""
        t = F.relu(self.text_pooler(text[:, 0]))
        v = F.relu(self.vision_pooler(vision[:, 0]))
        match self.config.fusion:
            case "hadamard":
                return t * v
            case "sum":
                return t + v
            case "concat":
                return torch.cat([t, v], dim=-1)


class Classifier(nn.Module):
    """ViLBERT with a linear head on the fused state: one logit a class."""

    def __init__(self, config: ModelConfig, num_labels: int):
        super().__init__()
        self.vilbert = ViLBERT(config)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.vilbert.fused_width, num_labels)
        initialise(self.head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> tuple[Tensor, Output]:
        """Logits (B, ``num_labels``) and the states of every layer."""
        output = self.vilbert(input_ids, attention_mask, pixel_values)
        return self.head(self.dropout(output.fused)), output


class PretrainingModel(nn.Module):
    """ViLBERT with the heads of masked language modelling and alignment prediction."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.vilbert = ViLBERT(config)
        embedding = self.vilbert.bert.embeddings.word_embeddings
        width = embedding.embedding_dim
        self.mlm_transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=1e-12))
        self.mlm_bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        self.ap_head = nn.Linear(self.vilbert.fused_width, 2)
        self.mlm_transform.apply(initialise)
        initialise(self.ap_head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> tuple[Tensor, Output]:
        """Alignment logits (B, 2: swapped, aligned) and the states of every layer."""
        output = self.vilbert(input_ids, attention_mask, pixel_values)
        return self.ap_head(output.fused), output

    def predict_words(self, states: Tensor) -> Tensor:
        """Vocabulary logits (M, vocabulary) of the text states (M, D) at the masked positions.

        The decoder is the word embedding itself, as in BERT.
        """
        embedding = self.vilbert.bert.embeddings.word_embeddings.weight
        return F.linear(self.mlm_transform(states), embedding, self.mlm_bias)


def initialise(module: nn.Module) -> None:
    """Draw a linear layer as small streams need it: deviation 1/sqrt(fan in), zero bias."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(module.bias)
