"""Points: runs by alignment and performance, estimates with their intervals."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vilbert_lib.figures.style import COLOURS, legend_above, look, panel_axes
from vilbert_lib.metrics import MEASURES

MOST_WITH_A_LOOK = 12  # architectures that differ in colour and marker


def alignment_against(table: pd.DataFrame, targets: dict[str, str], measures: list[str]) -> Figure:
    """Each measure (columns) against each target (rows); a point is a run, a marker an architecture.

    ``targets`` maps columns of ``table`` to axis labels; the measures are columns too. More architectures than
    have a look of their own are drawn alike.
    """
    known = table.architecture.nunique() <= MOST_WITH_A_LOOK
    rows, columns = len(targets), len(measures)
    size = {"width": min(9.5, 1 + 2.1 * columns), "height": 2.2 + 0.6 / rows}
    figure, panels = panel_axes(rows * columns, columns, **size, sharex="col", sharey="row")
    axes = np.reshape(panels, (rows, columns))
    for row, (target, label) in zip(axes, targets.items(), strict=True):
        for axis, measure in zip(row, measures, strict=True):
            for i, (name, group) in enumerate(table.groupby("architecture", sort=False)):
                own = look(name, i) if known else {"color": COLOURS[0], "marker": "o", "alpha": 0.5}
                axis.plot(group[measure], group[target], ms=5, label=name, **own | {"ls": ""})
            axis.tick_params(labelsize=8)
        row[0].set_ylabel(label)
    for axis, measure in zip(axes[-1], measures, strict=True):
        axis.set_xlabel(MEASURES[measure].title)
    if known:
        legend_above(figure, axes[0, 0])
    return figure


def intervals(
    table: pd.DataFrame,
    *,
    value: str,
    low: str,
    high: str,
    label: str,
    panel: str,
    xlabel: str,
    zero: bool = True,
    columns: int = 3,
) -> Figure:
    """Points with intervals, one row a ``label``, one panel a value of ``panel``; ``zero`` draws a line at 0."""
    names = list(dict.fromkeys(table[panel]))
    figure, axes = panel_axes(len(names), columns, height=0.6 + 0.32 * table[label].nunique(), sharey=True)
    for axis, name in zip(axes, names, strict=True):
        rows = table[table[panel] == name][::-1]
        error = np.stack([rows[value] - rows[low], rows[high] - rows[value]])
        axis.errorbar(rows[value], rows[label], xerr=error, fmt="o", color=COLOURS[0], ms=4, lw=1.2)
        if zero:
            axis.axvline(0, color="0.4", lw=0.8)
        else:
            axis.xaxis.set_major_locator(MaxNLocator(5))
            axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.set(title=str(name), xlabel=xlabel)
    return figure


def performance(table: pd.DataFrame, value: str, *, levels: dict[str, float] | None = None) -> Figure:
    """``value`` of every run by architecture, one panel a task: a point is a run, a bar the mean over seeds.

    ``levels`` gives each task the best possible value, a dashed line.
    """
    tasks = list(dict.fromkeys(table.task))
    figure, axes = panel_axes(len(tasks), columns=2, height=0.7 + 0.24 * table.architecture.nunique(), sharey=True)
    for axis, task in zip(axes, tasks, strict=True):
        rows = table[table.task == task][::-1]
        means = rows.groupby("architecture", sort=False)[value].mean()
        for i, (name, own) in enumerate(rows.groupby("architecture", sort=False)):
            colour = look(name, i)["color"]
            axis.plot([means[name]], [name], ls="", marker="|", color=colour, ms=14, mew=2)
            axis.plot(own[value], own.architecture, ls="", marker="o", color=colour, ms=4, alpha=0.6)
        if task in (levels or {}):
            axis.axvline(levels[task], color="0.3", lw=1, ls="--")
        axis.set(title=task, xlabel=MEASURES[value].title if value in MEASURES else value.replace("_", " "))
    return figure


def scores_by_place(means: pd.DataFrame, value: str, levels: dict[str, float], label: str) -> Figure:
    """``value`` of every placement against where its blocks stand on average, one panel a task.

    Parameters
    ----------
    means : pandas.DataFrame
        A row a task and placement: ``task``, ``value``, and ``blocks``, ``text_centre``, ``vision_centre``.
    value : str
        Column on the vertical axis.
    levels : dict
        For each task the mean of the models without blocks, a dashed line.
    label : str
        Of the vertical axis.
    """
    tasks = list(dict.fromkeys(means.task))
    figure, axes = panel_axes(len(tasks), columns=3, height=3.0)
    for axis, task in zip(axes, tasks, strict=True):
        rows = means[means.task == task]
        centre = (rows.text_centre + rows.vision_centre) / 2
        points = axis.scatter(centre, rows[value], c=rows.blocks, cmap="cividis", s=24, vmin=1, vmax=6)
        if task in levels:
            axis.axhline(levels[task], color="0.3", lw=1, ls="--")
        axis.set(title=task, xlabel="mean layer of the blocks, both streams", ylabel=label)
    figure.colorbar(points, ax=axes, label="number of blocks", shrink=0.8)
    return figure


def response_surfaces(means: pd.DataFrame, surfaces: dict[str, pd.DataFrame], value: str, label: str) -> Figure:
    """``value`` over the centres of the blocks in both streams, one panel a task.

    ``surfaces`` has for each task fitted values, by the centre in the text stream (index) and in the image stream
    (columns), which are drawn as contours; an empty one is left out. Points are placements, in the same colours.
    """
    tasks = list(surfaces)
    figure, axes = panel_axes(len(tasks), columns=2, width=9.0 if len(tasks) > 1 else 5.5, height=3.8)
    for axis, (task, surface) in zip(axes, surfaces.items(), strict=True):
        rows = means[means.task == task]
        low, high = rows[value].min(), rows[value].max()
        limits = {"vmin": low, "vmax": high, "cmap": "cividis"}
        if len(surface):
            axis.contourf(surface.columns, surface.index, surface.clip(low, high), 12, **limits)
        own = {"c": rows[value], "s": 30, "ec": "white", "lw": 0.7} | limits
        points = axis.scatter(rows.vision_centre, rows.text_centre, **own)
        axis.set(title=task, xlabel="mean layer of the blocks, image stream", ylabel="the same, text stream")
        figure.colorbar(points, ax=axis, label=label, shrink=0.9)
    return figure
