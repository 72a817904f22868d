"""What r and n alone tell, against scipy and by simulation."""

import numpy as np
import pytest
from scipy import stats

from vilbert_lib.stats import p_of_r, pearson_interval, spearman_interval


@pytest.mark.parametrize("n", [4, 15, 60])
def test_p_and_interval_of_r_are_scipys(n):
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n)
    found = stats.pearsonr(x, x + rng.standard_normal(n))
    assert p_of_r(found.statistic, n) == pytest.approx(found.pvalue, rel=1e-9)
    assert pearson_interval(found.statistic, n) == pytest.approx(tuple(found.confidence_interval()))


def test_a_perfect_correlation_leaves_no_room():
    assert (p_of_r(0, 15), p_of_r(1, 15), p_of_r(-1, 3)) == (1, 0, 0)
    assert pearson_interval(1, 10) == (1, 1)
    assert spearman_interval(-1, 10) == (-1, -1)


def test_the_interval_of_spearmans_r_is_that_of_its_formula():
    half = stats.norm.ppf(0.975) * np.sqrt((1 + 0.6**2 / 2) / 12)
    assert spearman_interval(0.6, 15) == pytest.approx(
        (np.tanh(np.arctanh(0.6) - half), np.tanh(np.arctanh(0.6) + half))
    )
    low, high = pearson_interval(0.6, 15)
    assert spearman_interval(0.6, 15)[0] < low < high < spearman_interval(0.6, 15)[1]


@pytest.mark.parametrize("r", [1.01, -2, np.nan])
def test_an_impossible_r_is_refused(r):
    for function in (p_of_r, pearson_interval, spearman_interval):
        with pytest.raises(ValueError, match="is no correlation"):
            function(r, 10)


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match="n=2: at least 3 pairs"):
        p_of_r(0.5, 2)
    with pytest.raises(ValueError, match="n=3: at least 4 pairs"):
        pearson_interval(0.5, 3)
    with pytest.raises(ValueError, match="n=9: at least 10 pairs"):
        spearman_interval(0.5, 9)
