"""The architecture as a drawing."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from vilbert_lib.figures.style import COLOURS


def architecture(t_ids: tuple[int, ...], v_ids: tuple[int, ...], num_layers: int = 12) -> Figure:
    """The two streams as columns of layers, with the blocks in which they meet."""
    figure, axis = plt.subplots(figsize=(4.6, 6.4))
    arrow = {"arrowstyle": "-|>", "color": "0.4", "shrinkA": 0, "shrinkB": 0}
    top, middle = num_layers + 0.55, 2.8
    for x, prefix, below, colour in ((0.0, "text", "tokens", COLOURS[0]), (4.0, "vision", "patches", COLOURS[1])):
        axis.plot([x + 0.8, x + 0.8], [-0.75, num_layers - 0.2], color="0.4", lw=1.2, zorder=0)
        axis.annotate("", (middle, top), (x + 0.8, num_layers - 0.2), arrowprops=arrow)
        axis.text(x + 0.8, -1.15, below, ha="center", fontsize=9)
        for layer in range(num_layers):
            for style in ({"fc": "white", "ec": colour}, {"fc": colour, "ec": "none", "alpha": 0.18}):
                axis.add_patch(FancyBboxPatch((x, layer), 1.6, 0.56, boxstyle="round,pad=0.04", zorder=1, **style))
            axis.text(x + 0.8, layer + 0.28, f"{prefix} {layer}", ha="center", va="center", fontsize=8)
    for t, v in zip(t_ids, v_ids, strict=True):
        heights = [t - 0.22, t - 0.22, v - 0.22, v - 0.22]
        axis.plot([0.8, 1.8, 3.8, 4.8], heights, color=COLOURS[2], lw=2, marker="D", ms=5, markevery=[0, 3])
    if t_ids:
        axis.plot([], [], color=COLOURS[2], lw=2, marker="D", ms=5, label="co-attention block")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, -0.06), fontsize=8.5)
    axis.text(middle, top + 0.15, "pool, fuse, task head", ha="center", fontsize=9)
    axis.set(xlim=(-0.4, 6), ylim=(-1.6, num_layers + 1.2))
    axis.set_axis_off()
    return figure
