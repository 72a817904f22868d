"""Between and within architectures: against brute force, regression, and their promised error rates."""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from made_runs import runs_of, uneven
from scipy import stats

from vilbert_lib.stats import between, between_without, within


@pytest.mark.parametrize("seed", range(4))
def test_an_exact_p_equals_brute_force(seed):
    table = runs_of(4, 3, 0.6, np.random.default_rng(seed), slope=0.5)
    means = table.groupby("architecture")[["x", "y"]].mean()
    r = np.corrcoef(means.x, means.y)[0, 1]
    reached = [
        abs(np.corrcoef(means.x, means.y.to_numpy()[list(order)])[0, 1]) >= abs(r) - 1e-12
        for order in permutations(range(4))
    ]
    found = between(table, "x", "y")
    assert found["r"] == pytest.approx(r)
    assert found["p"] == pytest.approx(np.mean(reached))
    assert found["clusters"] == 4


def test_the_interval_between_is_that_of_as_many_pairs_as_there_are_architectures():
    table = runs_of(5, 3, 0.6, np.random.default_rng(0), slope=0.5)
    means = table.groupby("architecture")[["x", "y"]].mean()
    expected = stats.pearsonr(means.x, means.y).confidence_interval()
    found = between(table, "x", "y")
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    few = between(table[table.architecture < "a3"], "x", "y")
    assert np.isnan(few["low"]) and np.isnan(few["high"])


def test_beyond_seven_architectures_permutations_are_drawn():
    table = runs_of(9, 2, 0.6, np.random.default_rng(0), slope=3)
    found = between(table, "x", "y", draws=999)
    assert found == between(table, "x", "y", draws=999)
    assert found["p"] >= 1 / 1000 and not found["exact"]
    assert found["p"] == pytest.approx(between(table, "x", "y", draws=5000, seed=1)["p"], abs=0.01)


# Within architectures


@pytest.mark.parametrize("table", [uneven(0), uneven(1), runs_of(5, 3, 0.6, np.random.default_rng(0), slope=1)])
def test_within_is_a_regression_with_a_constant_for_each_architecture(table):
    fit = smf.ols("y ~ x + C(architecture)", table).fit()
    found = within(table, "x", "y", draws=10)
    t = fit.tvalues["x"]
    assert found["r"] == pytest.approx(t / np.sqrt(t**2 + fit.df_resid))
    assert (found["p"], found["dof"]) == (pytest.approx(fit.pvalues["x"]), fit.df_resid)
    assert (found["n"], found["clusters"]) == (len(table), table.architecture.nunique())


@pytest.mark.parametrize("seed", range(3))
def test_its_exact_p_equals_brute_force(seed):
    table = uneven(seed).query("architecture != 'a'").sort_values("architecture", kind="stable")
    x = (table.x - table.groupby("architecture").x.transform("mean")).to_numpy()
    y = (table.y - table.groupby("architecture").y.transform("mean")).to_numpy()
    blocks = [np.flatnonzero(table.architecture == name) for name in "bcd"]
    sums = [x @ y[np.concatenate(order)] for order in product(*(map(list, permutations(b)) for b in blocks))]
    found = within(table, "x", "y")
    assert found["exact"] and len(sums) == 36
    assert found["p_permutation"] == pytest.approx(np.mean(np.abs(sums) >= abs(x @ y) - 1e-12))


def test_what_architectures_have_in_common_is_nothing_within_them():
    """Between: a perfect line. Within: the other way."""
    table = pd.DataFrame({"architecture": np.repeat(list("abcd"), 3), "x": np.tile([-1.0, 0, 1], 4)})
    level = 10.0 * np.repeat(np.arange(4), 3)
    table = table.assign(y=level - table.x, x=level + table.x)
    assert between(table, "x", "y")["r"] == pytest.approx(1)
    found = within(table, "x", "y")
    assert (found["r"], found["p"], found["low"], found["high"]) == pytest.approx((-1, 0, -1, -1), abs=1e-6)
    shifted = table.assign(y=table.y + table.architecture.map({"a": 5, "b": -100, "c": 7, "d": 0}))
    assert within(shifted, "x", "y")["r"] == pytest.approx(-1)


def test_too_few_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="5 rows of 3 values of architecture leave dof 1"):
        within(uneven().query("architecture != 'a'").groupby("architecture").head(2), "x", "y")


# Leaving one out


def test_what_hangs_on_a_single_architecture_is_told_first():
    table = runs_of(6, 3, 0.6, np.random.default_rng(1))
    far = table.architecture == "a3"
    table.loc[far, ["x", "y"]] += 20
    found = between_without(table, "x", "y")
    assert between(table, "x", "y")["r"] > 0.95 and found.left_out[0] == "a3"
    assert found.set_index("left_out").r.to_dict() == {
        name: between(table[table.architecture != name], "x", "y")["r"] for name in table.architecture.unique()
    }
    with pytest.raises(ValueError, match="3 values of architecture: at least 4"):
        between_without(table[table.architecture < "a3"], "x", "y")
