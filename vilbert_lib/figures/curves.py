"""Lines with bands: figures against epochs, or one column of a table against another."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vilbert_lib.figures.style import COLOURS, LINES, MOST_IN_LEGEND, line_with_range, look, name_lines, panel_axes


def learning_curves(history: pd.DataFrame, panels: dict[str, dict[str, str]], *, hue: str = "") -> Figure:
    """Figures against epochs, mean over seeds with their range.

    ``panels`` maps each panel's axis label to its lines, ``{column: label}``; with ``hue`` each
    value of that column is a colour of its own, the lines of a panel differ in dashes, and one legend
    stands for all panels.
    """
    figure, axes = panel_axes(len(panels))
    groups = list(history.groupby(hue, sort=False)) if hue else [("", history)]
    for axis, (ylabel, lines) in zip(axes, panels.items(), strict=True):
        for g, (group, rows) in enumerate(groups):
            for i, (column, label) in enumerate(lines.items()):
                own = look(group, g) if hue else look(column, i)
                dashes = LINES[i % len(LINES)] if len(lines) > 1 else own["ls"]
                by_epoch = rows.dropna(subset=[column]).groupby("epoch")[column]
                name = ", ".join(part for part in (str(group), label) if part)
                line_with_range(axis, by_epoch, own["color"], ls=dashes if hue else "-", label=name)
        axis.set(xlabel="epoch", ylabel=ylabel)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not hue:
            axis.legend(fontsize=8)
    if hue:
        name_lines(figure, axes)
    return figure


def reference_lines(figure: Figure, panel: int, levels: dict[str, float]) -> Figure:
    """Horizontal lines with names, such as the floor and the best possible value."""
    axis = figure.axes[panel]
    for style, (name, level) in zip((":", "--", "-.", (0, (1, 4))), levels.items(), strict=False):
        axis.axhline(level, color="0.3", lw=1, ls=style)
        axis.annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7.5)
    return figure


def lines(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str,
    panel: str,
    labels: dict[str, str],
    log_x: bool = False,
    columns: int = 3,
) -> Figure:
    """``y`` against ``x``, one colour a value of ``hue``, one panel a value of ``panel``.

    Several rows of one x are drawn as their mean with their range.
    """
    names = list(dict.fromkeys(table[panel]))
    groups = list(dict.fromkeys(table[hue]))
    figure, axes = panel_axes(len(names), min(columns, 2) if len(groups) > MOST_IN_LEGEND else columns)
    for axis, name in zip(axes, names, strict=True):
        for group, rows in table[table[panel] == name].groupby(hue, sort=False):
            own = look(group, groups.index(group))
            line_with_range(axis, rows.groupby(x)[y], own.pop("color"), ms=4, label=str(group), **own)
        if log_x:
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
        elif pd.api.types.is_integer_dtype(table[x]):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(title=str(name), xlabel=labels[x], ylabel=labels[y])
    name_lines(figure, axes, labels[hue])
    return figure


def shade_layers(figure: Figure, layers: dict[str, list[int]]) -> Figure:
    """Grey behind the layers that have a block, by title of the panel."""
    for axis in figure.axes:
        for layer in layers.get(axis.get_title(), ()):
            axis.axvspan(layer - 0.5, layer + 0.5, color="0.5", alpha=0.15, lw=0)
    return figure


def bands(
    table: pd.DataFrame, *, x: str, y: str, panel: str, xlabel: str, ylabel: str, level: float | None = None
) -> Figure:
    """``y`` against ``x`` on a logarithmic axis with its interval (``low``, ``high``).

    One panel a value of ``panel``; ``level`` draws a dashed line.
    """
    names = list(dict.fromkeys(table[panel]))
    figure, axes = panel_axes(len(names), sharex=True, sharey=True)
    for axis, name in zip(axes, names, strict=True):
        rows = table[table[panel] == name].sort_values(x)
        axis.plot(rows[x], rows[y], marker="o", ms=4, color=COLOURS[0])
        axis.fill_between(rows[x], rows.low, rows.high, color=COLOURS[0], alpha=0.2, lw=0)
        if level is not None:
            axis.axhline(level, color="0.3", lw=1, ls="--")
        axis.set_xscale("log", base=2)
        axis.set(title=str(name), xlabel=xlabel)
        axis.set_xticks(sorted(table[x].unique()), [f"{value:g}" for value in sorted(table[x].unique())])
        axis.tick_params(labelbottom=True, labelsize=8.5)
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel(ylabel)
    return figure


def profile_with_band(table: pd.DataFrame, *, label: str, xlabel: str) -> Figure:
    """``r`` against ``layer`` with its band (``low``, ``high``), one panel a ``task``, and a line at zero."""
    tasks = list(dict.fromkeys(table.task))
    figure, axes = panel_axes(len(tasks), sharey=True)
    for axis, task in zip(axes, tasks, strict=True):
        rows = table[table.task == task]
        axis.plot(rows.layer, rows.r, marker="o", ms=4, color=COLOURS[0])
        axis.fill_between(rows.layer, rows.low, rows.high, color=COLOURS[0], alpha=0.2, lw=0)
        axis.axhline(0, color="0.4", lw=0.8)
        axis.set(title=task, xlabel=xlabel, ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
