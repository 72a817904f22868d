"""Measures that say the same are found together, and few of them tell of the others."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from studies import families


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Forty runs of two tasks; a and b follow one hidden quantity, c and d another, e neither."""
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 40))
    frame = pd.DataFrame({"task": ["first", "second"] * 20})
    frame["a"], frame["c"] = one, two
    frame["b"] = -np.exp(one + 0.05 * rng.standard_normal(40))
    frame["d"] = two + 0.1 * rng.standard_normal(40)
    frame["e"] = rng.standard_normal(40)
    return frame


def test_one_task_gives_spearmans_r(table):
    one = table[table.task == "first"]
    found = families.correlations(one, ["a", "b", "c"])
    assert found.loc["a", "c"] == pytest.approx(stats.spearmanr(one.a, one.c).statistic)
    assert (np.diag(found) == 1).all()


def test_a_difference_between_tasks_makes_no_correlation(table):
    moved = table.assign(a=table.a + 100 * (table.task == "first"), e=table.e + 100 * (table.task == "first"))
    pd.testing.assert_frame_equal(
        families.correlations(moved, ["a", "e"]), families.correlations(table, ["a", "e"])
    )


def test_groups_are_those_of_the_hidden_quantities(table):
    found = families.groups(families.correlations(table, list("adebc")))
    assert found["a"] == found["b"] != found["c"] == found["d"]
    assert found.nunique() == 3 and list(found) == sorted(found)


def test_what_few_tell_of_the_others_is_the_regressions_share(table):
    measures = ["a", "b", "c", "d", "e"]
    matrix = families.correlations(table, measures)
    ranks = table.groupby("task")[measures].rank()
    ranks = (ranks - ranks.groupby(table.task).transform("mean")).to_numpy()
    x, shares = ranks[:, [0, 2]], []
    for other in (1, 3, 4):
        left = ranks[:, other] - x @ np.linalg.lstsq(x, ranks[:, other], rcond=None)[0]
        shares.append(1 - (left**2).sum() / (ranks[:, other] ** 2).sum())
    assert families.told_by(matrix, ["a", "c"]) == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("broken, named", [({"a": np.nan}, "missing"), ({"a": 1.0}, "the same")])
def test_measures_that_cannot_be_ranked_are_named(table, broken, named):
    with pytest.raises(ValueError, match=rf"'a'.*{named}"):
        families.correlations(table.assign(**broken), ["a", "b"])


@pytest.mark.parametrize("chosen", [[], ["a", "b"]])
def test_none_or_all_cannot_be_chosen(table, chosen):
    with pytest.raises(ValueError, match="chosen"):
        families.told_by(families.correlations(table, ["a", "b"]), chosen)


def test_measures_that_are_constant_or_nan_are_not_compared():
    table = pd.DataFrame(
        {"task": list("aabb"), "x": [1.0, 2, 3, 3], "y": [1.0, 1, 2, 2], "z": [1.0, 2, 3, np.nan]}
    )
    assert families.comparable(table, ["x", "y", "z"]) == ["x"]
    assert families.groups(families.correlations(table, ["x"])).to_dict() == {"x": 1}


def test_groups_are_listed_with_their_measures():
    groups = pd.Series({"cka": 1, "svcca": 1, "mknn": 2})
    assert families.listed(groups) == "cka, svcca; mknn"


def test_the_best_choice_comes_first(table):
    found = families.choices(families.correlations(table, ["a", "b", "c", "d", "e"]), 2)
    assert len(found) == 10 and found.told.is_monotonic_decreasing
    assert {"a", "b"} & set(found.chosen[0].split(", ")) and {"c", "d"} & set(found.chosen[0].split(", "))
