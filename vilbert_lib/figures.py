"""Frames in, figures out: nothing is computed here but what is drawn.

Colours are Okabe and Ito's, told apart by colour-blind readers; heat maps use ``cividis``.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from vilbert_lib.metrics import MEASURES

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]


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
    figure.text(0.5, -0.02, text, ha="center", va="top", fontsize=8.5, color="0.35", wrap=True)
    return figure


def _panels(count: int, columns: int = 3, width: float = 9.0, height: float = 2.6, **shared):
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height * rows), squeeze=False, layout="constrained", **shared
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def learning_curves(history: pd.DataFrame, panels: dict[str, dict[str, str]], *, hue: str = "") -> Figure:
    """Figures against epochs, mean over seeds with their range.

    ``panels`` maps each panel's axis label to its lines, ``{column: label}``; with ``hue`` each
    value of that column is a colour of its own and the lines of a panel differ in dashes.
    """
    figure, axes = _panels(len(panels))
    groups = list(history.groupby(hue, sort=False)) if hue else [("", history)]
    for axis, (ylabel, lines) in zip(axes, panels.items(), strict=True):
        for g, (group, rows) in enumerate(groups):
            for i, (column, label) in enumerate(lines.items()):
                colour = COLOURS[(g if hue else i) % len(COLOURS)]
                by_epoch = rows.dropna(subset=[column]).groupby("epoch")[column]
                mean, low, high = by_epoch.mean(), by_epoch.min(), by_epoch.max()
                name = ", ".join(part for part in (str(group), label) if part)
                axis.plot(mean.index, mean, color=colour, ls=["-", "--", ":"][i] if hue else "-", label=name)
                axis.fill_between(mean.index, low, high, color=colour, alpha=0.15, lw=0)
        axis.set(xlabel="epoch", ylabel=ylabel)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(fontsize=8)
    return figure


def reference_lines(figure: Figure, panel: int, levels: dict[str, float]) -> Figure:
    """Horizontal lines with names, such as the floor and the best possible value."""
    axis = figure.axes[panel]
    for style, (name, level) in zip((":", "--", "-.", (0, (1, 4))), levels.items(), strict=False):
        axis.axhline(level, color="0.3", lw=1, ls=style)
        axis.annotate(name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7.5)
    return figure


def layer_profiles(alignment: pd.DataFrame, *, hue: str = "architecture", marks: dict | None = None) -> Figure:
    """Alignment of the text and vision layers of equal number against the layer.

    One panel a measure, one line a value of ``hue``: mean over seeds with their range. ``marks``
    gives for each value of ``hue`` the layers before which the streams meet.
    """
    rows = alignment[(alignment.kind == "tv") & (alignment.text_layer == alignment.vision_layer)]
    measures = list(dict.fromkeys(rows.measure))
    figure, axes = _panels(len(measures))
    for axis, measure in zip(axes, measures, strict=True):
        of_measure = rows[rows.measure == measure]
        for i, (name, group) in enumerate(of_measure.groupby(hue, sort=False)):
            by_layer = group.groupby("text_layer").value
            mean = by_layer.mean()
            axis.plot(mean.index, mean, color=COLOURS[i % len(COLOURS)], label=str(name), lw=1.4)
            axis.fill_between(
                mean.index, by_layer.min(), by_layer.max(), color=COLOURS[i % len(COLOURS)], alpha=0.15, lw=0
            )
            meets = [layer for layer in (marks or {}).get(name, ()) if layer in mean.index]
            axis.plot(
                meets,
                mean.loc[meets],
                ls="",
                marker=MARKERS[i % len(MARKERS)],
                color=COLOURS[i % len(COLOURS)],
                ms=4.5,
            )
        axis.set(xlabel="layer", ylabel=MEASURES[measure].title)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)), fontsize=8.5)
    return figure


def layer_heatmaps(alignment: pd.DataFrame, measure: str, *, panel: str = "architecture") -> Figure:
    """Alignment of every text layer with every vision layer, one panel a value of ``panel``."""
    rows = alignment[(alignment.kind == "tv") & (alignment.measure == measure)]
    names = list(dict.fromkeys(rows[panel]))
    low, high = rows.value.min(), rows.value.max()
    figure, axes = _panels(len(names), height=2.9)
    for axis, name in zip(axes, names, strict=True):
        table = rows[rows[panel] == name].pivot_table(index="text_layer", columns="vision_layer", values="value")
        image = axis.imshow(table, cmap="cividis", vmin=low, vmax=high, origin="lower")
        axis.set(title=str(name), xlabel="vision layer", ylabel="text layer")
        axis.grid(False)
    figure.colorbar(image, ax=axes, label=MEASURES[measure].title, shrink=0.8)
    return figure


def pair_heatmaps(table: pd.DataFrame) -> Figure:
    """Values of every pair of layers, columns ``x`` against columns ``y``, one panel a measure."""
    measures = list(dict.fromkeys(table.measure))
    figure, axes = _panels(len(measures), height=3.2)
    for axis, name in zip(axes, measures, strict=True):
        rows = table[table.measure == name]
        values = rows.pivot(index="x", columns="y", values="value").loc[rows.x.unique(), rows.y.unique()]
        image = axis.imshow(values, cmap="cividis", aspect="auto")
        step = max(1, -(-max(values.shape) // 12))  # more names than that would overlap
        axis.set_xticks(range(0, values.shape[1], step), values.columns[::step], rotation=90, fontsize=8)
        axis.set_yticks(range(0, values.shape[0], step), values.index[::step], fontsize=8)
        axis.set(title=MEASURES[name].title, xlabel="layer (y)", ylabel="layer (x)")
        axis.grid(False)
        figure.colorbar(image, ax=axis, shrink=0.8)
    return figure


def alignment_against(table: pd.DataFrame, targets: dict[str, str], measures: list[str]) -> Figure:
    """Each measure (columns) against each target (rows); a point is a run, a marker an architecture.

    ``targets`` maps columns of ``table`` to axis labels; the measures are columns too.
    """
    figure, axes = plt.subplots(
        len(targets),
        len(measures),
        figsize=(min(9.5, 1 + 2.1 * len(measures)), 0.6 + 2.2 * len(targets)),
        squeeze=False,
        sharex="col",
        sharey="row",
        layout="constrained",
    )
    for row, (target, label) in zip(axes, targets.items(), strict=True):
        for axis, measure in zip(row, measures, strict=True):
            for i, (name, group) in enumerate(table.groupby("architecture", sort=False)):
                axis.plot(
                    group[measure],
                    group[target],
                    ls="",
                    marker=MARKERS[i % len(MARKERS)],
                    color=COLOURS[i % len(COLOURS)],
                    ms=5,
                    label=name,
                )
            axis.tick_params(labelsize=8)
        row[0].set_ylabel(label)
    for axis, measure in zip(axes[-1], measures, strict=True):
        axis.set_xlabel(MEASURES[measure].title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)), fontsize=8.5)
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
    figure, axes = _panels(len(names), columns, height=0.6 + 0.32 * table[label].nunique(), sharey=True)
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


def shade_layers(figure: Figure, layers: dict[str, list[int]]) -> Figure:
    """Grey behind the layers that have a block, by title of the panel."""
    for axis in figure.axes:
        for layer in layers.get(axis.get_title(), ()):
            axis.axvspan(layer - 0.5, layer + 0.5, color="0.5", alpha=0.15, lw=0)
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
    legend_above: bool = False,
) -> Figure:
    """``y`` against ``x``, one colour a value of ``hue``, one panel a value of ``panel``.

    Several rows of one x are drawn as their mean with their range.
    """
    names = list(dict.fromkeys(table[panel]))
    figure, axes = _panels(len(names), columns)
    for axis, name in zip(axes, names, strict=True):
        for i, (group, rows) in enumerate(table[table[panel] == name].groupby(hue, sort=False)):
            by_x = rows.groupby(x)[y]
            mean = by_x.mean()
            axis.plot(
                mean.index,
                mean,
                marker=MARKERS[i % len(MARKERS)],
                ms=4,
                color=COLOURS[i % len(COLOURS)],
                label=str(group),
            )
            axis.fill_between(
                mean.index, by_x.min(), by_x.max(), color=COLOURS[i % len(COLOURS)], alpha=0.15, lw=0
            )
        if log_x:
            axis.set_xscale("log", base=2)
        elif pd.api.types.is_integer_dtype(table[x]):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(title=str(name), xlabel=labels[x], ylabel=labels[y])
    if legend_above:
        handles, said = axes[0].get_legend_handles_labels()
        figure.legend(handles, said, loc="outside upper center", ncols=len(said), fontsize=8.5)
    else:
        axes[0].legend(title=labels[hue], fontsize=8, title_fontsize=8)
    return figure


def bands(
    table: pd.DataFrame, *, x: str, y: str, panel: str, xlabel: str, ylabel: str, level: float | None = None
) -> Figure:
    """``y`` against ``x`` on a logarithmic axis with its interval (``low``, ``high``).

    One panel a value of ``panel``; ``level`` draws a dashed line.
    """
    names = list(dict.fromkeys(table[panel]))
    figure, axes = _panels(len(names), sharex=True, sharey=True)
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


def samples(images: list[np.ndarray], titles: list[str]) -> Figure:
    """A row of images (H, W, 3) uint8 with the text that belongs to each."""
    figure, axes = _panels(len(images), columns=4, height=2.6)
    for axis, image, title in zip(axes, images, titles, strict=True):
        axis.imshow(image)
        axis.set_title(title, fontsize=8.5, wrap=True)
        axis.set_axis_off()
    return figure


def sample_grid(images: list[np.ndarray], texts: list[str], *, columns: int = 4) -> Figure:
    """Images (H, W, 3) uint8 in rows of ``columns``, each with its text above, whose long lines are broken."""
    broken = [
        [part for line in text.splitlines() for part in textwrap.wrap(line, 108 // columns)] for text in texts
    ]
    height = 9 / columns + 0.17 * max(map(len, broken))
    figure, axes = _panels(len(images), columns=columns, height=height)
    for axis, image, text in zip(axes, images, map("\n".join, broken), strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(text, fontsize=8.5)
        axis.set_axis_off()
    return figure


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
