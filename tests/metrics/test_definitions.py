"""Every measure against its plain definition, on ordinary and on hard features."""

from itertools import permutations

import numpy as np
import plain_definitions as plain
import pytest
from made_features import HARD, NEED_EQUAL_WIDTHS, hard, pair, tokens

from vilbert_lib.metrics import MEASURES

# n, d, e, k: the fewest samples, k = n-1, width 1, more features than samples, very wide beside narrow.
SHAPES = [
    (4, 3, 3, 3),
    (4, 1, 2, 1),
    (5, 2, 7, 4),
    (9, 4, 7, 3),
    (12, 40, 30, 11),
    (16, 4096, 4, 5),
    (20, 1, 3, 5),
    (30, 12, 5, 10),
]


def check(name: str, X: np.ndarray, Y: np.ndarray, **settings) -> None:
    """Compare in both directions."""
    for first, second in ((X, Y), (Y, X)):
        wanted = plain.PLAIN[name](first, second, **settings)
        # A distance of alike shapes is the root of a rounding.
        tolerance = 1e-6 if name == "procrustes_distance" and wanted < 1e-3 else 1e-9
        assert MEASURES[name](first, second, **settings) == pytest.approx(wanted, rel=1e-9, abs=tolerance)


def test_every_measure_has_a_plain_definition():
    assert set(plain.PLAIN) == set(MEASURES)


@pytest.mark.parametrize(("n", "d", "e", "k"), SHAPES)
@pytest.mark.parametrize("name", MEASURES)
def test_shapes(name, n, d, e, k):
    check(name, *pair(1, n, d, d if name in NEED_EQUAL_WIDTHS else e), k=k)


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("name", MEASURES)
def test_hard_features(name, kind):
    check(name, *hard(kind), k=4)
    check(name, *hard(kind, n=12, d=30), k=3)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(("svcca", {"q": q}) for q in (1, 3, 50)),
        *(("cca", {"variance": variance}) for variance in (0.3, 0.9, 1.0)),
        *(("cka_rbf", {"threshold": threshold}) for threshold in (0.3, 3.0)),
        *(("r2", {"penalty": penalty}) for penalty in (1e-6, 0.5, 1e3)),
    ],
    ids=str,
)
@pytest.mark.parametrize(("d", "e"), [(6, 8), (40, 11), (12, 30)])
def test_settings(name, settings, d, e):
    check(name, *pair(2, 13, d, e), **settings)


@pytest.mark.parametrize("masked", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("name", ["max_sim_tp", "max_sim_pt"])
def test_masked_tokens_are_left_out(name, masked):
    X, Y, *masks = tokens(0)
    given = {key: mask for key, mask, used in zip(("x_mask", "y_mask"), masks, masked, strict=True) if used}
    assert MEASURES[name](X, Y, **given) == pytest.approx(plain.PLAIN[name](X, Y, **given), abs=1e-12)


@pytest.mark.parametrize("name", ["max_sim_tp", "max_sim_pt"])
def test_what_a_mask_leaves_out_is_never_read(name):
    X, Y, x_mask, y_mask = tokens(1)
    value = MEASURES[name](X, Y, x_mask=x_mask, y_mask=y_mask)
    X[~x_mask], Y[~y_mask] = 50.0, -30.0
    assert MEASURES[name](X, Y, x_mask=x_mask, y_mask=y_mask) == pytest.approx(value, abs=1e-12)


def test_more_samples_than_are_compared_in_one_go():
    X, Y, x_mask, y_mask = tokens(2, n=70, texts=2, patches=3)
    wanted = plain.max_sim_tp(X, Y, x_mask, y_mask)
    assert MEASURES["max_sim_tp"](X, Y, x_mask=x_mask, y_mask=y_mask) == pytest.approx(wanted, abs=1e-12)


def test_patches_and_single_features_can_be_compared():
    X, Y, _, y_mask = tokens(3)
    X = X[:, 0]
    assert MEASURES["max_sim_tp"](X, Y, y_mask=y_mask) == pytest.approx(plain.max_sim_tp(X, Y, None, y_mask))


@pytest.mark.parametrize("n", [4, 5, 6])
def test_wasserstein_is_the_best_of_all_assignments(n):
    X, Y = pair(3, n, 3, 3)
    cost = np.array([[1 - plain.cosine_similarity(a, b) for b in Y] for a in X])
    best = min(np.mean([cost[i, j] for i, j in enumerate(order)]) for order in permutations(range(n)))
    assert MEASURES["wasserstein"](X, Y) == pytest.approx(best, abs=1e-12)


def test_cknna_of_all_neighbours_is_the_unbiased_cka_of_directions():
    X, Y = pair(4, 14, 6, 9)
    unit = [Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, Y)]
    assert MEASURES["cknna"](X, Y, k=13) == pytest.approx(plain.unbiased_cka(*unit), abs=1e-12)


def test_cknna_without_any_likeness_of_neighbours_is_zero():
    Y, _ = pair(0, 20, 3, 3)
    assert MEASURES["cknna"](np.eye(20), Y, k=4) == 0 == MEASURES["cknna"](np.eye(20), np.eye(20), k=4)


def test_the_nearest_neighbour_of_a_twin_is_its_twin():
    X, _ = hard("twins", n=10)
    assert plain.neighbours(X, 1) == [[i ^ 1] for i in range(10)]
    swapped = X.reshape(5, 2, -1)[[1, 2, 3, 4, 0]].reshape(10, -1)
    assert MEASURES["mknn"](X, swapped, k=1) == 1


def test_rsa_without_an_order_is_zero():
    """Features of width 1 have no correlation, those of a one-hot code are all equally far apart."""
    X, Y = pair(0, 20, 1, 3)
    assert MEASURES["rsa"](X, Y) == 0 == MEASURES["rsa"](X, X)
    assert MEASURES["rsa"](np.eye(20), Y) == 0


def test_svcca_averages_over_the_directions_that_there_are():
    X, _ = pair(5, 40, 3, 3)
    rng = np.random.default_rng(0)
    assert MEASURES["svcca"](X @ rng.standard_normal((3, 20)), X @ rng.standard_normal((3, 30))) == pytest.approx(
        1
    )
    basis = np.linalg.qr(np.column_stack([np.ones(40), rng.standard_normal((40, 3))]))[0]
    assert MEASURES["svcca"](basis[:, [1, 2]], basis[:, [1, 3]]) == pytest.approx(0.5)
