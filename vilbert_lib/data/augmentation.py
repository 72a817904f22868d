"""Changes of the images that leave true what the texts say.

Nothing is flipped: texts name left and right, and letters are in the pictures. Hues stay: texts name
colours. Nothing is cut off: a picture is made smaller and put where all of it is in view, and things
stay on their side of the middle. Nothing is blurred beyond that: textures are named too.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GREY = 127.5  # of the strip that a smaller picture leaves free


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How far images are changed at most.

    ``shrink``: share of the side that is lost; ``brightness``: change of all three channels, as a
    share of their range; ``contrast``: relative change of the distance from grey.
    """

    shrink: float
    brightness: float
    contrast: float


#: By the kind of task. Memes and posters hold letters, captions and questions name shades and sizes.
POLICIES = {
    "captions": Policy(shrink=0.15, brightness=0.08, contrast=0.15),
    "multiclass": Policy(shrink=0.15, brightness=0.08, contrast=0.15),
    "binary": Policy(shrink=0.1, brightness=0.12, contrast=0.2),
    "multilabel": Policy(shrink=0.1, brightness=0.12, contrast=0.2),
}

DRAWS = 5  # numbers that an image needs


def augment(images: Tensor, policy: Policy, numbers: np.ndarray) -> Tensor:
    """``images`` (B, 3, H, W) float32 in [0, 255], each changed in its own way, in the same range.

    ``numbers`` (B, 5) are uniform in [0, 1). The whole batch is changed at once: transforms that take
    one image at a time need some ten times as long for pictures of 64 px.
    """
    numbers = torch.from_numpy(numbers).to(images.dtype)
    shrink, right, down, brightness, contrast = numbers[:, :, None, None, None].unbind(1)
    scale = 1 - policy.shrink * shrink
    # In [-1, 1], the coordinates of the picture, its centre can move this far with all of it in view.
    room = 1 - scale
    shift = torch.cat([room * (2 * right - 1), room * (2 * down - 1)], dim=-1)
    changed = F.grid_sample(images - GREY, (_centres(images) - shift) / scale, align_corners=False)
    gain = 1 + policy.contrast * (2 * contrast - 1)
    offset = GREY + 255 * policy.brightness * (2 * brightness - 1)
    return changed.mul_(gain).add_(offset).clamp_(0, 255)


def _centres(images: Tensor) -> Tensor:
    """Where the pixels lie, (H, W, 2: to the right, down) in [-1, 1]."""
    down, right = ((2 * torch.arange(side) + 1) / side - 1 for side in images.shape[2:])
    return torch.stack(torch.meshgrid(right, down, indexing="xy"), dim=-1)
