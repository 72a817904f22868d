"""Samples as pictures with their texts."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from vilbert_lib.figures.style import panel_axes


def sample_grid(images: list[np.ndarray], texts: list[str], *, columns: int = 4) -> Figure:
    """Images (H, W, 3) uint8 in rows of ``columns``, each with its text above, whose long lines are broken."""
    broken = [
        [part for line in text.splitlines() for part in textwrap.wrap(line, 108 // columns)] for text in texts
    ]
    height = 9 / columns + 0.17 * max(map(len, broken))
    figure, axes = panel_axes(len(images), columns=columns, height=height)
    for axis, image, text in zip(axes, images, map("\n".join, broken), strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(text, fontsize=8.5)
        axis.set_axis_off()
    return figure
