"""What a study can find: the protocol's figures, and simulation."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from vilbert_lib.stats import chance_to_detect, smallest_detectable, smallest_detectable_within


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


@pytest.mark.parametrize(("n", "rho"), [(4, 0.97), (5, 0.96), (5, 0.5), (12, -0.73), (20, 0.59), (60, 0.1)])
def test_the_chance_to_detect_is_that_of_simulated_studies(n, rho):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40_000, n))
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(x.shape)
    found = (stats.pearsonr(x, y, axis=1).pvalue <= 0.05).mean()
    assert chance_to_detect(rho, n) == pytest.approx(found, abs=0.008)


@pytest.mark.parametrize("n", [4, 5, 30, 1000, 10**6])
def test_where_nothing_is_the_chance_is_the_level(n):
    assert chance_to_detect(0, n, alpha=0.01) == pytest.approx(0.01, rel=1e-6)
    assert chance_to_detect(0.5, n) == pytest.approx(chance_to_detect(-0.5, n))
    assert chance_to_detect(0.999999, n) == pytest.approx(1)


@pytest.mark.parametrize("n", [5, 12, 20, 200])
def test_the_exact_figure_is_found_as_often_as_it_says_and_fishers_a_little_more_often(n):
    assert chance_to_detect(smallest_detectable(n, exact=True), n) == pytest.approx(0.8)
    assert 0.8 < chance_to_detect(smallest_detectable(n), n) < 0.93
    assert smallest_detectable(n, exact=True) < smallest_detectable(n) < smallest_detectable(n, exact=True) + 0.05


@pytest.mark.parametrize(("design", "rho"), [((5, 3), 0.76), ((5, 5), 0.58), ((5, 10), 0.40), ((12, 3), 0.53)])
def test_the_smallest_detectable_correlation_within(design, rho):
    assert smallest_detectable_within(*design) == pytest.approx(rho, abs=0.006)


def test_what_is_found_within_is_found_by_simulation():
    """Five architectures of five seeds, correlated runs: the t-test of the centred runs."""
    rng, rho = np.random.default_rng(0), smallest_detectable_within(5, 5, exact=True)
    x = rng.standard_normal((20_000, 5, 5))
    y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(x.shape)
    x, y = (side - side.mean(2, keepdims=True) for side in (x, y))
    r = (x * y).sum((1, 2)) / np.sqrt((x**2).sum((1, 2)) * (y**2).sum((1, 2)))
    t = r * np.sqrt(19 / (1 - r**2))
    assert (2 * stats.t.sf(abs(t), 19) <= 0.05).mean() == pytest.approx(0.8, abs=0.012)


def test_impossible_studies_are_refused():
    with pytest.raises(ValueError, match="n=3: at least 4"):
        chance_to_detect(0.5, 3)
    with pytest.raises(ValueError, match=r"rho=1\.0 must lie between"):
        chance_to_detect(1.0, 10)
    with pytest.raises(ValueError, match="0 < alpha < power < 1"):
        smallest_detectable(10, power=0.01)
    for design in ((5, 1), (2, 2), (0, 9)):
        with pytest.raises(ValueError, match="must be at least 3"):
            smallest_detectable_within(*design)
