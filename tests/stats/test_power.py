"""What a study can find: the protocol's figures, and simulation."""

import pytest

from vilbert_lib.stats import smallest_detectable, smallest_detectable_within


def test_the_smallest_detectable_correlation():
    assert [smallest_detectable(n) for n in (5, 12, 20)] == pytest.approx([0.96, 0.73, 0.59], abs=0.005)
    within = [smallest_detectable_within(*design) for design in ((5, 3), (5, 5), (5, 10), (12, 3))]
    assert within == pytest.approx([0.76, 0.58, 0.40, 0.53], abs=0.006)
    assert smallest_detectable(20, power=0.9) > smallest_detectable(20) > smallest_detectable(20, alpha=0.1)


def test_impossible_studies_are_refused():
    with pytest.raises(ValueError, match="n=3: at least 4"):
        smallest_detectable(3)
    with pytest.raises(ValueError, match="0 < alpha < power < 1"):
        smallest_detectable(10, power=0.01)
    for design in ((5, 1), (2, 2), (0, 9)):
        with pytest.raises(ValueError, match="must be at least 3"):
            smallest_detectable_within(*design)
