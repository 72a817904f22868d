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

GREY = 127  # of the strip that a smaller picture leaves free


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
    """``images`` (B, 3, H, W) uint8, each changed in its own way; those given stay as they are.

    ``numbers`` (B, 5) are uniform in [0, 1). Scaling is torch's own, the one that torchvision calls;
    with torchvision's functions, a call a change, small images take several times as long
    (``benchmarks/data.py``).
    """
    changed = torch.full_like(images, GREY)
    sides = np.array(images.shape[2:])
    small = np.rint(sides * (1 - policy.shrink * numbers[:, :1])).astype(int)
    corner = (numbers[:, 1:3] * (sides - small + 1)).astype(int)
    offsets = 255 * policy.brightness * (2 * numbers[:, 3] - 1)
    gains = 1 + policy.contrast * (2 * numbers[:, 4] - 1)
    for image, place, (height, width), (top, left), offset, gain in zip(
        images, changed, small.tolist(), corner.tolist(), offsets.tolist(), gains.tolist(), strict=True
    ):
        scaled = F.interpolate(image[None], size=(height, width), mode="bilinear", antialias=True)[0]
        scaled = scaled.float().mul_(gain).add_(GREY * (1 - gain) + offset)  # grey stays but for the offset
        place[:, top : top + height, left : left + width] = scaled.clamp_(0, 255).round_()
    return changed
