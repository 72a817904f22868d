"""What a study can find: the protocol's figures, and simulation."""

import numpy as np
import pytest
from scipy import stats

from vilbert_lib.stats import smallest_detectable, smallest_detectable_within


def test_the_smallest_detectable_correlation():
    assert [smallest_detectable(n) for n in (5, 12, 20)] == pytest.approx([0.96, 0.73, 0.59], abs=0.005)
    within = [smallest_detectable_within(*design) for design in ((5, 3), (5, 5), (5, 10), (12, 3))]
    assert within == pytest.approx([0.76, 0.58, 0.40, 0.53], abs=0.006)
    assert smallest_detectable(20, power=0.9) > smallest_detectable(20) > smallest_detectable(20, alpha=0.1)


@pytest.mark.parametrize("n", [5, 20])
def test_it_is_found_a_little_more_often_than_it_says(n):
    rng, rho = np.random.default_rng(0), smallest_detectable(n)
    x = rng.standard_normal((20_000, n))
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(x.shape)
    assert 0.8 < (stats.pearsonr(x, y, axis=1).pvalue <= 0.05).mean() < 0.93


def test_impossible_studies_are_refused():
    with pytest.raises(ValueError, match="n=3: at least 4"):
        smallest_detectable(3)
    with pytest.raises(ValueError, match="0 < alpha < power < 1"):
        smallest_detectable(10, power=0.01)
    for design in ((5, 1), (2, 2), (0, 9)):
        with pytest.raises(ValueError, match="must be at least 3"):
            smallest_detectable_within(*design)
