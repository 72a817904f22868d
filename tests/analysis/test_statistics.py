"""Intervals and tests: against closed forms, brute force, and their promised error rates."""

from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from vilbert_lib.analysis.statistics import (
    between,
    correlation,
    differences,
    over_seeds,
    proportion_interval,
    seed_interval,
    smallest_detectable,
)


def runs_of(
    architectures: int, seeds: int, icc: float, rng: np.random.Generator, slope: float = 0.0
) -> pd.DataFrame:
    """Runs whose two columns each have the share ``icc`` of their variance between architectures."""
    shape = (architectures, seeds)
    x, y = (
        np.sqrt(icc) * rng.standard_normal((architectures, 1)) + np.sqrt(1 - icc) * rng.standard_normal(shape)
        for _ in range(2)
    )
    names = np.repeat([f"a{i}" for i in range(architectures)], seeds)
    return pd.DataFrame({"architecture": names, "x": x.ravel(), "y": (y + slope * x).ravel()})


# Shares


@pytest.mark.parametrize(("share", "n"), [(0.0, 20), (0.35, 20), (0.6, 540), (1.0, 3)])
def test_an_interval_of_a_share_is_wilsons(share, n):
    low, high = proportion_interval(share, n)
    assert (low, high) == pytest.approx(proportion_confint(round(share * n), n, method="wilson"))
    z = stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert (low, high) == pytest.approx((centre - half, centre + half))
    assert 0 <= low <= share <= high <= 1


# Pooled correlation


def test_r_is_pearsons():
    table = runs_of(5, 3, 0.6, np.random.default_rng(0), slope=1)
    found = correlation(table, "x", "y", draws=50)
    assert found["r"] == pytest.approx(stats.pearsonr(table.x, table.y).statistic)
    assert (found["n"], found["clusters"]) == (15, 5)


def test_the_bootstrap_is_the_same_for_a_seed_and_holds_r():
    table = runs_of(6, 3, 0.6, np.random.default_rng(1), slope=1)
    found = correlation(table, "x", "y", draws=300)
    assert found == correlation(table, "x", "y", draws=300)
    assert found != correlation(table, "x", "y", draws=300, seed=1)
    assert -1 <= found["low"] < found["r"] < found["high"] <= 1


def test_the_order_of_the_rows_changes_nothing_but_the_draws():
    table = runs_of(6, 3, 0.6, np.random.default_rng(1), slope=1)
    found, again = (correlation(t, "x", "y", draws=400) for t in (table, table.sample(frac=1, random_state=0)))
    assert again["r"] == pytest.approx(found["r"])
    assert (again["low"], again["high"]) == pytest.approx((found["low"], found["high"]), abs=0.1)


def test_another_cluster_column_may_be_named():
    table = runs_of(4, 3, 0.6, np.random.default_rng(2)).rename(columns={"architecture": "task"})
    assert correlation(table, "x", "y", cluster="task", draws=20)["clusters"] == 4


def test_related_runs_widen_the_interval():
    """Three copies of each architecture's one value say no more than the value itself."""
    one = runs_of(8, 1, 1.0, np.random.default_rng(3))
    copies = pd.concat([one] * 3, ignore_index=True)
    single, copied = (correlation(t, "x", "y", draws=500) for t in (one, copies))
    assert copied["high"] - copied["low"] == pytest.approx(single["high"] - single["low"], abs=0.1)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    """Five architectures of three seeds, share .6 between: an interval over runs alone covers in .80."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(150):
        found = correlation(runs_of(5, 3, 0.6, rng), "x", "y", draws=150)
        covered.append(found["low"] <= 0 <= found["high"])
    assert np.mean(covered) >= 0.9


def test_a_constant_side_has_no_interval():
    table = runs_of(4, 2, 0.5, np.random.default_rng(0)).assign(y=1.0)
    with np.errstate(all="ignore"), pytest.warns(stats.ConstantInputWarning):
        found = correlation(table, "x", "y", draws=20)
    assert np.isnan([found["r"], found["low"], found["high"]]).all()


# Between architectures


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


def test_a_perfect_line_over_five_architectures():
    table = pd.DataFrame({"architecture": list("abcde") * 2, "x": [1.0, 2, 3, 4, 5] * 2})
    found = between(table.assign(y=7 - 2 * table.x), "x", "y")
    assert found == {"r": pytest.approx(-1), "p": pytest.approx(2 / 120), "clusters": 5, "exact": True}


def test_architectures_count_once_however_many_their_seeds():
    table = runs_of(5, 2, 0.6, np.random.default_rng(0), slope=1)
    more = pd.concat([table, table[table.architecture == "a0"]])
    assert between(more, "x", "y") == pytest.approx(between(table, "x", "y"))


def test_beyond_seven_architectures_permutations_are_drawn():
    table = runs_of(9, 2, 0.6, np.random.default_rng(0), slope=3)
    found = between(table, "x", "y", draws=999)
    assert found == between(table, "x", "y", draws=999)
    assert found["p"] >= 1 / 1000 and not found["exact"]
    assert found["p"] == pytest.approx(between(table, "x", "y", draws=5000, seed=1)["p"], abs=0.01)


def test_the_test_errs_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [between(runs_of(5, 3, 0.6, rng), "x", "y")["p"] <= 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_architectures_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} values of architecture: at least 3"):
        between(runs_of(count, 3, 0.5, np.random.default_rng(0)), "x", "y")


# Power


@pytest.mark.parametrize(("n", "rho"), [(5, 0.96), (12, 0.73), (20, 0.59)])
def test_the_smallest_detectable_correlation(n, rho):
    assert smallest_detectable(n) == pytest.approx(rho, abs=0.005)


def test_more_pairs_find_less():
    found = [smallest_detectable(n) for n in range(4, 200)]
    assert all(more < fewer for fewer, more in pairwise(found))
    assert smallest_detectable(20, power=0.9) > smallest_detectable(20) > smallest_detectable(20, alpha=0.1)


def test_fewer_than_four_pairs_are_refused():
    with pytest.raises(ValueError, match="n=3: at least 4"):
        smallest_detectable(3)


# Seeds


def test_a_mean_over_seeds_has_students_interval():
    values = [1.0, 2.0, 4.0]
    table = pd.DataFrame({"model": ["a"] * 3 + ["b"] * 3, "seed": [0, 1, 2] * 2, "value": values + [np.nan] * 3})
    found = over_seeds(table, ["model"], "value").set_index("model")
    half = 4.302653 * np.std(values, ddof=1) / 3**0.5
    assert found.loc["a", ["mean", "low", "high"]].tolist() == pytest.approx([7 / 3, 7 / 3 - half, 7 / 3 + half])
    assert found.loc["b", ["mean", "low", "high"]].isna().all() and (found.seeds == 3).all()
    with pytest.raises(ValueError, match=r"1 seed\(s\): an interval needs at least 2"):
        seed_interval(pd.Series([1.0]))


def test_students_interval_over_three_seeds_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    drawn_means = [seed_interval(pd.Series(rng.standard_normal(3))) for _ in range(2000)]
    assert np.mean([low < 0 < high for low, high in drawn_means]) == pytest.approx(0.95, abs=0.02)


def test_differences_are_taken_seed_by_seed():
    table = pd.DataFrame(
        {"model": ["asker", "asker", "none", "none"], "seed": [1, 0, 0, 1], "accuracy": [0.9, 0.8, 0.5, 0.7]}
    )
    found = differences(table, "accuracy", of="model", against="asker")
    assert found.values.tolist() == [[0, "none", pytest.approx(-0.3)], [1, "none", pytest.approx(-0.2)]]
    assert list(found.columns) == ["seed", "model", "accuracy"]
    with pytest.raises(ValueError, match="accuracy is not there for every seed"):
        differences(table[:3], "accuracy", of="model", against="asker")
