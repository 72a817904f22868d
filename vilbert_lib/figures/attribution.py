"""Pictures of what a model looks at: patches over the image, coloured words, curves of faithfulness."""

import html
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vilbert_lib.figures.style import COLOURS, MARKERS, PlainTextFigure, legend_above, panel_axes

MAP = "cividis"
POSITIVE, NEGATIVE = (213, 94, 0), (0, 114, 178)  # for and against a class, told apart by colour-blind readers


def overlays(
    image: np.ndarray, maps: Mapping[str, Mapping[str, np.ndarray]], *, box: tuple | None = None
) -> Figure:
    """Patch maps over the grey ``image`` (H, W, 3) uint8: a row a name of ``maps``, a column a name in it.

    A map (P,) is brought to its own largest value, negative values to 0, and is dark blue at 0, yellow at the
    largest; one that is zero everywhere is said to be ``zero``. ``box`` (top, left, bottom, right, as shares of
    the side) is drawn in white.
    """
    columns = list(dict.fromkeys(name for row in maps.values() for name in row))
    size = min(1.35, 9.0 / (len(columns) + 1))
    across = len(columns) + 1
    shape = {"columns": across, "width": size * across, "height": size + 0.22}
    figure, panels = panel_axes(len(maps) * across, **shape)
    axes = np.reshape(panels, (len(maps), across))
    for row, (name, found) in zip(axes, maps.items(), strict=True):
        row[0].imshow(image)
        row[0].set_ylabel(name, fontsize=9)
        for axis, column in zip(row[1:], columns, strict=True):
            if column in found:
                overlay(axis, image, found[column])
        for axis in row:
            if box is not None and axis.images:
                _outline(axis, box, image.shape[0])
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
    for axis, title in zip(axes[0], ["image", *columns], strict=True):
        axis.set_title(textwrap.fill(title, 14), fontsize=8.5)
    return figure


def overlay(axis: Axes, image: np.ndarray, patches: np.ndarray) -> None:
    """One map (P,) over the grey ``image``, brought to its largest value."""
    side, grid = image.shape[0], round(len(patches) ** 0.5)
    values = np.clip(patches, 0, None)
    largest = values.max()
    axis.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255)
    if largest > 0:
        extent = (-0.5, side - 0.5, side - 0.5, -0.5)
        axis.imshow(
            (values / largest).reshape(grid, grid), cmap=MAP, vmin=0, vmax=1, alpha=0.6, extent=extent, zorder=2
        )
    else:
        axis.text(0.5, 0.5, "zero", transform=axis.transAxes, ha="center", va="center", color="white", fontsize=8)


def _outline(axis: Axes, box: tuple, side: int) -> None:
    top, left, bottom, right = (edge * side - 0.5 for edge in box)
    axis.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="white", lw=1, zorder=3)


def removal_curves(table: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Deletion and insertion with bands, one panel a side and curve; the random floor is black and dashed.

    ``table``: ``method``, ``side``, ``curve``, ``share``, ``mean``, ``low``, ``high``; ``labels`` names methods.
    """
    names = list(dict.fromkeys(zip(table.side, table.curve, strict=True)))
    figure, axes = panel_axes(len(names), columns=2, height=2.8, sharey=True)
    for axis, (side, curve) in zip(axes, names, strict=True):
        rows = table[(table.side == side) & (table.curve == curve)]
        for i, (method, group) in enumerate(rows.groupby("method", sort=False)):
            is_floor = method not in labels
            colour = "black" if is_floor else COLOURS[i]
            style = {"ls": "--"} if is_floor else {"marker": MARKERS[i], "ms": 3.5}
            axis.plot(group.share, group["mean"], color=colour, lw=1.4, label=labels.get(method, method), **style)
            axis.fill_between(group.share, group.low, group.high, color=colour, alpha=0.07, lw=0)
        done = "taken away" if curve == "deletion" else "put back"
        axis.set(title=f"{curve}, {side}", xlabel=f"share of the {side} {done}", ylabel="probability of the class")
    legend_above(figure, axes[0])
    return figure


def on_evidence(
    table: pd.DataFrame, chance: Mapping[str, float], labels: Mapping[str, str], xlabel: str = "share of relevance"
) -> Figure:
    """What each method has on the known evidence with its interval; dashed is chance, hollow the untrained model.

    ``table``: ``moment`` (``trained`` or ``untrained``), ``method``, ``side``, ``mean``, ``low``, ``high``; one
    panel a side.
    """
    sides = list(dict.fromkeys(table.side))
    figure, axes = panel_axes(len(sides), columns=2, height=0.9 + 0.3 * table.method.nunique(), sharey=True)
    for axis, side in zip(axes, sides, strict=True):
        rows = table[table.side == side]
        order = list(dict.fromkeys(rows.method))[::-1]
        for i, (moment, group) in enumerate(rows.groupby("moment", sort=False)):
            error = np.stack([group["mean"] - group.low, group.high - group["mean"]])
            height = group.method.map(order.index) + (0.15, -0.15)[i]
            fill = COLOURS[i] if moment == "trained" else "white"
            axis.errorbar(
                group["mean"], height, xerr=error, fmt=MARKERS[i], color=COLOURS[i], mfc=fill, ms=4.5, lw=1.2,
                label=moment,
            )  # fmt: skip
        axis.axvline(chance[side], color="0.3", lw=1, ls="--", label="chance")
        where = "in the box" if side == "patches" else "on the deciding word"
        axis.set_yticks(range(len(order)), [labels[method] for method in order])
        axis.set(title=side, xlabel=f"{xlabel} {where}", ylim=(-0.6, len(order) - 0.4))
        axis.set_xlim(left=0)
    legend_above(figure, axes[0])
    return figure


def coloured_text(rows: Mapping[str, tuple[Sequence[str], np.ndarray]], legend: str) -> HTML:
    """Sentences whose words are coloured by a number each: HTML that needs nothing from elsewhere.

    ``rows`` maps a label to words and numbers (T,); each row is brought to its largest absolute number, orange
    for positive ones and blue for negative ones. The number itself is the word's title. Colours are laid
    over the page's own ground, so that the text is readable on light and on dark pages.
    """
    lines = "".join(
        f'<tr><th scope="row" style="text-align:right;padding-right:.8em;font-weight:normal;opacity:.75">'
        f'{html.escape(label)}</th><td style="text-align:left;line-height:1.9">{_words(tokens, values)}</td></tr>'
        for label, (tokens, values) in rows.items()
    )
    scale = "".join(
        f'<span style="{_ground(value, 1.0)}">{text}</span> '
        for text, value in (("against", -1.0), ("nothing", 0.0), ("half", 0.5), ("most", 1.0))
    )
    caption = f'<div style="font-size:.85em;opacity:.85;margin-top:.4em">{html.escape(legend)}: {scale}</div>'
    return HTML(f'<table style="border:none;color:inherit;background:transparent">{lines}</table>{caption}')


def _words(tokens: Sequence[str], values: np.ndarray) -> str:
    largest = float(np.abs(values).max()) if len(values) else 0.0
    return " ".join(
        f'<span style="{_ground(value, largest)}" title="{value:.4g}">{html.escape(token)}</span>'
        for token, value in zip(tokens, map(float, values), strict=True)
    )


def _ground(value: float, largest: float) -> str:
    red, green, blue = POSITIVE if value >= 0 else NEGATIVE
    alpha = 0.6 * abs(value) / largest if largest > 0 else 0.0
    return f"background:rgba({red},{green},{blue},{alpha:.2f});border-radius:3px;padding:1px 4px;color:inherit"


def explanation(
    image: np.ndarray, patches: np.ndarray, tokens: Sequence[str], values: np.ndarray, title: str
) -> Figure:
    """An image, the relevance of its patches over it, and beneath the sentence with its words coloured.

    ``image`` (H, W, 3) uint8, ``patches`` (P,), ``values`` (T,) for ``tokens``.
    """
    lines = _broken(tokens, 64)
    figure, axes = plt.subplot_mosaic(
        [["image", "map"], ["text", "text"]],
        figsize=(7.2, 4.1 + 0.36 * len(lines)),
        height_ratios=[3.6, 0.25 + 0.36 * len(lines)],
        layout="constrained",
        FigureClass=PlainTextFigure,
    )
    axes["image"].imshow(image)
    overlay(axes["map"], image, patches)
    axes["map"].set_title("relevance of patches: yellow most, blue none", fontsize=9)
    figure.suptitle(title, fontsize=10)
    largest = max(float(np.abs(values).max()), 1e-30)
    axes["text"].set(xlim=(0, 66), ylim=(len(lines), -0.6))
    for number, line in enumerate(lines):
        column = 1
        for i in line:
            colour = np.array(POSITIVE if values[i] >= 0 else NEGATIVE) / 255
            ground = (*colour, 0.6 * abs(float(values[i])) / largest)
            axes["text"].text(
                column,
                number,
                tokens[i],
                family="monospace",
                fontsize=10,
                va="center",
                bbox={"facecolor": ground, "edgecolor": "none", "pad": 2},
            )
            column += len(tokens[i]) + 1
    for axis in axes.values():
        axis.grid(False)
        axis.set_axis_off()
    return figure


def _broken(tokens: Sequence[str], width: int) -> list[list[int]]:
    """Numbers of the tokens of each line, of at most ``width`` letters where no token is longer."""
    lines, used = [[]], 0
    for i, token in enumerate(tokens):
        if lines[-1] and used + len(token) > width:
            lines.append([])
            used = 0
        lines[-1].append(i)
        used += len(token) + 1
    return lines
