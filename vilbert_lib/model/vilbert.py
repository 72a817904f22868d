"""Two streams that meet: BERT layers for the text, ViT blocks for the image, co-attention between."""

import torch
from torch import Tensor, nn

from vilbert_lib.config import ModelConfig
from vilbert_lib.model.coattention import CoAttentionBlock, schedule
from vilbert_lib.model.streams import States, Streams, initialise


class ViLBERT(Streams):
    """Two-stream transformer with co-attention (Lu et al. 2019), each stream the library's own.

    Without co-attention the states of each stream equal those of ``transformers.BertModel`` and
    ``timm``'s ``VisionTransformer`` to the last bit, as long as the image passes once.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        t_width, v_width = self.bert.config.hidden_size, self.vit.embed_dim
        t_layers, v_layers = len(self.bert.encoder.layer), len(self.vit.blocks)
        self.steps = schedule(config.t_biattention_ids, config.v_biattention_ids, t_layers, v_layers)
        self.coattention = nn.ModuleList(
            CoAttentionBlock(
                t_width,
                v_width,
                config.coattention_width,
                config.coattention_heads,
                config.dropout,
                config.residual,
            )
            for _ in config.t_biattention_ids
        )
        self.coattention.apply(initialise)
        self._add_poolers(t_width, v_width)
        self.freeze()

    @property
    def widths(self) -> tuple[int, int]:
        """Widths of the text and of the vision states."""
        return self.bert.config.hidden_size, self.vit.embed_dim

    def encode(self, input_ids: Tensor, content: Tensor, pixel_values: Tensor) -> States:
        """States of the text (B, T, D) and of the image (B, 1 + P, D) after every layer."""
        text, bert_mask = self.embed_text(input_ids, content)
        vision = self.embed_image(pixel_values)
        if self.config.vision_passes == 2:
            vision = self._first_pass(vision)
        text_states, vision_states = [text], [vision]
        for kind, index in self.steps:
            if kind == "T":
                # A stream that the label is not read from learns nothing: it keeps no inner states.
                with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.streams != "image"):
                    text = self.run(self.bert.encoder.layer[index], text, bert_mask)
                text_states.append(text)
            elif kind == "V":
                vision = self._vision_layer(index, vision)
                vision_states.append(vision)
            else:
                text, vision = self.run(self.coattention[index], text, vision, content)
        return text_states, vision_states

    def _vision_layer(self, index: int, vision: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.streams != "text"):
            return self.run(self.vit.blocks[index], vision)

    def _first_pass(self, vision: Tensor) -> Tensor:
        """What ``vit.forward_features`` makes of an image: ``vision_passes`` 2 takes it for the embedding."""
        for index in range(len(self.vit.blocks)):
            vision = self._vision_layer(index, vision)
        return self.vit.norm(vision)

    def encoder_layers(self):
        """Return the layers of the text stream and of the vision stream."""
        return [self.bert.encoder.layer, self.vit.blocks]
