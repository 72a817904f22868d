"""A batch for small models: three texts of different lengths, and images of 64 pixels a side."""

import torch
from torch import Tensor


def inputs(lengths=(7, 4, 2)) -> tuple[Tensor, Tensor, Tensor]:
    """Ids and mask (3, 7), pixels (3, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 50, (3, 7), generator=generator)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    return ids.masked_fill(~mask, 0), mask, torch.randn(3, 3, 64, 64, generator=generator)
