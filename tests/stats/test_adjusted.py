"""Partial correlations and contrasts of unequal cells, beside what a regression and scipy give."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vilbert_lib.stats import NotEstimableError, contrast, partial

GIVEN = ["layers", "blocks"]


@pytest.fixture
def runs():
    """Three tasks, twelve architectures, two seeds: x and y depend on the number of layers, else on nothing."""
    rng = np.random.default_rng(0)
    table = pd.MultiIndex.from_product([range(3), range(12), range(2)], names=["task", "architecture", "seed"])
    table = table.to_frame(index=False)
    table["layers"], table["blocks"] = table.architecture, table.architecture % 4
    noise = rng.standard_normal((2, len(table)))
    return table.assign(x=table.layers + noise[0], y=10 * table.task - table.layers + noise[1])


def test_it_is_the_correlation_of_what_a_regression_leaves(runs):
    cells = runs.groupby(["task", "architecture"])[["x", "y", *GIVEN]].mean()
    z = cells.groupby("task").transform(lambda v: (v - v.mean()) / v.std())
    design = z[GIVEN].to_numpy()
    x, y = (z[c] - design @ np.linalg.lstsq(design, z[c].to_numpy(), rcond=None)[0] for c in "xy")
    found = partial(runs, "x", "y", GIVEN, draws=99)
    assert found["r"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert found["low"] < found["r"] < found["high"]
    assert (found["tasks"], found["clusters"], found["exact"]) == (3, 12, False)


def test_what_only_the_covariate_brings_along_is_gone(runs):
    assert partial(runs, "x", "y", [], draws=999)["p"] < 0.01
    assert partial(runs, "x", "y", GIVEN, draws=999)["p"] > 0.05


def test_an_effect_of_its_own_is_found(runs):
    own = np.random.default_rng(1).standard_normal(12)[runs.architecture]
    found = partial(runs.assign(x=runs.x + 2 * own, y=runs.y + 2 * own), "x", "y", GIVEN, draws=999)
    assert found["low"] > 0 and found["p"] < 0.01


def test_a_covariate_that_is_constant_on_a_task_is_left_out_there(runs):
    varied = runs.assign(layers=runs.layers.where(runs.task != 1, 5))
    assert np.isfinite(partial(varied, "x", "y", GIVEN, draws=9)["r"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t[t.architecture < 5], NotEstimableError, "5 values of architecture.* 6 are needed"),
        (
            lambda t: t.assign(blocks=2 * t.layers + 1),
            NotEstimableError,
            "layers, blocks: the covariates are",
        ),
        (lambda t: t.assign(x=1.0), NotEstimableError, "column x is constant"),
        (lambda t: t.assign(y=np.nan), NotEstimableError, "column y holds NaN"),
        (lambda t: t[(t.task > 0) | (t.architecture > 0)], ValueError, "not every architecture is there"),
        (lambda t: t.drop(columns="blocks"), ValueError, "no column 'blocks'"),
    ],
)
def test_what_cannot_be_estimated_says_why(runs, change, error, message):
    with pytest.raises(error, match=message):
        partial(change(runs), "x", "y", GIVEN)


def test_a_contrast_of_two_cells_is_welchs():
    a, b = np.random.default_rng(0).normal(size=(2, 9)) * [[1], [5]]
    table = pd.DataFrame({"kind": ["a"] * 9 + ["b"] * 9, "v": np.concatenate([a, b])})
    found = contrast(table, "v", {("a",): 1, ("b",): -1}, ["kind"])
    welch = stats.ttest_ind(a, b, equal_var=False)
    low, high = welch.confidence_interval()
    assert (found["estimate"], found["low"], found["high"]) == pytest.approx((a.mean() - b.mean(), low, high))
    assert found["p"] == pytest.approx(welch.pvalue, abs=0.03) and found["n"] == 18


def test_a_contrast_needs_two_runs_of_every_cell_and_scatter():
    table = pd.DataFrame({"kind": list("aab"), "v": [0.0, 1.0, 2.0]})
    with pytest.raises(NotEstimableError, match="b: 1 runs, 2 are needed"):
        contrast(table, "v", {("a",): 1, ("b",): -1}, ["kind"])
    with pytest.raises(NotEstimableError, match="the same for all runs"):
        contrast(table[:2].assign(v=1.0), "v", {("a",): 1}, ["kind"])
