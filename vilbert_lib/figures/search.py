"""A search: how it went, which parameters mattered, where the streams of good trials meet."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vilbert_lib.figures.style import COLOURS, MARKERS, heatmap, legend_above, line_with_range, panel_axes

#: What parameters are called on an axis, with their units.
LABELS = {
    "num_coattn_layers": "co-attention\nlayers",
    "t_center": "text: centre\n(layer)",
    "t_spread": "text: spread\n(layers)",
    "v_center": "vision: centre\n(layer)",
    "v_spread": "vision: spread\n(layers)",
    "lr": "learning rate",
}


def best_so_far(table: pd.DataFrame, label: str) -> Figure:
    """The best value after each trial, a line a ``sampler``: mean over searches, with their range.

    ``table``: ``trial``, ``value`` (a point each), ``best``, ``sampler``.
    """
    figure, [axis] = panel_axes(1, width=6.0, height=3.2)
    for i, (name, rows) in enumerate(table.groupby("sampler", sort=False)):
        line = {"ls": ["-", "--", ":"][i % 3], "lw": 1.8, "label": f"{name}, best so far"}
        line_with_range(axis, rows.groupby("trial").best, COLOURS[i], **line)
        axis.plot(rows.trial, rows.value, ls="", marker=MARKERS[i], color=COLOURS[i], ms=8 - 3 * i, alpha=0.6)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="trials", ylabel=label)
    legend_above(figure, axis)
    return figure


def regret(table: pd.DataFrame, label: str) -> Figure:
    """Mean ``regret`` after each ``trial`` with its interval (``low``, ``high``), a line a ``sampler``."""
    figure, [axis] = panel_axes(1, width=6.0, height=3.0)
    for i, (name, rows) in enumerate(table.groupby("sampler", sort=False)):
        axis.plot(rows.trial, rows.regret, color=COLOURS[i], ls=["-", "--"][i % 2], label=name)
        axis.fill_between(rows.trial, rows.low, rows.high, color=COLOURS[i], alpha=0.15, lw=0)
    axis.set(xlabel="trials", ylabel=label)
    legend_above(figure, axis)
    return figure


def parallel_coordinates(table: pd.DataFrame, parameters: list[str], value: str, label: str) -> Figure:
    """A line a trial, across an axis a parameter; its colour is ``value``."""
    rows = table.dropna(subset=[value])
    scales = [_scale(rows[name], name) for name in parameters] + [_scale(rows[value], value)]
    heights = np.column_stack([(heights - low) / max(high - low, 1e-12) for heights, low, high, _ in scales])
    figure, [axis] = panel_axes(1, width=9.0, height=3.4)
    colours, norm = colormaps["cividis"], Normalize(rows[value].min(), rows[value].max())
    for line, colour in zip(heights, colours(norm(rows[value])), strict=True):
        axis.plot(line, color=colour, lw=1.6, alpha=0.85)
    for x, (_, low, high, ticks) in enumerate(scales):
        axis.axvline(x, color="0.3", lw=1)
        for at, text in ticks:
            axis.annotate(text, (x, (at - low) / max(high - low, 1e-12)), xytext=(3, 0), **_BESIDE)
    axis.set_xticks(range(len(scales)), [*(LABELS.get(name, name) for name in parameters), label], fontsize=8.5)
    axis.set_yticks([])
    axis.set(xlim=(-0.1, len(scales) - 0.6), ylim=(-0.06, 1.06))
    axis.grid(False)
    axis.spines[:].set_visible(False)
    return figure


_BESIDE = {
    "textcoords": "offset points",
    "fontsize": 7.5,
    "va": "center",
    "color": "0.1",
    "bbox": {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
}


def _scale(column: pd.Series, name: str) -> tuple[np.ndarray, float, float, list[tuple[float, str]]]:
    """Heights of a column's values on an axis, where that begins and ends, and its ticks."""
    if not pd.api.types.is_numeric_dtype(column):
        known = sorted(column.unique())
        heights = column.map(known.index).to_numpy(float)
        return heights, 0.0, float(len(known) - 1), list(enumerate(known))
    values = column.to_numpy(float)
    heights = np.log10(values) if name == "lr" else values
    order = np.unique(values, return_index=True)[1]
    shown = order if len(order) <= 6 else order[[0, -1]]
    return heights, heights.min(), heights.max(), [(heights[i], f"{values[i]:.3g}") for i in shown]


def pareto_front(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str]) -> Figure:
    """Trials by two objectives; those that none beats in both are joined, with their numbers.

    ``table``: ``number``, ``best`` and the columns ``x`` and ``y``.
    """
    figure, [axis] = panel_axes(1, width=6.5, height=4.0)
    axis.plot(table[x], table[y], ls="", marker="o", color="0.6", ms=5, label="trials")
    front = table[table.best].sort_values([x, y]).drop_duplicates([x, y])
    axis.plot(front[x], front[y], ls="--", lw=1, marker="s", color=COLOURS[1], ms=6, label="Pareto front")
    for row in front.to_dict("records"):
        axis.annotate(row["number"], (row[x], row[y]), xytext=(0, 7), ha="center", **_NEAR)
    axis.margins(0.1)
    axis.set(xlabel=labels[0], ylabel=labels[1])
    legend_above(figure, axis)
    return figure


_NEAR = {"textcoords": "offset points", "fontsize": 8}


def parameter_importances(table: pd.DataFrame) -> Figure:
    """How much each parameter decides (``parameter``, ``share``), one panel an ``objective``."""
    names = list(dict.fromkeys(table.objective))
    figure, axes = panel_axes(len(names), 3, height=0.9 + 0.3 * table.parameter.nunique(), sharey=True)
    order = list(dict.fromkeys(table.parameter))[::-1]
    for axis, name in zip(axes, names, strict=True):
        rows = table[table.objective == name].set_index("parameter").loc[order]
        axis.barh([LABELS.get(parameter, parameter).replace("\n", " ") for parameter in order], rows.share)
        axis.set(title=name, xlabel="share of importance", xlim=(0, 1))
    return figure


def slices(table: pd.DataFrame, parameters: list[str], value: str, label: str) -> Figure:
    """``value`` against each parameter by itself; a point is a trial, the darker the later."""
    figure, axes = panel_axes(len(parameters), columns=5 if len(parameters) == 5 else 4, height=2.4, sharey=True)
    rows = table.dropna(subset=[value])
    for axis, name in zip(axes, parameters, strict=True):
        points = axis.scatter(rows[name], rows[value], c=rows.number, cmap="cividis_r", s=26)
        if name == "lr":
            ends = np.log10([rows[name].min(), rows[name].max()])
            axis.set_xscale("log")
            axis.set_xticks(10**ends, [f"{rate:.1e}" for rate in 10**ends], fontsize=8)
            axis.minorticks_off()
        elif not pd.api.types.is_numeric_dtype(table[name]):
            axis.tick_params(axis="x", rotation=30, labelsize=8)
        elif pd.api.types.is_integer_dtype(table[name]):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel=LABELS.get(name, name))
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel(label)
    figure.colorbar(points, ax=axes, label="number of the trial", shrink=0.8).ax.yaxis.set_major_locator(
        MaxNLocator(integer=True)
    )
    return figure


def placement_map(table: pd.DataFrame, num_layers: int, label: str) -> Figure:
    """Where the streams met: a cell a text and a vision layer, its colour the mean of the trials with that pair.

    ``table``: ``text_layer``, ``vision_layer``, ``value`` and ``trials``, the number in the cell.
    """
    figure, [axis] = panel_axes(1, width=6.2, height=5.0)
    layers = range(num_layers)
    wide = table.pivot(index="text_layer", columns="vision_layer", values="value")
    image = heatmap(axis, wide.reindex(index=layers, columns=layers))
    for row in table.itertuples():
        look = {"color": "white" if image.norm(row.value) < 0.5 else "black", "fontsize": 8}
        axis.text(row.vision_layer, row.text_layer, str(row.trials), ha="center", va="center", **look)
    axis.set(xlabel="vision layer", ylabel="text layer", xticks=layers, yticks=layers)
    figure.colorbar(image, ax=axis, label=label, shrink=0.85)
    return figure
