"""Measures against values that others computed, and against published ones."""

import json
from functools import cache

import numpy as np
import pytest
from made_features import REFERENCE, make

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
WITHOUT_REFERENCE = {"r2", "max_sim_tp", "max_sim_pt", "wasserstein"}


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
