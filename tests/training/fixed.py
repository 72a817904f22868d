"""A model whose answers are given."""

from torch import nn


class Fixed(nn.Module):
    """A model whose logits are its ``pixel_values``."""

    def __init__(self, classes: int):
        super().__init__()
        self.head = nn.Linear(1, classes)

    def forward(self, input_ids, attention_mask, pixel_values):
        """Give the pixels back."""
        return pixel_values, None
