"""Alignment of layers: along the streams, and of every pair as a heat map."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vilbert_lib.figures.style import MOST_IN_LEGEND, heatmap, line_with_range, look, name_lines, panel_axes
from vilbert_lib.metrics import MEASURES


def layer_profiles(alignment: pd.DataFrame, *, hue: str = "architecture", marks: dict | None = None) -> Figure:
    """Alignment of the text and vision layers at the same relative depth, against the layer.

    Parameters
    ----------
    alignment : pandas.DataFrame
        A table of :func:`vilbert_lib.runs.alignments`. Rows whose ``paired`` is False are not drawn. A run
        with a constant layer (``value`` NaN) is left out of the mean at that layer; a line has a gap where no
        run is left.
    hue : str
        Column with one line for each value: the mean over its runs, with their range where there are at most six
        lines.
    marks : dict, optional
        For each value of ``hue`` the text layers before which a co-attention block stands.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a measure. Where the streams differ in depth the axis counts the layers of the deeper one.
    """
    rows = alignment[alignment.paired]
    layers = rows[["text_layer", "vision_layer"]]
    rows = rows.assign(layer=layers.max(axis=1))
    xlabel, (text, vision) = "layer", layers.max() + 1
    if text != vision:
        xlabel = f"layer of the deeper stream\n({text} text, {vision} vision layers, by depth)"
    measures = list(dict.fromkeys(rows.measure))
    many = rows[hue].nunique() > MOST_IN_LEGEND
    figure, axes = panel_axes(len(measures), columns=2 if many else 3, height=3.0 if many else 2.6)
    band = rows[hue].nunique() <= 6
    for axis, measure in zip(axes, measures, strict=True):
        of_measure = rows[rows.measure == measure]
        for i, (name, group) in enumerate(of_measure.groupby(hue, sort=False)):
            own = look(name, i)
            by_layer = group.groupby("layer").value
            first = group.groupby("text_layer").layer.min()  # of the layers that a text layer is paired with
            layers = sorted(group.layer.unique())
            meets = [layers.index(first[text]) for text in (marks or {}).get(name, ()) if text in first]
            marker = {"marker": own["marker"], "markevery": meets, "ms": 4.5} if meets else {}
            line = {"label": str(name), "lw": 1.4, "ls": own["ls"]} | marker
            line_with_range(axis, by_layer, own["color"], band=band, **line)
        axis.set(xlabel=xlabel, ylabel=MEASURES[measure].title)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    name_lines(figure, axes)
    return figure


def layer_heatmaps(alignment: pd.DataFrame, measure: str, *, panel: str = "architecture") -> Figure:
    """Alignment of every text layer with every vision layer, one panel a value of ``panel``.

    A layer without a value (NaN, a constant layer) keeps its place and is left blank.
    """
    rows = alignment[(alignment.kind == "tv") & (alignment.measure == measure)]
    names = list(dict.fromkeys(rows[panel]))
    tables = [_mean_table(rows[rows[panel] == name], "text_layer", "vision_layer") for name in names]
    labels = [{"title": str(name), "xlabel": "vision layer", "ylabel": "text layer"} for name in names]
    limits = rows.value.min(), rows.value.max()
    return _heatmaps(tables, labels, limits, measure, height=2.9)


def stream_heatmaps(moments: dict[str, pd.DataFrame], measure: str, architecture: str, task: str) -> Figure:
    """Layers against layers within the text stream, within the vision stream and between the two.

    One row of panels for each of ``moments`` (name: alignments), mean over seeds. The two streams'
    own halves are symmetric, and a layer's alignment with itself is left empty.
    """
    titles = {"tt": ("text", "text"), "vv": ("vision", "vision"), "tv": ("text", "vision")}
    tables = {}
    for name, rows in moments.items():
        rows = rows[(rows.measure == measure) & (rows.architecture == architecture) & (rows.task == task)]
        for kind in titles:
            pairs = rows[rows.kind == kind]
            numbers = pd.DataFrame({"x": pairs.x.str[1:].astype(int), "y": pairs.y.str[1:].astype(int)})
            numbers["value"] = pairs.value
            if kind != "tv":
                numbers = pd.concat([numbers, numbers.rename(columns={"x": "y", "y": "x"})])
            tables[name, kind] = _mean_table(numbers, "x", "y")
    labels = [
        {"title": name, "xlabel": f"{titles[kind][1]} layer", "ylabel": f"{titles[kind][0]} layer"}
        for name, kind in tables
    ]
    limits = min(t.min().min() for t in tables.values()), max(t.max().max() for t in tables.values())
    return _heatmaps(list(tables.values()), labels, limits, measure, height=2.7)


def _heatmaps(
    tables: list[pd.DataFrame],
    labels: list[dict[str, str]],
    limits: tuple[float, float],
    measure: str,
    height: float,
) -> Figure:
    """A panel a table, all of one scale of colours, which ends at ``limits``."""
    figure, axes = panel_axes(len(tables), height=height)
    for axis, table, texts in zip(axes, tables, labels, strict=True):
        image = heatmap(axis, table, vmin=limits[0], vmax=limits[1])
        axis.set(**texts)
    figure.colorbar(image, ax=axes, label=MEASURES[measure].title, shrink=0.8)
    return figure


def _mean_table(rows: pd.DataFrame, y: str, x: str) -> pd.DataFrame:
    """Mean of ``value``, a row for each ``y`` and a column for each ``x``, where all values are NaN as well."""
    return rows.groupby([y, x]).value.mean().unstack(x)


def pair_heatmaps(table: pd.DataFrame) -> Figure:
    """Values of every pair of layers, columns ``x`` against columns ``y``, one panel a measure."""
    measures = list(dict.fromkeys(table.measure))
    figure, axes = panel_axes(len(measures), height=3.2)
    for axis, name in zip(axes, measures, strict=True):
        rows = table[table.measure == name]
        values = rows.pivot(index="x", columns="y", values="value").loc[rows.x.unique(), rows.y.unique()]
        image = heatmap(axis, values, names=True, most=12, aspect="auto")
        axis.set(title=MEASURES[name].title, xlabel="layer (y)", ylabel="layer (x)")
        figure.colorbar(image, ax=axis, shrink=0.8)
    return figure
