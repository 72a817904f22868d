"""The loop that people write: two library models one after the other, attention between, everything dense."""

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from vilbert_lib.config import ModelConfig
from vilbert_lib.data.masking import IGNORED


class PlainBlock(nn.Module):
    """Both streams ask each other by ``nn.MultiheadAttention``, with a feed-forward each."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.text_asks = nn.MultiheadAttention(width, heads, batch_first=True)
        self.vision_asks = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))

    def forward(self, text: Tensor, vision: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        to_text = self.text_asks(text, vision, vision)[0]
        to_vision = self.vision_asks(vision, text, text, key_padding_mask=padding)[0]
        text, vision = self.norms[0](text + to_text), self.norms[1](vision + to_vision)
        return self.norms[2](text + self.feed[0](text)), self.norms[3](vision + self.feed[1](vision))


class PlainModel(nn.Module):
    """BERT, then ViT, then the blocks; a vocabulary head on every position, and one for alignment."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.width
        self.bert = BertModel(
            BertConfig(
                vocab_size=config.vocab_size,
                hidden_size=width,
                num_hidden_layers=config.num_layers,
                num_attention_heads=config.heads,
                intermediate_size=4 * width,
                max_position_embeddings=config.max_tokens,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
            )
        )
        self.vit = timm.models.VisionTransformer(
            img_size=config.image_size,
            patch_size=config.patch_size,
            embed_dim=width,
            depth=config.num_layers,
            num_heads=config.heads,
            num_classes=0,
        )
        self.blocks = nn.ModuleList(PlainBlock(width, config.coattention_heads) for _ in config.t_biattention_ids)
        self.words = nn.Linear(width, config.vocab_size)
        self.aligned = nn.Linear(width, 2)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss of masked words and alignment prediction."""
        output = self.bert(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"].long(),
            output_hidden_states=True,
        )
        text, vision = output.last_hidden_state, self.vit.forward_features(batch["pixel_values"])
        for block in self.blocks:
            text, vision = block(text, vision, ~batch["attention_mask"])
        words = F.cross_entropy(
            self.words(text).flatten(0, 1), batch["mlm_targets"].flatten(), ignore_index=IGNORED
        )
        return words + F.cross_entropy(self.aligned(text[:, 0] * vision[:, 0]), batch["aligned"])


def plain_step(model: PlainModel, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> float:
    """One step as it is usually written, the loss read after each."""
    optimizer.zero_grad()
    loss = model(batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()
