"""What all figures share: colours, sizes, panels, captions.

Colours are Okabe and Ito's, told apart by colour-blind readers; heat maps use ``cividis``.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from pandas.api.typing import SeriesGroupBy

from vilbert_lib.config import ARCHITECTURES, BASELINES

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
LINES = ["-", "--", ":"]  # for more names than colours
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
_NAMES = [*ARCHITECTURES, *BASELINES]
_PLACES = {name: i for i, name in enumerate(_NAMES[1:7] + _NAMES[:1] + _NAMES[7:])}  # without blocks: black
MOST_IN_LEGEND = 8  # names; of more lines each is labelled where it ends


def look(name: object, i: int) -> dict[str, str]:
    """How ``name``, the ``i``-th of a figure, is drawn: ``color``, ``ls``, ``marker``.

    An architecture looks the same in all figures. The first seven differ in colour; the pale eighth colour is left
    to figures of other names.
    """
    count = len(COLOURS) - 1 if name in _PLACES else len(COLOURS)
    again, kind = divmod(_PLACES.get(name, i), count)
    return {
        "color": COLOURS[kind],
        "ls": LINES[again % len(LINES)],
        "marker": MARKERS[(kind + again) % len(MARKERS)],
    }


class PlainTextFigure(Figure):
    """A figure whose texts are drawn character by character: a ``$`` in a label or text begins no formula."""

    def draw(self, renderer) -> None:
        """Draw with every text as it is spelled, without formulas."""
        with plt.rc_context({"text.parse_math": False}):  # for ticks that are made while it is drawn
            for text in self.findobj(Text):
                text.set_parse_math(text.get_wrap())  # of wrapped texts matplotlib measures formulas in any case
            super().draw(renderer)


def without_formulas(text: str) -> str:
    """``text`` for an artist that wraps it: matplotlib then shows each ``$`` as it stands."""
    return text.replace("$", r"\$")


def use_style() -> None:
    """Set what all figures share: sizes that are readable at the book's width."""
    sns.set_theme(
        style="whitegrid",
        palette=COLOURS,
        rc={
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "font.size": 10,
            "axes.titlesize": 10.5,
            "legend.frameon": False,
        },
    )


def caption(figure: Figure, text: str) -> Figure:
    """Write below ``figure`` where its numbers come from."""
    look = {"fontsize": 8.5, "color": "0.35", "wrap": True}
    figure.text(0.5, -0.02, without_formulas(text), ha="center", va="top", **look)
    return figure


def panel_axes(
    count: int, columns: int = 3, width: float = 9.0, height: float = 2.6, **shared
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, ``columns`` in a row, each row ``height`` inches high."""
    columns = min(columns, count)
    rows = -(-count // columns)
    size = {"figsize": (width, height * rows), "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, squeeze=False, FigureClass=PlainTextFigure, **size, **shared)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def heatmap(axis: Axes, table: pd.DataFrame, *, names: bool = False, most: int = 99, **look) -> AxesImage:
    """Draw ``table`` as coloured cells; ``names``: with the names of its rows and columns, at most ``most``."""
    image = axis.imshow(table, **{"cmap": "cividis", "origin": "upper" if names else "lower"} | look)
    axis.grid(False)
    if names:
        step = -(-max(table.shape) // most)  # more names than that would overlap
        axis.set_xticks(range(0, table.shape[1], step), table.columns[::step], rotation=90, fontsize=8)
        axis.set_yticks(range(0, table.shape[0], step), table.index[::step], fontsize=8)
    return image


def line_with_range(axis: Axes, by_x: SeriesGroupBy, colour: str, *, band: bool = True, **line) -> pd.Series:
    """Draw the mean at each x, with a ``band`` from the smallest to the largest value; returns the means."""
    mean = by_x.mean()
    axis.plot(mean.index, mean, color=colour, **line)
    if band:
        axis.fill_between(mean.index, by_x.min(), by_x.max(), color=colour, alpha=0.15, lw=0)
    return mean


def legend_above(figure: Figure, axis: Axes, title: str = "") -> None:
    """One legend for all panels, of what ``axis`` shows."""
    handles, labels = axis.get_legend_handles_labels()
    columns = min(4, len(labels)) if max(map(len, labels), default=0) > 6 else max(1, len(labels))
    figure.legend(
        handles, labels, loc="outside upper center", ncols=columns, fontsize=8.5, title=title, title_fontsize=8.5
    )


def name_lines(figure: Figure, axes: list[Axes], title: str = "") -> None:
    """Say which line is which: in one legend for all panels, or, of many lines, at the end of each."""
    if len(axes[0].get_legend_handles_labels()[1]) <= MOST_IN_LEGEND:
        legend_above(figure, axes[0], title)
        return
    for axis in axes:
        _name_at_ends(axis)


def _name_at_ends(axis: Axes) -> None:
    """Write the name of each line beside its last point, in its colour, so far apart that none covers another."""
    ends = []
    for line, name in zip(*axis.get_legend_handles_labels(), strict=True):
        points = line.get_xydata()
        points = points[~np.isnan(points).any(axis=1)]
        if len(points):
            ends.append((points[-1, 1], points[-1, 0], name, line.get_color()))
    ends.sort()
    low, high = axis.get_ylim()
    step = (high - low) / 13
    heights = [low + step * 0.5]
    for i, (y, *_) in enumerate(ends):
        heights.append(max(y, heights[-1] + step * (i > 0)))
    for i in range(len(ends), 0, -1):  # those that stand too high give way downwards
        heights[i] = min(heights[i], high - step * (len(ends) - i + 0.5))
    for (y, x, name, colour), height in zip(ends, heights[1:], strict=True):
        place = {"xytext": (1.04, height), "textcoords": axis.get_yaxis_transform(), "va": "center"}
        leader = {"arrowstyle": "-", "color": colour, "lw": 0.5, "alpha": 0.6}
        axis.annotate(name, (x, y), color=colour, fontsize=8, arrowprops=leader, **place)


def describe(figure: Figure) -> str:
    """A figure in words, for those who do not see it: its panels, axes, and names of what is drawn."""
    panels = [axis for axis in figure.axes if axis.get_visible() and axis.get_label() != "<colorbar>"]
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    legends = [legend for legend in (*figure.legends, *(axis.get_legend() for axis in panels)) if legend]
    parts = {
        "Panels": [axis.get_title() for axis in panels],
        "Horizontal": [axis.get_xlabel() for axis in panels],
        "Vertical": [axis.get_ylabel() for axis in panels],
        "Colours": [axis.get_ylabel() for axis in bars],
        "Drawn": [text.get_text() for legend in legends for text in legend.get_texts()],
        "Texts": [text.get_text() for axis in panels for text in axis.texts],
    }
    named = {name: dict.fromkeys(" ".join(text.split()) for text in texts) for name, texts in parts.items()}
    said = [f"{name}: {'; '.join(filter(None, texts))}." for name, texts in named.items() if any(texts)]
    return " ".join([f"Figure with {len(panels)} panel{'s' * (len(panels) > 1)}.", *said])
