"""Measures against reference values, plain definitions, and what each claims to be."""

import importlib.util
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from vilbert_lib.metrics import MEASURES
from vilbert_lib.metrics.layers import Layers

REFERENCE = Path(__file__).parent.parent / "reference"
VALUES = {key: value for key, value in json.loads((REFERENCE / "values.json").read_text()).items() if key != "how"}
REFERENCE_NAMES = {
    "cka": "cka_linear",
    "unbiased_cka": "cka_linear_unbiased",
    "mknn": "mutual_knn",
    "svcca": "svcca_q10",
    "procrustes": "procrustes_sim",
    "rsa": "rsa_corr_spearman",
}
ALL = sorted(MEASURES)
quick = settings(max_examples=30, deadline=None, derandomize=True)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def load_cases():
    spec = importlib.util.spec_from_file_location("reference_cases", REFERENCE / "cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load_cases().make


def pair(seed: int, n: int, d: int, e: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and (n, e) that share a part."""
    rng = np.random.default_rng([seed, n, d, e])
    common = rng.standard_normal((n, 3))
    X, Y = (common @ rng.standard_normal((3, width)) + rng.standard_normal((n, width)) for width in (d, e))
    return X, Y


# Reference values


def test_every_measure_has_a_reference():
    assert set(REFERENCE_NAMES) == set(MEASURES)


@pytest.mark.parametrize("key", sorted(VALUES))
@pytest.mark.parametrize("name", ALL)
def test_reference_values(name, key):
    case, n = key.rsplit("_n", 1)
    value = MEASURES[name](*make(case, int(n)))
    assert value == pytest.approx(VALUES[key][REFERENCE_NAMES[name]], abs=1e-5)


def test_the_demonstration_of_kornblith_et_al():
    rng = np.random.RandomState(1337)
    X = rng.randn(100, 10)
    Y = rng.randn(100, 10) + X
    assert MEASURES["cka"](X, Y) == pytest.approx(0.55761, abs=1e-5)
    assert MEASURES["unbiased_cka"](X, Y) == pytest.approx(0.51346, abs=1e-5)


# Plain definitions, slow and one at a time


def centred_gram(X: np.ndarray) -> np.ndarray:
    n = len(X)
    K = np.array([[sum(a * b for a, b in zip(X[i], X[j], strict=True)) for j in range(n)] for i in range(n)])
    H = np.eye(n) - 1 / n
    return H @ K @ H


def plain_cka(X, Y, k):
    K, L = centred_gram(X), centred_gram(Y)
    hsic = lambda A, B: sum(A[i, j] * B[i, j] for i in range(len(A)) for j in range(len(A)))  # noqa: E731
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def plain_unbiased_cka(X, Y, k):
    """Song et al. 2012, equation 4, on Gram matrices that were never centred."""
    n = len(X)

    def hsic(A, B):
        A, B = (M - np.diag(np.diag(M)) for M in (A, B))
        one = np.ones(n)
        whole = (one @ A @ one) * (one @ B @ one) / ((n - 1) * (n - 2))
        return (np.trace(A @ B) + whole - 2 / (n - 2) * one @ A @ B @ one) / (n * (n - 3))

    K, L = X @ X.T, Y @ Y.T
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def plain_mknn(X, Y, k):
    def nearest(Z, i):
        cosine = {j: Z[i] @ Z[j] / np.linalg.norm(Z[i]) / np.linalg.norm(Z[j]) for j in range(len(Z)) if j != i}
        return set(sorted(cosine, key=cosine.get, reverse=True)[:k])

    return np.mean([len(nearest(X, i) & nearest(Y, i)) / k for i in range(len(X))])


def plain_svcca(X, Y, k):
    def leading(Z):
        vectors, values, _ = np.linalg.svd(Z - Z.mean(0), full_matrices=False)
        return vectors[:, : min(10, int((values > 1e-7 * values[0]).sum()))]

    U, V = leading(X), leading(Y)
    return np.linalg.svd(U.T @ V, compute_uv=False).clip(0, 1).sum() / min(U.shape[1], V.shape[1])


def plain_procrustes(X, Y, k):
    X, Y = X - X.mean(0), Y - Y.mean(0)
    return np.linalg.norm(X.T @ Y, "nuc") / (np.linalg.norm(X) * np.linalg.norm(Y))


def plain_rsa(X, Y, k):
    first, second = (
        [1 - np.corrcoef(Z[i], Z[j])[0, 1] for i, j in combinations(range(len(Z)), 2)] for Z in (X, Y)
    )
    return stats.spearmanr(first, second).statistic


PLAIN = {
    "cka": plain_cka,
    "unbiased_cka": plain_unbiased_cka,
    "mknn": plain_mknn,
    "svcca": plain_svcca,
    "procrustes": plain_procrustes,
    "rsa": plain_rsa,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("n", "d", "e"), [(4, 3, 3), (9, 4, 7), (30, 12, 5), (12, 40, 30)])
def test_plain_definition(name, n, d, e):
    X, Y = pair(1, n, d, e)
    k = min(3, n - 1)
    assert MEASURES[name](X, Y, k=k) == pytest.approx(PLAIN[name](X, Y, k), abs=1e-9)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("case", ["lowrank", "offset", "correlated"])
def test_plain_definition_on_hard_inputs(name, case):
    X, Y = (Z.astype(float) for Z in make(case, 24, d=40))
    assert MEASURES[name](X, Y, k=5) == pytest.approx(PLAIN[name](X, Y, 5), abs=1e-7)


# What every measure claims

sizes = st.tuples(st.integers(0, 10_000), st.integers(4, 14), st.integers(3, 7), st.integers(3, 7))


@pytest.mark.parametrize("name", ALL)
@quick
@given(size=sizes)
def test_a_measure_is_symmetric_and_in_its_range(name, size):
    X, Y = pair(*size)
    value = MEASURES[name](X, Y, k=3)
    low, high = MEASURES[name].range
    assert low - 1e-9 <= value <= high + 1e-9
    assert MEASURES[name](Y, X, k=3) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", ALL)
@quick
@given(size=sizes)
def test_identical_inputs_are_wholly_alike(name, size):
    X, _ = pair(*size)
    assert MEASURES[name](X, X.copy(), k=3) == pytest.approx(MEASURES[name].identical, abs=1e-9)
    assert MEASURES[name].identical == 1.0


small_numbers = st.integers(4, 7).flatmap(
    lambda n: st.tuples(*(arrays(np.float64, (n, 2), elements=st.integers(-1, 1)) for _ in range(2)))
)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(XY=small_numbers)
def test_duplicates_zeros_and_ties_give_a_finite_value(name, XY):
    X, Y = XY
    assume(not (X[0] == X).all() and not (Y[0] == Y).all())
    low, high = MEASURES[name].range
    assert low - 1e-9 <= MEASURES[name](X, Y, k=2) <= high + 1e-9


def transform(Y: np.ndarray, how: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    d = Y.shape[1]
    match how:
        case "rotation":
            return Y @ np.linalg.qr(rng.standard_normal((d, d)))[0]
        case "scaling":
            return 2.5 * Y
        case "translation":
            return Y + 3 * rng.standard_normal(d)
        case "rescaling":
            return Y * np.exp(rng.standard_normal(d))


CLAIMS = [
    (name, how)
    for name in ALL
    for how in ("rotation", "scaling", "translation", "permutation of samples")
    if how in MEASURES[name].invariances
]


def test_claims_are_made_in_known_words():
    known = {"rotation", "scaling", "translation", "permutation of samples"}
    assert all(set(measure.invariances) <= known for measure in MEASURES.values())
    assert all({"scaling", "permutation of samples"} <= set(measure.invariances) for measure in MEASURES.values())


@pytest.mark.parametrize(("name", "how"), CLAIMS, ids=lambda value: value)
@quick
@given(size=sizes)
def test_a_claimed_invariance_holds(name, how, size):
    X, Y = pair(*size)
    value = MEASURES[name](X, Y, k=3)
    if how == "permutation of samples":
        order = np.random.default_rng(size[0]).permutation(len(X))
        assert MEASURES[name](X[order], Y[order], k=3) == pytest.approx(value, abs=1e-8)
    else:
        assert MEASURES[name](X, transform(Y, how, size[0]), k=3) == pytest.approx(value, abs=1e-8)
        assert MEASURES[name](transform(X, how, size[0]), Y, k=3) == pytest.approx(value, abs=1e-8)


NOT_CLAIMED = [(name, how) for name in ALL for how in ("rotation", "translation", "rescaling")]
NOT_CLAIMED = [(name, how) for name, how in NOT_CLAIMED if how not in MEASURES[name].invariances]


def test_the_measures_on_raw_features_claim_no_translation_and_rsa_no_rotation():
    assert {("mknn", "translation"), ("rsa", "translation"), ("rsa", "rotation")} <= set(NOT_CLAIMED)


@pytest.mark.parametrize(("name", "how"), NOT_CLAIMED, ids=lambda value: value)
def test_what_is_not_claimed_changes_the_value(name, how):
    X, Y = pair(0, 60, 16, 16)
    assert abs(MEASURES[name](X, transform(Y, how, 0), k=5) - MEASURES[name](X, Y, k=5)) > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_pairing_the_wrong_samples_lowers_the_value(name):
    X, Y = pair(0, 60, 8, 8)
    order = np.random.default_rng(0).permutation(60)
    assert MEASURES[name](X, Y[order], k=5) < MEASURES[name](X, Y, k=5) - 0.05


@pytest.mark.parametrize("name", ALL)
def test_independent_features_are_at_their_chance_level(name):
    """MEASURES' exact levels for mutual kNN, k/(n-1), and CKA, about d/(n+d); the unbiased ones lie at 0."""
    rng = np.random.default_rng(0)
    values = [MEASURES[name](rng.standard_normal((64, 32)), rng.standard_normal((64, 32)), k=8) for _ in range(20)]
    level = {"cka": 32 / 96, "unbiased_cka": 0, "mknn": 8 / 63, "rsa": 0}.get(name)
    if level is None:
        assert 0.1 < np.mean(values) < 0.9
    else:
        assert np.mean(values) == pytest.approx(level, abs=0.015)


# Numbers that are hard on the arithmetic


@pytest.mark.parametrize("name", [name for name in ALL if "translation" in MEASURES[name].invariances])
def test_a_large_common_mean_takes_no_digits(name):
    X, Y = pair(0, 30, 8, 8)
    assert MEASURES[name](X + 1e5, Y - 3e5, k=5) == pytest.approx(MEASURES[name](X, Y, k=5), abs=1e-7)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1e-160, 1e-20, 1e20, 1e150, 1e160])
def test_a_very_large_or_small_unit_changes_nothing(name, scale):
    X, Y = pair(0, 20, 6, 5)
    assert MEASURES[name](scale * X, Y, k=5) == pytest.approx(MEASURES[name](X, Y, k=5), abs=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_low_rank_features_are_wholly_alike_to_themselves(name):
    X, _ = make("lowrank", 40, d=60)
    assert MEASURES[name](X, X, k=5) == pytest.approx(1, abs=1e-9)


def test_svcca_averages_over_the_directions_that_there_are():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    assert MEASURES["svcca"](X @ rng.standard_normal((3, 20)), X @ rng.standard_normal((3, 30))) == pytest.approx(
        1
    )
    first, second = (np.zeros((40, 2)) for _ in range(2))
    first[:, 0] = second[:, 0] = X[:, 0] - X[:, 0].mean()
    rest = np.linalg.qr(np.column_stack([np.ones(40), first[:, 0], rng.standard_normal((40, 2))]))[0]
    first[:, 1], second[:, 1] = rest[:, 2], rest[:, 3]
    assert MEASURES["svcca"](first, second) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ALL)
def test_duplicated_samples(name):
    X, Y = make("ties", 40, d=30)
    low, high = MEASURES[name].range
    assert low <= MEASURES[name](X, Y, k=5) <= high
    assert MEASURES[name](X, X.copy(), k=5) == pytest.approx(1, abs=1e-9)


def test_the_nearest_neighbour_of_a_duplicate_is_its_twin():
    X, _ = make("ties", 40, d=30)
    assert Layers({"X": X}, k=1).neighbours[0, :, 0].tolist() == [i ^ 1 for i in range(40)]


def test_rsa_counts_equal_distances_as_ties():
    """With two features every correlation is 1 or -1: rounding must not put an order on them."""
    X = np.random.default_rng(0).standard_normal((30, 2))
    assert MEASURES["rsa"](X, 3.7 * X) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"rsa"}))
def test_features_of_width_one(name):
    X, Y = pair(0, 20, 1, 1)
    assert MEASURES[name](X, Y, k=5) == pytest.approx(PLAIN[name](X, Y, 5), abs=1e-9) or name == "mknn"
    assert MEASURES[name](X, X, k=5) == pytest.approx(1)


def test_rsa_of_width_one_has_no_order_and_is_zero():
    X, Y = pair(0, 20, 1, 3)
    assert MEASURES["rsa"](X, Y) == 0 == MEASURES["rsa"](X, X)


@pytest.mark.parametrize("name", ALL)
def test_features_of_width_4096_against_narrow_ones(name):
    X, Y = pair(0, 16, 4096, 4)
    assert MEASURES[name](X, Y, k=5) == pytest.approx(PLAIN[name](X, Y, 5), abs=1e-8)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, "list"], ids=str)
def test_tensors_of_lower_precision_and_lists(name, kind):
    X, Y = pair(0, 30, 8, 6)
    if kind == "list":
        assert MEASURES[name](X.tolist(), Y.tolist()) == MEASURES[name](X, Y)
        return
    X, Y = (torch.tensor(Z, dtype=kind, requires_grad=True) for Z in (X, Y))
    wanted = MEASURES[name](X.detach().double().numpy(), Y.detach().double().numpy())
    assert MEASURES[name](X, Y) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_input_is_not_changed(name):
    X, Y = pair(0, 30, 8, 6)
    before = X.copy(), Y.copy()
    MEASURES[name](X, Y)
    assert (before[0] == X).all() and (before[1] == Y).all()


# What no measure can take

GOOD = pair(0, 8, 4, 4)[0]


def with_value(value: float) -> np.ndarray:
    X = GOOD.copy()
    X[2, 1] = value
    return X


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("X", "Y", "named"),
    [
        (GOOD[:, 0], GOOD, r"X has 1 dimension\(s\), shape \(8,\)"),
        (GOOD, GOOD[None], r"Y has 3 dimension\(s\), shape \(1, 8, 4\)"),
        (GOOD, pair(0, 9, 4, 4)[0], "X has n=8 samples but Y has n=9"),
        (GOOD[:3], GOOD[:3], "X has n=3 samples: at least 4"),
        (GOOD, GOOD[:, :0], "Y has d=0 features"),
        (with_value(np.nan), GOOD, "X holds nan at row 2, column 1"),
        (GOOD, with_value(-np.inf), "Y holds -inf at row 2, column 1"),
        (GOOD, np.full((8, 4), 0.1), "Y is constant: all 8 rows are equal"),
    ],
    ids=["1-d", "3-d", "unequal n", "n<4", "no features", "nan", "inf", "constant"],
)
def test_bad_input_is_named(name, X, Y, named):
    with pytest.raises(ValueError, match=named):
        MEASURES[name](X, Y, k=2)


@pytest.mark.parametrize("k", [8, 9, 0, -1])
def test_an_impossible_number_of_neighbours_is_named(k):
    with pytest.raises(ValueError, match=rf"k={k} must lie in 1\.\.n-1 = 7"):
        MEASURES["mknn"](GOOD, GOOD, k=k)


@pytest.mark.parametrize("q", [0, -1])
def test_an_impossible_number_of_directions_is_named(q):
    with pytest.raises(ValueError, match=f"q={q}"):
        MEASURES["svcca"](GOOD, GOOD, q=q)
