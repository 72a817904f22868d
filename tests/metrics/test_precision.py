"""float32 features as models give them: within 1e-5 of the float64 definition, neighbours exactly."""

import numpy as np
import plain_definitions as plain
import pytest

from vilbert_lib.metrics import MEASURES, alignment_grid

PREDICTIONS = ("r2",)  # not bounded from below, and so compared by its own size


def stream(seed: int, n: int, d: int, layers: int = 4, mean: float = 5.0, noise: float = 0.3) -> dict:
    """Layers of one residual stream: low rank, noise, and a mean with a few large features that all rows share."""
    rng = np.random.default_rng(seed)

    def low_rank() -> np.ndarray:
        return rng.standard_normal((n, 12)) @ rng.standard_normal((12, d)) / 12**0.5

    common = mean * rng.standard_normal(d) * np.exp(1.5 * rng.standard_normal(d))
    state, states = low_rank(), {}
    for i in range(layers):
        state = state + noise * low_rank() + 0.1 * rng.standard_normal((n, d))
        states[f"l{i}"] = (state + common).astype(np.float32)
    return states


def spectrum(n: int, d: int, values) -> dict:
    """Layers whose singular values fall as ``values`` does with their number, and that share half."""
    rng = np.random.default_rng(0)
    rank = min(n - 1, d)
    common, layers = rng.standard_normal((n, rank)), {}
    for i in range(3):
        left, _, right = np.linalg.svd(common + rng.standard_normal((n, rank)), full_matrices=False)
        readout = np.linalg.qr(rng.standard_normal((d, rank)))[0].T
        layers[f"l{i}"] = (left * values(np.arange(1.0, rank + 1)) @ right @ readout).astype(np.float32)
    return layers


def with_outlier(features: dict) -> dict:
    """One row many times as far from the mean as all others."""
    layers = {name: x.copy() for name, x in features.items()}
    for x in layers.values():
        x[5] = x.mean(0) + 30 * (x[5] - x.mean(0))
    return layers


CASES = {
    "stream 64 x 64": lambda: stream(0, 64, 64),
    "stream 64 x 768": lambda: stream(1, 64, 768),
    "stream 256 x 64": lambda: stream(2, 256, 64, layers=3),
    "stream 128 x 128": lambda: stream(3, 128, 128),
    "large mean": lambda: stream(4, 64, 256, mean=300.0),
    "slow change": lambda: stream(5, 64, 128, noise=0.003),
    "twins": lambda: {name: np.repeat(x, 2, 0) for name, x in stream(6, 48, 128).items()},
    "outlier": lambda: with_outlier(stream(7, 64, 128)),
    "wide": lambda: spectrum(32, 4096, lambda i: np.ones_like(i)),
    "slowly falling": lambda: spectrum(96, 128, lambda i: 1 / i),
    "steep": lambda: spectrum(96, 128, lambda i: i**-3),
    "steep and narrow": lambda: spectrum(128, 48, lambda i: i**-2),
    "very steep": lambda: spectrum(64, 128, lambda i: np.exp(-i / 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_float32_features_give_the_float64_values(case):
    """Every pair in both directions, and each layer with itself."""
    low = CASES[case]()
    pairs = [(x, y) for x in low for y in low]
    measured = alignment_grid(low, MEASURES, pairs=pairs)
    exact = alignment_grid({name: x.astype(np.float64) for name, x in low.items()}, MEASURES, pairs=pairs)
    for name in MEASURES:
        found, wanted = (frame.value[frame.measure == name].to_numpy() for frame in (measured, exact))
        tolerance = 1e-12 if MEASURES[name].uses_k else 1e-5
        np.testing.assert_allclose(found, wanted, rtol=1e-5 if name in PREDICTIONS else 0, atol=tolerance)


@pytest.mark.parametrize(
    "case", ["stream 64 x 64", "large mean", "twins", "steep", "steep and narrow", "very steep"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_are_near_the_plain_definition(case, dtype):
    """The test above would not see what both lose alike."""
    X, Y = list(CASES[case]().values())[:2]
    for name in MEASURES:
        if name in ("lcs_knn", "edit_knn", "wasserstein"):  # slow; they see neighbours and cosines as others do
            continue
        if name == "r2_ols" and case == "very steep":  # has no rank: its values pass through any threshold
            continue
        exact = 1e-12 if MEASURES[name].uses_k else 1e-5 if dtype == np.float32 else 1e-8
        wanted = plain.PLAIN[name](X.astype(float), Y.astype(float))
        assert MEASURES[name](X.astype(dtype), Y.astype(dtype)) == pytest.approx(wanted, rel=exact, abs=exact), (
            name
        )


@pytest.mark.parametrize("case", ["stream 64 x 768", "large mean", "wide", "steep and narrow"])
def test_chance_levels_of_float32_features(case):
    low = CASES[case]()
    closed = [name for name in MEASURES if MEASURES[name].moments]
    measured = alignment_grid(low, closed, null="exact")
    exact = alignment_grid({name: x.astype(np.float64) for name, x in low.items()}, closed, null="exact")
    np.testing.assert_allclose(measured.chance, exact.chance, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(measured.chance_sd, exact.chance_sd, rtol=1e-4, atol=1e-5)


def test_the_order_of_sums_costs_no_digits_of_many_samples():
    """n = 600 has 180 000 terms a product: more than are summed in one go in float32."""
    low = stream(8, 600, 32, layers=2)
    names = ["cka", "cka_rbf", "unbiased_cka", "rsa", "r2", "r2_ols"]
    measured = alignment_grid(low, names)
    exact = alignment_grid({name: x.astype(np.float64) for name, x in low.items()}, names)
    np.testing.assert_allclose(measured.value, exact.value, atol=1e-6)
