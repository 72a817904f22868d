"""The largest r of a family against brute force; adjusted p against their definitions."""

from itertools import permutations

import numpy as np
import pytest
from made_runs import runs_of, uneven
from scipy import stats

from vilbert_lib.stats import adjust, between, max_t, within

LEVELS = {"between": (between, "p"), "within": (within, "p_permutation")}


def family(seed: int = 0):
    rng = np.random.default_rng(seed)
    return runs_of(5, 3, 0.5, rng, slope=1).assign(u=rng.standard_normal(15), v=rng.standard_normal(15))


@pytest.mark.parametrize("level", LEVELS)
def test_each_p_alone_is_that_of_the_test_alone(level):
    function, p = LEVELS[level]
    found = max_t(family(), ["x", "u"], ["y", "v"], level=level)
    assert found[["x", "y"]].values.tolist() == [["x", "y"], ["u", "y"], ["x", "v"], ["u", "v"]]
    for row in found.itertuples():
        alone = function(family(), row.x, row.y)
        assert (row.r, row.p) == pytest.approx((alone["r"], alone[p]))
        assert row.p <= row.p_family


@pytest.mark.parametrize("seed", range(3))
def test_p_of_the_family_equals_brute_force(seed):
    table = uneven(seed)
    means = table.groupby("architecture")[["x", "y", "z"]].mean()
    largest = []
    for order in permutations(range(4)):
        moved = means.y.to_numpy()[list(order)]
        largest.append(max(abs(np.corrcoef(means[c], moved)[0, 1]) for c in "xz"))
    for row in max_t(table, ["x", "z"], "y").itertuples():
        r = np.corrcoef(means[row.x], means.y)[0, 1]
        assert row.p_family == pytest.approx(np.mean(np.array(largest) >= abs(r) - 1e-9))


def test_no_family_and_no_such_level_are_refused():
    for xs, y in ((["x"], []), ([], "y")):
        with pytest.raises(ValueError, match="at least one x and one y"):
            max_t(family(), xs, y)
    with pytest.raises(ValueError, match="unknown level 'both'; known: between, within"):
        max_t(family(), ["x"], "y", level="both")


def test_holm_multiplies_by_the_number_of_tests_that_are_left():
    assert adjust([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert adjust([0.9, 0.8]) == pytest.approx([1, 1])


def test_benjamini_and_yekutieli_is_benjamini_and_hochberg_times_a_harmonic_number():
    p = np.array([0.001, 0.2, 0.012, 0.04])
    plain = stats.false_discovery_control(p, method="bh")
    assert adjust(p, "by") == pytest.approx(np.minimum(1, plain * (1 + 1 / 2 + 1 / 3 + 1 / 4)))


def test_a_p_that_is_not_known_counts_as_no_test_and_another_is_refused():
    found = adjust([0.01, np.nan, 0.04])
    assert found[[0, 2]].tolist() == adjust([0.01, 0.04]).tolist() and np.isnan(found[1])
    assert np.isnan(adjust([np.nan])).all()
    for p in ([1.2], [-0.1, 0.5], [[0.1]]):
        with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
            adjust(p)
    with pytest.raises(ValueError, match="unknown method 'bonferroni'; known: by, holm"):
        adjust([0.1], "bonferroni")
