"""Shares, and means over seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from vilbert_lib.stats import (
    bracketed,
    over_seeds,
    proportion_interval,
    seed_interval,
    share_difference,
)


@pytest.mark.parametrize(("share", "n"), [(0.0, 20), (0.35, 20), (0.6, 540), (1.0, 3)])
def test_an_interval_of_a_share_is_wilsons(share, n):
    low, high = proportion_interval(share, n)
    assert (low, high) == pytest.approx(proportion_confint(round(share * n), n, method="wilson"))
    z = stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert (low, high) == pytest.approx((centre - half, centre + half))
    assert 0 <= low <= share <= high <= 1


def test_a_mean_over_seeds_has_students_interval():
    values = [1.0, 2.0, 4.0]
    table = pd.DataFrame({"model": ["a"] * 3 + ["b"] * 3, "seed": [0, 1, 2] * 2, "value": values + [np.nan] * 3})
    found = over_seeds(table, ["model"], "value").set_index("model")
    half = 4.302653 * np.std(values, ddof=1) / 3**0.5
    assert found.loc["a", ["mean", "low", "high"]].tolist() == pytest.approx([7 / 3, 7 / 3 - half, 7 / 3 + half])
    assert found.loc["b", ["mean", "low", "high"]].isna().all() and (found.seeds == 3).all()
    inside = over_seeds(table, ["model"], "value", within=(0, 3)).set_index("model")
    assert inside.loc["a", ["low", "high"]].tolist() == pytest.approx([0, 3])
    with pytest.raises(ValueError, match=r"1 seed\(s\): an interval needs at least 2"):
        seed_interval(pd.Series([1.0]))
    with pytest.raises(ValueError, match="column of the seeds holds NaN or infinity in 1 of 3 rows"):
        seed_interval(pd.Series([1.0, np.nan, 2.0]))
    assert np.isnan(seed_interval(pd.Series([1.0]), strict=False)).all()


@pytest.mark.parametrize(
    ("share", "n", "message"), [(0.5, 0, "n=0"), (1.5, 4, "share 1.5"), (np.nan, 4, "share nan")]
)
def test_what_is_no_share_is_refused(share, n, message):
    for interval in (proportion_interval, lambda share, n: share_difference(0.5, share, n)):
        with pytest.raises(ValueError, match=message):
            interval(share, n)


def test_the_difference_of_two_shares_has_newcombes_interval():
    """By his formula (1998, method 10), from the two intervals of Wilson."""
    a, b, n = 0.8, 0.6, 70
    (l1, u1), (l2, u2) = (proportion_interval(share, n) for share in (a, b))
    low, high = share_difference(a, b, n)
    assert low == pytest.approx(a - b - np.hypot(a - l1, u2 - b))
    assert high == pytest.approx(a - b + np.hypot(u1 - a, b - l2))
    assert share_difference(b, a, n) == pytest.approx((-high, -low))


def test_one_seed_has_a_mean_and_no_interval():
    found = over_seeds(pd.DataFrame({"model": ["a", "b", "b"], "value": [1.0, 2.0, 4.0]}), ["model"], "value")
    assert found["mean"].tolist() == [1, 3] and found.seeds.tolist() == [1, 2]
    assert found.low.isna().tolist() == found.high.isna().tolist() == [True, False]
    empty = over_seeds(pd.DataFrame({"model": [], "value": []}), ["model"], "value")
    assert list(empty.columns) == ["model", "mean", "low", "high", "seeds"]


def test_an_interval_that_is_not_there_is_said_to_be_missing():
    assert bracketed(-0.0211, 0.11) == "[-0.021, +0.110]" and bracketed(1.25, 2, "+.1f") == "[+1.2, +2.0]"
    assert bracketed(np.nan, np.nan) == "(no interval)"
