"""Verdicts follow the interval, the direction and the margin, and rows hold what the book shows."""

import numpy as np
import pytest

from vilbert_lib.stats.findings import COLUMNS, finding, table, verdict

NAN = float("nan")


@pytest.mark.parametrize(
    ("low", "high", "direction", "margin", "wanted"),
    [
        (0.1, 0.3, "positive", 0.0, "supported"),
        (-0.3, -0.1, "positive", 0.0, "contradicted"),
        (-0.1, 0.3, "positive", 0.0, "inconclusive"),
        (-0.1, 0.01, "positive", 0.02, "contradicted"),  # an effect of interest is excluded
        (-0.1, 0.03, "positive", 0.02, "inconclusive"),
        (0.005, 0.01, "positive", 0.02, "supported"),  # small, and positive all the same
        (-0.3, -0.1, "negative", 0.0, "supported"),
        (-0.01, 0.1, "negative", 0.02, "contradicted"),
        (-0.3, -0.1, "nonzero", 0.02, "supported"),
        (-0.01, 0.01, "nonzero", 0.02, "contradicted"),
        (-0.01, 0.01, "nonzero", 0.0, "inconclusive"),
        (-0.01, 0.03, "nonzero", 0.02, "inconclusive"),
        (-0.01, 0.01, "zero", 0.02, "supported"),
        (0.03, 0.05, "zero", 0.02, "contradicted"),
        (0.01, 0.05, "zero", 0.02, "inconclusive"),
        (0.0, 0.0, "zero", 0.0, "supported"),
        (NAN, NAN, "positive", 0.0, "inconclusive"),
        (NAN, NAN, "negative", 0.5, "inconclusive"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, direction, margin, wanted):
    assert verdict(low, high, direction, margin) == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.3, 0.1), "low 0.3, high 0.1"),
        ((0, 1, "nonzero", -1), "margin -1"),
        ((0, 1, "up"), "unknown direction 'up'"),
    ],
)
def test_what_has_no_verdict_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        verdict(*arguments)


def test_a_finding_tells_its_estimate_in_its_sentence():
    row = finding(
        "Higher?", "Accuracy changes by {}.", 3.21, 1.0, 5.4, direction="positive", unit="points", digits=1
    )
    assert row["sentence"] == "Accuracy changes by +3.2 [+1.0, +5.4] points." and row["verdict"] == "supported"
    unknown = finding("Higher?", "Accuracy changes by {}.")
    assert unknown["sentence"] == "Not estimated." and unknown["verdict"] == "inconclusive"
    assert finding("Checked?", "All hold.", decided="supported")["verdict"] == "supported"


def test_a_table_names_its_study():
    found = table("04_correlation", [finding("a", "b {}", 1.0), finding("c", "d {}", np.nan)])
    assert list(found.columns) == COLUMNS and set(found.study) == {"04_correlation"} and len(found) == 2
    assert list(table("empty", []).columns) == COLUMNS
