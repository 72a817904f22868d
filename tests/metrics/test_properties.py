"""What every measure claims to be: symmetric, bounded, blind to some changes, and finite."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_features import HARD, NEED_EQUAL_WIDTHS, hard, pair, tokens

from vilbert_lib.metrics import MEASURES

quick = settings(max_examples=15, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)
HOWS = ("rotation", "scaling", "translation", "rescaling")  # rescaling: each feature by its own factor
CLAIMED = {how: [name for name in MEASURES if how in MEASURES[name].invariances] for how in HOWS}
IDENTICAL = [name for name in MEASURES if MEASURES[name].identical is not None]
ROOT = ("procrustes_distance",)  # a root of what is missing to 1, and so of a rounding


@st.composite
def pairs(draw):
    """Features of 4 to 14 samples; equal widths, so that every measure can take them."""
    width = draw(st.integers(3, 7))
    return pair(draw(seeds), draw(st.integers(4, 14)), width, width)


def near(value: float, name: str, tolerance: float = 1e-8):
    return pytest.approx(value, rel=1e-8, abs=1e-6 if name in ROOT else tolerance)


def within(name: str, value: float) -> bool:
    low, high = MEASURES[name].range
    return bool(np.isfinite(value)) and low - 1e-9 <= value <= high + 1e-9


def transform(X: np.ndarray, how: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    match how:
        case "rotation":
            return X @ np.linalg.qr(rng.standard_normal((d, d)))[0]
        case "scaling":
            return 2.5 * X
        case "translation":
            return X + 3 * rng.standard_normal(d)
        case "rescaling":
            return X * np.exp(rng.standard_normal(d))
    raise KeyError(how)


# Symmetry, range, identical inputs, direction


@pytest.mark.parametrize("name", [name for name in MEASURES if MEASURES[name].symmetric])
@quick
@given(XY=pairs())
def test_a_symmetric_measure_does_not_care_about_the_order_of_the_sides(name, XY):
    X, Y = XY
    assert MEASURES[name](Y, X, k=3) == near(MEASURES[name](X, Y, k=3), name, 1e-10)


@pytest.mark.parametrize("name", [name for name in MEASURES if not MEASURES[name].symmetric])
def test_a_measure_that_is_not_called_symmetric_is_not(name):
    X, Y = tokens(0)[:2] if name.startswith("max_sim") else pair(0, 30, 6, 4)
    assert abs(MEASURES[name](X, Y, k=3) - MEASURES[name](Y, X, k=3)) > 1e-5


def test_the_two_directions_of_maximal_similarity_mirror_each_other():
    X, Y, *_ = tokens(0)
    assert MEASURES["max_sim_tp"](X, Y) == MEASURES["max_sim_pt"](Y, X)


@pytest.mark.parametrize("name", MEASURES)
@quick
@given(XY=pairs())
def test_a_value_lies_in_its_range(name, XY):
    assert within(name, MEASURES[name](*XY, k=3))


def test_cknna_has_no_range():
    X = np.array([[-1, 0], [-1, 1], [0, 1], [0, 1], [1, -1], [-1, -1.0]])
    found = [MEASURES["cknna"](X, np.random.default_rng(i).permutation(X), k=2) for i in range(40)]
    assert max(found) > 1.1 or min(found) < -1.1


@pytest.mark.parametrize("name", IDENTICAL)
@quick
@given(XY=pairs())
def test_identical_features_give_the_best_value(name, XY):
    X, _ = XY
    assert MEASURES[name](X, X.copy(), k=3) == near(MEASURES[name].identical, name, 1e-9)
    assert MEASURES[name].identical == MEASURES[name].best


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("name", IDENTICAL)
def test_identical_hard_features_give_the_best_value(name, kind):
    X, _ = hard(kind, n=16, d=9)
    value = MEASURES[name](X, X.copy(), k=4)
    if (
        name in NEED_EQUAL_WIDTHS and (X == 0).all(1).any()
    ):  # a row of zeros is not like itself: it has no direction
        share = (X == 0).all(1).mean()
        assert value == pytest.approx(share if name == "wasserstein" else 1 - share)
    else:
        assert value == near(MEASURES[name].identical, name, 1e-9)


def test_only_cycles_and_left_out_predictions_of_identical_features_depend_on_them():
    assert set(MEASURES) - set(IDENTICAL) == {"cycle_knn", "r2"}
    values = {name: {round(MEASURES[name](X, X, k=2), 6) for X, _ in (pair(i, 12, 4, 4) for i in range(5))}
              for name in ("cycle_knn", "r2")}  # fmt: skip
    assert all(len(found) > 1 and max(found) <= 1 for found in values.values())


@pytest.mark.parametrize("name", MEASURES)
def test_more_noise_is_less_alike(name):
    """The direction: a similarity falls and a distance grows."""
    X, noise = pair(1, 80, 10, 10)
    sign = -1 if MEASURES[name].direction == "distance" else 1
    values = [sign * MEASURES[name](X, X + amount * noise, k=5) for amount in (0.0, 0.2, 0.6, 2.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 0.03
    assert sign * MEASURES[name].best >= values[0] - 1e-6


@pytest.mark.parametrize("name", MEASURES)
def test_which_samples_belong_together_matters_where_it_should(name):
    X, Y = pair(0, 60, 8, 8)
    sign = -1 if MEASURES[name].direction == "distance" else 1
    mixed = MEASURES[name](X, np.random.default_rng(0).permutation(Y), k=5)
    gain = sign * (MEASURES[name](X, Y, k=5) - mixed)
    if MEASURES[name].paired:
        assert gain > 0.05
    else:
        assert gain == pytest.approx(0, abs=1e-12)


def test_only_transport_does_not_care_which_samples_belong_together():
    assert [name for name in MEASURES if not MEASURES[name].paired] == ["wasserstein"]


# Invariances


def test_claims_are_made_in_known_words():
    known = {*HOWS, "permutation of samples"}
    assert all(set(measure.invariances) <= known for measure in MEASURES.values())
    assert all({"scaling", "permutation of samples"} <= set(measure.invariances) for measure in MEASURES.values())


@pytest.mark.parametrize(
    ("name", "how"), [(name, how) for how, names in CLAIMED.items() for name in names], ids=lambda value: value
)
@quick
@given(XY=pairs(), seed=seeds)
def test_a_claimed_invariance_of_either_side_holds(name, how, XY, seed):
    X, Y = XY
    value = MEASURES[name](X, Y, k=3)
    assert MEASURES[name](X, transform(Y, how, seed), k=3) == near(value, name)
    assert MEASURES[name](transform(X, how, seed), Y, k=3) == near(value, name)


@pytest.mark.parametrize("name", MEASURES)
@quick
@given(XY=pairs(), seed=seeds)
def test_the_order_of_the_samples_does_not_matter(name, XY, seed):
    X, Y = XY
    order = np.random.default_rng(seed).permutation(len(X))
    assert MEASURES[name](X[order], Y[order], k=3) == near(MEASURES[name](X, Y, k=3), name)


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, how) for how, names in CLAIMED.items() for name in MEASURES if name not in names],
    ids=lambda value: value,
)
def test_what_is_not_claimed_changes_the_value(name, how):
    """A claim is made of both sides: PWCCA does not see a rotation of the second one."""
    X, Y = pair(0, 60, 16, 16)
    other = (transform(X, how, 0), Y) if name == "pwcca" else (X, transform(Y, how, 0))
    assert abs(MEASURES[name](*other, k=5) - MEASURES[name](X, Y, k=5)) > 1e-3


def test_centred_measures_and_those_of_raw_features_are_told_apart():
    assert {"cka", "svcca", "procrustes", "r2", "r2_ols"} <= set(CLAIMED["translation"])
    assert not {"mknn", "cknna", "rsa", "cosine", "wasserstein"} & set(CLAIMED["translation"])
    assert "rsa" not in CLAIMED["rotation"] and CLAIMED["rescaling"] == []


def test_equal_features_in_a_row_have_no_profile_whatever_the_unit():
    """Rounding leaves of a constant row a direction of its own, which RSA must not see."""
    X, Y = pair(0, 12, 6, 6)
    X[[2, 5, 7]] = np.random.default_rng(2).random((3, 1))
    values = [MEASURES["rsa"](unit * X, Y) for unit in (1, 3.7, 1 / 3)]
    X[[2, 5, 7]] = 0
    assert values == pytest.approx([MEASURES["rsa"](X, Y)] * 3, abs=1e-12)


# Every finite input has a finite value

small_numbers = st.tuples(st.integers(4, 7), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(*(arrays(np.float64, shape, elements=st.integers(-2, 2)) for _ in range(2)))
)


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(XY=small_numbers, scales=st.tuples(*[st.sampled_from([1e-150, 1.0, 1e150])] * 2))
def test_duplicates_zeros_and_ties_give_a_finite_value_in_any_unit(name, XY, scales):
    X, Y = XY
    assume(not (X[0] == X).all() and not (Y[0] == Y).all())
    value = MEASURES[name](X, Y, k=2)
    assert within(name, value)
    assert MEASURES[name](scales[0] * X, scales[1] * Y, k=2) == near(value, name)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-20, 1e20, 1e160, 1e300])
@pytest.mark.parametrize("name", MEASURES)
def test_a_very_large_or_small_unit_changes_nothing(name, scale):
    X, Y = pair(0, 20, 6, 6)
    assert MEASURES[name](scale * X, Y, k=5) == near(MEASURES[name](X, Y, k=5), name)


@pytest.mark.parametrize("name", [name for name in MEASURES if "translation" not in MEASURES[name].invariances])
def test_a_sample_in_a_very_small_unit_has_the_same_direction(name):
    """These measures compare directions of samples; only beside the others is one row's length small."""
    X, Y = pair(0, 14, 5, 5)
    value = MEASURES[name](X, Y, k=3)
    X[3] *= 1e-200
    X[4] *= 1e-170
    assert MEASURES[name](X, Y, k=3) == near(value, name)


@pytest.mark.parametrize("name", [name for name in MEASURES if "translation" in MEASURES[name].invariances])
def test_a_large_common_mean_takes_few_digits(name):
    X, Y = pair(0, 30, 8, 8)
    assert MEASURES[name](X + 1e5, Y - 3e5, k=5) == near(MEASURES[name](X, Y, k=5), name, 1e-7)


@pytest.mark.parametrize(
    ("name", "settings", "limit"),
    [
        ("cka_rbf", {"threshold": 1e-200}, 1),  # only a sample itself is near
        ("cka_rbf", {"threshold": 1e200}, 0),  # all samples are equally near
        ("r2", {"penalty": 1e300}, 0),  # all that is left is the mean
    ],
    ids=str,
)
def test_extreme_settings_give_what_they_tend_to(name, settings, limit):
    for d in (5, 20):
        X, Y = pair(0, 12, d, 7)
        for scale in (1e-200, 1, 1e100):
            assert MEASURES[name](scale * X, Y, **settings) == pytest.approx(limit, abs=1e-9)
