"""Figures of single studies: around a block, of measures among themselves, over levels of a task."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vilbert_lib.figures.style import COLOURS, MARKERS, heatmap, legend_above, look, name_lines, panel_axes
from vilbert_lib.metrics import MEASURES


def around_block(table: pd.DataFrame) -> Figure:
    """Alignment against the distance in layers from the first block, one panel a measure.

    ``table``: ``measure``, ``line`` (what is drawn), ``offset``, ``mean``, ``low``, ``high``.
    """
    measures = list(dict.fromkeys(table.measure))
    figure, axes = panel_axes(len(measures))
    for axis, measure in zip(axes, measures, strict=True):
        for i, (name, rows) in enumerate(table[table.measure == measure].groupby("line", sort=False)):
            rows = rows.sort_values("offset")
            axis.plot(rows.offset, rows["mean"], color=COLOURS[i], marker=MARKERS[i], ms=4, label=name)
            axis.fill_between(rows.offset, rows.low, rows.high, color=COLOURS[i], alpha=0.15, lw=0)
        axis.axvline(-0.5, color="0.3", lw=1, ls="--")
        axis.set(xlabel="layers after the first block", ylabel=MEASURES[measure].title)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(figure, axes[0])
    return figure


def measures_among_themselves(matrix: pd.DataFrame, groups: pd.Series, label: str) -> Figure:
    """A matrix of correlations in the order of ``groups``, with lines between the groups."""
    figure, [axis] = panel_axes(1, width=7.5, height=6.2)
    order = list(groups.index)
    image = heatmap(axis, matrix.loc[order, order], names=True, cmap="PuOr", vmin=-1, vmax=1)
    for edge in np.flatnonzero(np.diff(groups.to_numpy())) + 0.5:
        axis.axvline(edge, color="black", lw=1.2)
        axis.axhline(edge, color="black", lw=1.2)
    axis.set(xlabel="measure", ylabel="measure")
    figure.colorbar(image, ax=axis, label=label, shrink=0.8)
    return figure


def family(table: pd.DataFrame, *, x: str, y: str, panel: str, value: str, p: str, label: str) -> Figure:
    """Correlations of a family of tests as heat maps; a dot marks those with ``p`` below .05.

    All panels have the same rows and columns; what one of them lacks is left blank.
    """
    names = list(dict.fromkeys(table[panel]))
    width = min(9.0, 2.4 + 1.6 * len(names))
    figure, axes = panel_axes(len(names), 5, width, 1.0 + 0.2 * table[y].nunique(), sharey=True)
    order = {"index": list(dict.fromkeys(table[y])), "columns": list(dict.fromkeys(table[x]))}
    for axis, name in zip(axes, names, strict=True):
        rows = table[table[panel] == name]
        values, ps = (rows.pivot(index=y, columns=x, values=c).reindex(**order) for c in (value, p))
        image = heatmap(axis, values, names=True, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
        row, column = np.nonzero(ps.to_numpy() < 0.05)
        axis.plot(column, row, ls="", marker="o", color="black", ms=4)
        axis.set(title=str(name), xlabel=x)
    axes[0].set_ylabel(y)
    figure.colorbar(image, ax=axes, label=label, shrink=0.8)
    return figure


def dose_response(
    table: pd.DataFrame,
    values: dict[str, str],
    differences: dict[str, pd.DataFrame],
    *,
    hue: str = "architecture",
) -> Figure:
    """Each of ``values`` (column: axis label) against the weight, one row a task; points are runs.

    ``differences`` has for each column a table of :func:`studies.contrasts.contrasts` against weight
    0. Their intervals stand as bars at the mean of each weight: a bar that leaves out the dashed line, the mean
    at weight 0, shows a difference. Several ``hue`` stand side by side. A panel reaches as far beyond its points
    as they reach from each other, and longer bars are cut at its edge.
    """
    names = list(dict.fromkeys(table[hue]))
    step = min(0.12, 0.8 / len(names)) * np.diff(np.unique(table.weight)).min()
    apart = {name: step * (i - (len(names) - 1) / 2) for i, name in enumerate(names)}
    labels = dict.fromkeys(dict.fromkeys(table.task), "weight of the alignment term")
    beside = table.assign(weight=table.weight + table[hue].map(apart))
    figure = _rows_of_panels(beside, values, "task", "weight", labels, hue)
    panels = [(task, column) for task in labels for column in values]
    for axis, (task, column) in zip(figure.axes, panels, strict=True):
        own = table[table.task == task]
        for i, name in enumerate(names):
            colour = {"color": look(name, i)["color"]}
            start = own[(own[hue] == name) & (own.weight == 0)][column].mean()
            found = differences[column].dropna(subset="difference")
            found = found[(found.task == task) & (found[hue] == name)]
            reach = np.abs(found[["low", "high"]].sub(found.difference, axis=0)).T
            if len(found):
                means = start + found.difference
                axis.errorbar(found.weight + apart[name], means, reach, ls="", capsize=3, **colour)
            axis.axhline(start, lw=0.8, ls="--", **colour)
        if own[column].notna().any():
            low, high = own[column].min(), own[column].max()
            span = max(high - low, 0.02)
            axis.set_ylim(max(low - span, axis.get_ylim()[0]), min(high + span, axis.get_ylim()[1]))
        axis.set_title(str(task))
    name_lines(figure, figure.axes)
    return figure


def _rows_of_panels(
    table: pd.DataFrame, values: dict[str, str], row: str, x: str, labels: dict[str, str], hue: str
) -> Figure:
    """Points with the mean over seeds: a row of panels for each key of ``labels``, its value below them.

    The lines are not named yet: what is drawn later may move the axes.
    """
    figure, axes = panel_axes(len(labels) * len(values), columns=len(values), width=9.0, height=2.8)
    for r, (key, label) in enumerate(labels.items()):
        for v, (column, ylabel) in enumerate(values.items()):
            axis = axes[r * len(values) + v]
            for i, (name, rows) in enumerate(table[table[row] == key].groupby(hue, sort=False)):
                mean = rows.groupby(x)[column].mean()
                own = look(name, i)
                axis.plot(mean.index, mean, color=own["color"], ls=own["ls"], label=name)
                axis.plot(rows[x], rows[column], ms=4, **own | {"ls": ""})
            axis.set(xlabel=label, ylabel=ylabel)
    return figure


def batch_bias(table: pd.DataFrame) -> Figure:
    """CKA within batches against their size, beside that of the whole sample, one panel a ``pair`` of layers."""
    pairs = list(dict.fromkeys(table["pair"]))
    figure, axes = panel_axes(len(pairs))
    for axis, pair in zip(axes, pairs, strict=True):
        rows = table[table["pair"] == pair]
        for i, name in enumerate(("mean of ratios", "ratio of means")):
            axis.plot(rows.batch, rows[name], color=COLOURS[i], marker=MARKERS[i], ms=4, label=name)
        axis.axhline(rows["all"].iloc[0], color="0.3", lw=1, ls="--", label="whole sample")
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(title=str(pair), xlabel="samples in a batch", ylabel=MEASURES["unbiased_cka"].title)
    legend_above(figure, axes[0])
    return figure
