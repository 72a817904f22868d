"""The permutation tests' own promise: independent features are called aligned as often as alpha says."""

import numpy as np
import pytest

from vilbert_lib.metrics import MEASURES, alignment_grid

MEASURED = ("cka", "mknn")
PERMUTATIONS = 59  # p <= .05 has a chance of exactly 3/60


def beyond_chance(rate: float, alpha: float, trials: int) -> float:
    """Standard errors by which a rate lies above alpha."""
    return (rate - alpha) / (alpha * (1 - alpha) / trials) ** 0.5


def independent_pairs(trials: int, make) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    rng = np.random.default_rng(0)
    layers = {f"{side}{i}": make(rng) for i in range(trials) for side in "xy"}
    return layers, [(f"x{i}", f"y{i}") for i in range(trials)]


@pytest.mark.parametrize("name", [*MEASURED, "rsa"])
def test_p_of_independent_features_is_uniform(name):
    trials = 300
    layers, pairs = independent_pairs(trials, lambda rng: rng.standard_normal((20, 5)))
    frame = alignment_grid(layers, [name], pairs=pairs, null="permutation", permutations=PERMUTATIONS, k=4)
    for alpha in (0.05, 0.25, 0.5):
        error = beyond_chance((frame.p <= alpha + 1e-9).mean(), alpha, trials)
        # Values of mutual kNN come in steps: its p is a little large, never small.
        assert (-7 if name == "mknn" else -3.3) < error < 3.3
    assert (frame.calibrated > 0).mean() <= (frame.p <= 0.05 + 1e-9).mean()


@pytest.mark.parametrize("make", ["classes", "counts"])
@pytest.mark.parametrize("name", ["mknn", "cycle_knn", "lcs_knn"])
def test_ties_are_no_evidence(name, make):
    """Ties go to the first sample on either side, and independent codes come to share neighbours."""
    trials, n = 60, 30
    draw = {
        "classes": lambda rng: np.eye(4)[rng.integers(0, 4, n)],
        "counts": lambda rng: rng.poisson(0.3, (n, 6)).astype(float),
    }[make]
    layers, pairs = independent_pairs(trials, draw)
    frame = alignment_grid(layers, [name], pairs=pairs, null="permutation", permutations=PERMUTATIONS, k=4)
    assert beyond_chance((frame.p <= 0.05 + 1e-9).mean(), 0.05, trials) < 3.3
    if name == "mknn":
        assert frame.value.mean() > 1.1 * 4 / (n - 1)  # what lists without ties would share
        assert frame.value.mean() == pytest.approx(frame.chance.mean(), rel=0.1)


@pytest.mark.parametrize("name", MEASURED)
def test_the_best_of_correlated_layers_is_held_to_a_higher_standard(name):
    """Three layers a side that share most of themselves, and nothing with the other side."""
    trials, n, rng = 130, 16, np.random.default_rng(1)
    plain, corrected = [], []
    for _ in range(trials):
        layers = {}
        for side in "xy":
            common = rng.standard_normal((n, 6))
            layers |= {f"{side}{i}": common + 0.8 * rng.standard_normal((n, 6)) for i in range(3)}
        pairs = [(f"x{i}", f"y{j}") for i in range(3) for j in range(3)]
        frame = alignment_grid(layers, [name], pairs=pairs, null="permutation", permutations=PERMUTATIONS, k=4)
        best = frame.value.idxmax()
        assert frame.p_max[best] == frame.p_max.min()
        plain.append(frame.p.min() <= 0.05 + 1e-9)
        corrected.append(frame.p_max[best] <= 0.05 + 1e-9)
    assert abs(beyond_chance(np.mean(corrected), 0.05, trials)) < 3.3
    assert beyond_chance(np.mean(plain), 0.05, trials) > 5


@pytest.mark.parametrize("name", ["unbiased_cka", "mknn"])
def test_rows_of_one_image_must_change_places_together(name):
    """Four rows an image on either side: row by row they are no longer exchangeable."""
    trials, images = 120, 10

    def rows_of_images(rng):
        return np.repeat(rng.standard_normal((images, 6)), 4, 0) + 0.5 * rng.standard_normal((4 * images, 6))

    layers, pairs = independent_pairs(trials, rows_of_images)
    rates = []
    for blocks in (None, np.repeat(np.arange(images), 4)):
        frame = alignment_grid(
            layers, [name], pairs=pairs, null="permutation", permutations=PERMUTATIONS, blocks=blocks, k=5
        )
        rates.append(beyond_chance((frame.p <= 0.05 + 1e-9).mean(), 0.05, trials))
    assert rates[0] > 10
    assert abs(rates[1]) < 3.3


def test_alignment_that_is_there_is_found():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 6))
    layers = {"x": X, "y": X + rng.standard_normal((30, 6))}
    names = [name for name in MEASURES if MEASURES[name].paired]
    frame = alignment_grid(layers, names, null="permutation", permutations=PERMUTATIONS, k=5)
    assert (frame.p <= 0.05 + 1e-9).all() and (frame.p_max <= 0.05 + 1e-9).all() and (frame.calibrated > 0).all()
