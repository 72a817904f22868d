"""One stream over words and patches together, as in ViLT: the baseline that fuses at the first layer."""

import torch
from torch import Tensor, nn

from vilbert_lib.config import ModelConfig
from vilbert_lib.model.streams import States, Streams, initialise


class SingleStream(Streams):
    """BERT's embeddings and ViT's patches through the blocks of one ViT (Kim et al. 2021, ViLT).

    The states of the words and of the patches are the two parts of one sequence, so that they can be
    measured as two streams are. Words that are padding are seen by none.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        width, t_width = self.vit.embed_dim, self.bert.config.hidden_size
        self.bert.encoder = None  # of BERT there are the embeddings only
        self.widen = nn.Identity() if t_width == width else nn.Linear(t_width, width)
        self.widen.apply(initialise)
        # Which of the two a token is: small, so that published weights start nearly as they were.
        self.kind = nn.Parameter(torch.randn(2, width) * 0.02)
        self._add_poolers(width, width)
        self.freeze()

    @property
    def widths(self) -> tuple[int, int]:
        """Widths of the text and of the vision states."""
        return self.vit.embed_dim, self.vit.embed_dim

    def encode(self, input_ids: Tensor, content: Tensor, pixel_values: Tensor) -> States:
        """States of the words (B, T, D) and of the patches (B, 1 + P, D) after every layer."""
        text = self.widen(self.embed_text(input_ids, content)[0]) + self.kind[0]
        vision = self.embed_image(pixel_values) + self.kind[1]
        states, words = torch.cat([text, vision], dim=1), text.shape[1]
        seen = torch.cat([content, content.new_ones(vision.shape[:2])], dim=1)[:, None, None, :]
        seen = seen.expand(-1, -1, states.shape[1], -1)
        every = [states]
        for block in self.vit.blocks:
            states = self.run(block, states, seen)
            every.append(states)
        return [s[:, :words] for s in every], [s[:, words:] for s in every]

    def encoder_layers(self):
        """Return the layers of the one stream."""
        return [self.vit.blocks]
