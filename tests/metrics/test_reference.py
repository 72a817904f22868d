"""Measures against values that others computed, and against published ones."""

import json
from functools import cache

import numpy as np
import pytest
from made_features import REFERENCE, make, pair

from vilbert_lib.metrics import MEASURES, alignment_grid

VALUES = json.loads((REFERENCE / "values.json").read_text())
CASES = sorted(set(VALUES) - {"how"})
KNN = ("mknn", "cknna", "cycle_knn", "lcs_knn", "edit_knn", "jaccard", "rank")
NAMES = {
    "cka": "cka_linear",
    "cka_rbf": "cka_rbf_median",
    "unbiased_cka": "cka_linear_unbiased",
    "svcca": "svcca_q10",
    "cca": "svcca_var99",
    "mknn": "mutual_knn",
    "cknna": "cknna_platonic",
    "cycle_knn": "cycle_knn",
    "lcs_knn": "lcs_knn_over_k",
    "edit_knn": "edit_knn",
    "jaccard": "jaccard_knn",
    "rank": "rank_similarity",
    "procrustes": "procrustes_sim",
    "procrustes_distance": "procrustes_dist_norm",
    "rsa": "rsa_corr_spearman",
    "r2_ols": "linear_r2_ols_X_to_Y",
    "cosine": "cosine_rowwise",
}
WITHOUT_REFERENCE = {
    "pwcca",  # with formulae of its own below, as has the next
    "distance_correlation",
    "r2",
    "max_sim_tp",
    "max_sim_pt",
    "wasserstein",
}


@cache
def measured(case: str, dtype: str) -> dict[str, float]:
    """All values of one reference input, in one go: at n=512 a layer's own work takes longest."""
    kind, n = case.rsplit("_n", 1)
    X, Y = (Z.astype(dtype) for Z in make(kind, int(n)))
    return alignment_grid({"X": X, "Y": Y}, NAMES).set_index("measure").value.to_dict()


def test_what_has_a_reference_is_a_measure_and_its_values_are_there():
    assert set(NAMES) | WITHOUT_REFERENCE <= set(MEASURES)
    assert not set(NAMES) & WITHOUT_REFERENCE
    assert len(CASES) == 6
    assert all(set(NAMES.values()) <= set(VALUES[case]) for case in CASES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_float64_features_give_the_reference(name, case):
    tolerance = 1e-6 if name == "procrustes_distance" else 1e-9
    assert measured(case, "float64")[name] == pytest.approx(VALUES[case][NAMES[name]], rel=0, abs=tolerance)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_float32_features_give_the_reference(name, case):
    tolerance = 1e-12 if name in KNN else 1e-5
    assert measured(case, "float32")[name] == pytest.approx(VALUES[case][NAMES[name]], rel=0, abs=tolerance)


def test_r2_ols_goes_from_x_to_y():
    X, Y = (Z[:, :9].astype(float) for Z in make("correlated", 64))
    with_intercept = np.column_stack([np.ones(64), X])
    rest = Y - with_intercept @ np.linalg.lstsq(with_intercept, Y, rcond=None)[0]
    share = 1 - (rest**2).sum() / ((Y - Y.mean(0)) ** 2).sum()
    assert MEASURES["r2_ols"](X, Y) == pytest.approx(share, abs=1e-12)
    assert abs(MEASURES["r2_ols"](Y, X) - share) > 1e-3


@pytest.mark.parametrize(
    ("name", "settings", "published"),
    [("cka", {}, 0.55761), ("cka_rbf", {"threshold": 0.5}, 0.65483), ("unbiased_cka", {}, 0.51346)],
)
def test_the_demonstration_of_kornblith_et_al(name, settings, published):
    rng = np.random.RandomState(1337)
    X = rng.randn(100, 10)
    Y = rng.randn(100, 10) + X
    assert MEASURES[name](X, Y, **settings) == pytest.approx(published, abs=1e-5)


def roots_of_covariances(X, Y):
    """Inverse square roots of the covariances of X and Y, and the covariance of both, all centred."""
    X, Y = X - X.mean(0), Y - Y.mean(0)
    (a, A), (b, B) = (np.linalg.eigh(Z.T @ Z) for Z in (X, Y))
    return X, A @ np.diag(a**-0.5) @ A.T, X.T @ Y, B @ np.diag(b**-0.5) @ B.T


def test_projection_weighted_cca_is_that_of_the_whitened_covariance():
    """Morcos et al. 2018, with as many variates as the narrower side has: here from covariances."""
    for X, Y in (pair(0, 40, 6, 4), pair(1, 40, 4, 6)):
        centred, of_x, both, of_y = roots_of_covariances(X, Y)
        axes, rho, _ = np.linalg.svd(of_x @ both @ of_y)
        variates = centred @ of_x @ axes[:, : len(rho)]
        weights = np.abs(variates.T @ centred).sum(1)
        assert MEASURES["pwcca"](X, Y, variance=1.0) == pytest.approx(weights @ rho / weights.sum(), abs=1e-12)


def test_the_weights_of_pwcca_are_those_of_the_first_layer():
    """Y holds a strong and a weak feature of X: seen from X, the feature that is alike counts by its size in X."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(np.column_stack([np.ones(60), rng.standard_normal((60, 3))]))[0][:, 1:]
    X, Y = basis[:, :2] * [10, 1], basis[:, [0, 2]] * [1, 10]
    assert MEASURES["pwcca"](X, Y, variance=1.0) == pytest.approx(10 / 11)
    assert MEASURES["pwcca"](Y, X, variance=1.0) == pytest.approx(1 / 11)


def test_equal_correlations_weigh_what_they_do_on_average_over_all_rotations():
    """Two of three canonical correlations are 1, and any two axes of their plane are canonical variates."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(np.column_stack([np.ones(50), rng.standard_normal((50, 4))]))[0][:, 1:]
    X, Y = basis[:, :3] @ rng.standard_normal((3, 5)), basis[:, [0, 1, 3]] @ rng.standard_normal((3, 3))
    angles = np.linspace(0, np.pi, 20_000, endpoint=False)
    turned = np.outer(np.cos(angles), basis[:, 0] @ X) + np.outer(np.sin(angles), basis[:, 1] @ X)
    tied, free = 2 * np.abs(turned).sum(1).mean(), np.abs(basis[:, 2] @ X).sum()
    assert MEASURES["pwcca"](X, Y, variance=1.0) == pytest.approx(tied / (tied + free), abs=1e-6)


def test_distance_correlation_is_that_of_covariances_of_distances():
    """Szekely et al. 2007, eq. 2.9: three sums of products of distances, without any centring."""
    X, Y = pair(2, 25, 3, 5)

    def covariance(A: np.ndarray, B: np.ndarray) -> float:
        return (A * B).mean() + A.mean() * B.mean() - 2 * (A.mean(0) * B.mean(0)).mean()

    A, B = (np.linalg.norm(Z[:, None] - Z[None], axis=2) for Z in (X, Y))
    wanted = covariance(A, B) / np.sqrt(covariance(A, A) * covariance(B, B))
    assert MEASURES["distance_correlation"](X, Y) == pytest.approx(wanted, abs=1e-12)


def test_procrustes_is_the_normalized_bures_similarity():
    """Fidelity tr (K^1/2 L K^1/2)^1/2 of the Gram matrices, divided by the root of their traces."""
    X, Y = pair(3, 20, 5, 7)
    K, L = (Z @ Z.T for Z in (X - X.mean(0), Y - Y.mean(0)))
    values, vectors = np.linalg.eigh(K)
    root = vectors @ np.diag(values.clip(0) ** 0.5) @ vectors.T
    fidelity = np.sqrt(np.linalg.eigvalsh(root @ L @ root).clip(0)).sum()
    wanted = fidelity / np.sqrt(np.trace(K) * np.trace(L))
    assert MEASURES["procrustes"](X, Y) == pytest.approx(wanted, abs=1e-7)
