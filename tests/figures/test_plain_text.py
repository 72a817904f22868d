"""A ``$`` in names of tasks, labels and texts is drawn as it stands; axes keep readable ticks."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from vilbert_lib import figures

HOSTILE = r"$\frac{$ costs $5 & a_b^"


@pytest.fixture
def table():
    return pd.DataFrame(
        {"task": HOSTILE, "name": name, "x": x, "y": x / 10, "low": 0.0, "high": 9.0, "architecture": name}
        for name in (HOSTILE, "$a$")
        for x in (8, 16, 32)
    )


def drawn(figure):
    """All texts of a figure that was drawn."""
    figure.canvas.draw()
    texts = figure.findobj(matplotlib.text.Text)
    return {
        shown for shown, is_formula in (text._preprocess_math(text.get_text()) for text in texts) if not is_formula
    }


@pytest.mark.parametrize("styled", [True, False])
def test_a_dollar_in_names_is_drawn_as_it_stands(table, styled):
    labels = {"x": HOSTILE, "y": "y", "name": HOSTILE}
    image = np.zeros((4, 4, 3), np.uint8)
    with matplotlib.rc_context():
        if styled:
            figures.use_style()
        made = [
            figures.lines(table, x="x", y="y", hue="name", panel="task", labels=labels, log_x=True),
            figures.performance(table, "y"),
            figures.intervals(table, value="y", low="low", high="high", label="name", panel="task", xlabel="x"),
            figures.sample_grid([image], [HOSTILE], columns=1),
            figures.overlays(image, {HOSTILE: {HOSTILE: np.ones(4)}}),
            figures.explanation(image, np.ones(4), [HOSTILE], np.ones(1), HOSTILE),
        ]
        for figure in made:
            of_data = [text for text in drawn(figures.caption(figure, HOSTILE)) if "frac" in text]
            assert HOSTILE in of_data and not any(r"\$" in text for text in of_data)
    assert matplotlib.rcParams["text.parse_math"], "other figures of the kernel keep their formulas"


def test_ticks_of_a_logarithmic_axis_are_plain_numbers(table):
    labels = {"x": "x", "y": "y", "name": "name"}
    figure = figures.lines(table, x="x", y="y", hue="name", panel="task", labels=labels, log_x=True)
    assert {"8", "16", "32"} <= drawn(figure)
