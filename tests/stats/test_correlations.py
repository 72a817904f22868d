"""Correlations over all runs, and the difference of two, against slow definitions and closed forms."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from made_runs import runs_of, uneven
from scipy import stats

from vilbert_lib.stats import correlation, difference_of_correlations, mean_interval
from vilbert_lib.stats.clusters import Clusters
from vilbert_lib.stats.resampling import two_stage, weighted_r


def test_the_bootstrap_is_the_same_for_a_seed_and_holds_r():
    table = runs_of(6, 3, 0.6, np.random.default_rng(1), slope=1)
    found = correlation(table, "x", "y", draws=300)
    assert found["r"] == pytest.approx(stats.pearsonr(table.x, table.y).statistic)
    assert (found["n"], found["clusters"]) == (18, 6)
    renamed = table.rename(columns={"architecture": "task"})
    assert found == correlation(renamed, "x", "y", cluster="task", draws=300)
    assert found == correlation(table, "x", "y", draws=300)
    assert found != correlation(table, "x", "y", draws=300, seed=1)
    assert -1 <= found["low"] < found["r"] < found["high"] <= 1


def test_a_constant_side_has_no_interval():
    table = runs_of(4, 2, 0.5, np.random.default_rng(0)).assign(y=1.0)
    with np.errstate(all="ignore"), pytest.warns(stats.ConstantInputWarning):
        found = correlation(table, "x", "y", draws=20)
    assert np.isnan([found["r"], found["low"], found["high"]]).all()


# Draws


def test_a_draw_holds_as_many_clusters_as_there_are_and_as_many_rows_as_each_has():
    clusters = Clusters(np.array([4, 1, 3]))
    for weights in two_stage(clusters, 200, seed=0):
        parts = np.split(weights, clusters.starts[1:])
        times = [part.sum() / size for part, size in zip(parts, clusters.sizes, strict=True)]
        assert sum(times) == 3 and all(t == int(t) for t in times)


def test_r_of_a_draw_is_that_of_its_rows_written_out():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 6, 10)) * 1e-3 + 5
    weights = two_stage(Clusters(np.array([4, 3, 3])), 50, seed=1)
    found = weighted_r(weights, x, y)
    for i, j in product(range(6), range(50)):
        rows = np.repeat(np.arange(10), weights[j])
        assert found[i, j] == pytest.approx(np.corrcoef(x[i, rows], y[i, rows])[0, 1])


def test_a_draw_of_one_value_alone_has_no_r():
    weights = np.array([[3, 0, 0, 0], [1, 2, 0, 0], [0, 2, 1, 0]])
    found = weighted_r(weights, np.array([0.1, 0.7, 0.1, 1e9]), np.array([0.2, 0.3, 0.4, 0.5]))
    assert np.isnan(found).tolist() == [True, False, False]
    assert found[1:] == pytest.approx([1, -1])


def test_a_mean_has_the_interval_of_its_clusters():
    table = pd.DataFrame({"architecture": np.repeat(range(20), 5), "x": np.repeat(np.arange(20.0), 5)})
    low, high = mean_interval(table, "x")
    half = 1.96 * np.std(np.arange(20)) / 20**0.5
    assert (low, high) == pytest.approx((9.5 - half, 9.5 + half), abs=0.3)


# A difference of two


@pytest.mark.parametrize("seed", range(3))
def test_the_p_of_a_difference_is_that_of_all_swaps(seed):
    table = uneven(seed).sort_values("architecture", kind="stable")
    x1, x2, y = (stats.zscore(table[c]) for c in "zxy")
    differences = []
    for swapped in product([False, True], repeat=4):
        at = table.architecture.map(dict(zip("abcd", swapped, strict=True)))
        a, b = np.where(at, x2, x1), np.where(at, x1, x2)
        differences.append(np.corrcoef(a, y)[0, 1] - np.corrcoef(b, y)[0, 1])
    found = difference_of_correlations(table, "z", "x", "y", draws=100)
    assert found["difference"] == pytest.approx(differences[0])
    assert found["difference"] == pytest.approx(table.z.corr(table.y) - table.x.corr(table.y))
    assert found["p"] == pytest.approx(np.mean(np.abs(differences) >= abs(differences[0]) - 1e-9))


def test_runs_of_one_architecture_have_no_interval_over_architectures():
    table = pd.DataFrame({"architecture": ["a"] * 4, "x": [1, 2, 3, 4], "y": [1, 2, 3, 5]})
    with pytest.raises(ValueError, match="1 values of architecture: at least 2 are needed"):
        correlation(table, "x", "y")
