"""Many samples: the values from covariances are those from n x n matrices, and take no such matrix."""

import numpy as np
import pandas as pd
import pytest
import torch

from vilbert_lib.metrics import MEASURES, alignment_grid, covariances, layers
from vilbert_lib.metrics.shape import Factors, batched, nuclear_norms, one_by_one

NARROW = ["cka", "unbiased_cka", "r2_ols"]  # with exact nulls
ALL_NARROW = [*NARROW, "svcca", "cca", "pwcca", "procrustes"]


@pytest.fixture(scope="module")
def features():
    """Layers of several widths and scales on 2,500 samples; the last lacks full rank."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((2500, 4))
    made = {
        f"layer {d}": 10.0 ** (d - 8) * (common @ rng.standard_normal((4, d)) + rng.standard_normal((2500, d)) + 5)
        for d in (5, 8, 11)
    }
    return made | {"twice": np.hstack([made["layer 5"], made["layer 5"]])}


@pytest.mark.parametrize("null", [None, "exact", "permutation"])
def test_values_and_nulls_are_those_of_n_by_n_matrices(features, null, monkeypatch):
    settings, names = {"null": null, "permutations": 3, "q": 3}, NARROW if null == "exact" else ALL_NARROW
    found = alignment_grid(features, names, **settings)
    monkeypatch.setattr(layers, "MANY", 10**9)
    wanted = alignment_grid(features, names, **settings)
    fitted = ["p", "threshold", "calibrated"] if null == "exact" else []  # by the limit of the skewness
    pd.testing.assert_frame_equal(found.drop(columns=fitted), wanted.drop(columns=fitted), rtol=0, atol=1e-10)
    for column in fitted:
        assert found[column].to_numpy() == pytest.approx(wanted[column].to_numpy(), rel=1e-2, abs=1e-6)


def test_measures_alone_take_the_same_way(features, monkeypatch):
    X, Y = features["layer 5"], features["layer 11"]
    found = [MEASURES[name](X, Y) for name in ALL_NARROW]
    monkeypatch.setattr(layers, "MANY", 10**9)
    assert found == pytest.approx([MEASURES[name](X, Y) for name in ALL_NARROW], abs=1e-10)


def test_a_hundred_thousand_samples_need_no_n_by_n_matrix(monkeypatch):
    """Such a matrix would take 80 GB; 2 GB are there."""
    monkeypatch.setattr(layers, "available_bytes", lambda device: 2e9)
    X = np.random.default_rng(0).standard_normal((100_000, 3)).astype(np.float32)
    table = alignment_grid({"a": X, "b": X[:, ::-1]}, NARROW, null="exact")
    assert table.value.tolist() == pytest.approx([1, 1, 1])
    values = alignment_grid({"a": X, "b": X[:, ::-1]}, ["svcca", "cca", "procrustes"]).value
    assert values.tolist() == pytest.approx([1, 1, 1])
    monkeypatch.setattr(layers, "available_bytes", lambda device: 1e3)
    with pytest.raises(MemoryError, match="covariances of 2 layers of 6 features in all need about"):
        alignment_grid({"a": X, "b": X}, ["cka"])


@pytest.mark.parametrize("shape", [(6, 40, 25), (6, 25, 40), (3, 64, 64)])
def test_nuclear_norms_by_products_are_sums_of_singular_values(shape):
    matrices = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrices[0] = 0
    matrices[1, :, 2:] = 0  # of low rank
    matrices[2] *= torch.logspace(0, -12, shape[2], dtype=torch.float64)  # of small singular values
    wanted = torch.linalg.svdvals(matrices).sum(1)
    error = (nuclear_norms(matrices) - wanted).abs() / torch.linalg.matrix_norm(matrices).clamp_min(1e-300)
    assert error.max() < 1e-8


@pytest.mark.parametrize("way", [one_by_one, batched])
def test_nuclear_norms_of_pairs_of_different_widths(way):
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(9, width, dtype=torch.float64, generator=generator) for width in (3, 5)]
    factors = Factors(made, [None, None], torch.float64)
    x, y = torch.tensor([[0, 0], [0, 1], [1, 1]]).T
    wanted = [torch.linalg.svdvals(made[a].T @ made[b]).sum() for a, b in zip(x, y, strict=True)]
    found = way(factors, factors, list(zip(x.tolist(), y.tolist(), strict=True)))
    torch.testing.assert_close(found, torch.stack(wanted))


def test_float32_products_of_many_features_give_the_float64_definition(monkeypatch):
    rng = np.random.default_rng(0)
    common = rng.standard_normal((2500, 4))
    made = {}
    for i, decay in enumerate((0, 0.5, 1)):
        noise = rng.standard_normal((2500, 30)) * np.arange(1, 31) ** -float(decay)
        made[f"{i}"] = (common @ rng.standard_normal((4, 30)) * (i < 2) + noise + 5).astype(np.float32)
    made["again"] = 3 * made["1"]
    monkeypatch.setattr(covariances, "MANY_FEATURES", 100)
    found = alignment_grid(made, NARROW, null="exact")
    monkeypatch.setattr(covariances, "MANY_FEATURES", 10**9)
    wanted = alignment_grid(made, NARROW, null="exact")
    columns = ["value", "chance", "chance_sd"]
    difference = (found[columns] - wanted[columns]).abs().to_numpy()
    assert 0 < difference.max() < 1e-6  # 0 would be the same way twice


@pytest.mark.parametrize(("smallest", "suffices"), [(1e-2, True), (1e-5, False)])
def test_layers_with_very_small_directions_have_float64_products(smallest, suffices, monkeypatch):
    """What is divided by a small singular value would show the rounding of a float32 product."""
    monkeypatch.setattr(covariances, "MANY_FEATURES", 4)
    X = np.random.default_rng(0).standard_normal((2500, 2, 3)).astype(np.float32)
    X[:, 1, 2] *= smallest
    made = layers.Layers(X)
    covariances.covariances(made, single=True)
    assert made.shared["covariances"][1] is suffices
    covariances.covariances(made)
    assert made.shared["covariances"][1] is False  # asked for by measures of small differences
