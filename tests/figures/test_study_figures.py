"""The figure of doses and responses: its bars are the intervals of the table, and its panels stay readable."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text

from studies.contrasts import contrasts
from vilbert_lib import figures
from vilbert_lib.config import ARCHITECTURES, BASELINES
from vilbert_lib.figures.style import look


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Ten architectures: more than there are colours."""
    draws = np.random.default_rng(0)
    return pd.DataFrame(
        {"task": "t", "architecture": f"a{i}", "seed": seed, "weight": weight}
        | {"accuracy": 0.5 + 0.1 * weight + 0.05 * draws.random()}
        for i in range(10)
        for seed in (0, 1)
        for weight in (-1.0, 0.0, 1.0)
    )


def test_bars_are_the_intervals_of_the_differences(table):
    found = contrasts(table, "accuracy", of="weight", against=0.0)
    figure = figures.dose_response(table, {"accuracy": "test accuracy"}, {"accuracy": found})
    bars = [c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer)]
    assert len(bars) == 10
    for i, bar in enumerate(bars):
        own = table[table.architecture == f"a{i}"]
        start = own[own.weight == 0].accuracy.mean()
        rows = found[(found.architecture == f"a{i}") & found.difference.notna()]
        drawn = np.array([segment[:, 1] for segment in bar[2][0].get_segments()])
        assert drawn == pytest.approx(start + rows[["low", "high"]].to_numpy())


def test_a_panel_reaches_no_further_beyond_its_points_than_they_reach_from_each_other(table):
    found = contrasts(table, "accuracy", of="weight", against=0.0)
    [axis] = figures.dose_response(table, {"accuracy": "test accuracy"}, {"accuracy": found}).axes
    low, high = axis.get_ylim()
    assert (table.accuracy.min() - low) <= np.ptp(table.accuracy) + 1e-9
    assert (high - table.accuracy.max()) <= np.ptp(table.accuracy) + 1e-9


def test_a_column_without_values_leaves_its_panel_empty_and_the_other_as_it_is(table):
    """Alignment is NaN where a layer is constant."""
    table = table.assign(cka=np.nan)
    found = {name: contrasts(table, name, of="weight", against=0.0) for name in ("cka", "accuracy")}
    empty, full = figures.dose_response(table, {"cka": "CKA", "accuracy": "test accuracy"}, found).axes
    counts = [sum(isinstance(c, ErrorbarContainer) for c in axis.containers) for axis in (empty, full)]
    assert counts == [0, 10]


def test_an_architecture_looks_the_same_in_every_figure_and_unlike_the_others(table):
    known = [*ARCHITECTURES, *BASELINES]
    assert all(look(name, 0) == look(name, 5) for name in known)
    assert len({tuple(look(name, 0).values()) for name in known}) == len(known)
    of_two = table[table.architecture.isin(["a0", "a1"])].replace({"a0": "late_fusion", "a1": "baseline"})
    axes = {"x": "weight", "y": "accuracy", "hue": "architecture", "panel": "task"}
    for order in (of_two, of_two[::-1]):
        drawn = figures.lines(order, labels={"architecture": "", "weight": "", "accuracy": ""}, **axes)
        colours = {line.get_label(): line.get_color() for line in drawn.axes[0].lines}
        assert {name: colours[name] for name in ("late_fusion", "baseline")} == {
            "late_fusion": look("late_fusion", 0)["color"],
            "baseline": "#000000",
        }


def test_many_lines_are_named_at_their_ends_and_no_name_covers_another(table):
    labels = {"weight": "weight", "accuracy": "accuracy", "architecture": "architecture"}
    figure = figures.lines(table, x="weight", y="accuracy", hue="architecture", panel="task", labels=labels)
    [axis] = figure.axes
    figure.canvas.draw()
    boxes = sorted((Text.get_window_extent(text) for text in axis.texts), key=lambda box: box.y0)
    assert not figure.legends and {text.get_text() for text in axis.texts} == set(table.architecture)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    few = table[table.architecture.isin(["a0", "a1"])]
    figure = figures.lines(few, x="weight", y="accuracy", hue="architecture", panel="task", labels=labels)
    assert len(figure.legends) == 1 and not figure.axes[0].texts


def test_panels_of_a_family_have_the_same_rows_whatever_they_hold():
    rows = [("a", "accuracy", 0.9), ("a", "loss", -0.9), ("b", "auroc", 0.1), ("b", "loss", 0.5)]
    table = pd.DataFrame(rows, columns=["task", "target", "r"]).assign(how="Pearson", p=1.0)
    figure = figures.family(table, x="how", y="target", panel="task", value="r", p="p", label="r")
    for axis, held in zip(
        figure.axes, ({"accuracy": 0.9, "loss": -0.9}, {"auroc": 0.1, "loss": 0.5}), strict=False
    ):
        names = [text.get_text() for text in axis.get_yticklabels()] or ["accuracy", "loss", "auroc"]
        drawn = dict(zip(names, axis.images[0].get_array()[:, 0].filled(np.nan), strict=True))
        assert names == ["accuracy", "loss", "auroc"]
        assert {name: value for name, value in drawn.items() if not np.isnan(value)} == held
