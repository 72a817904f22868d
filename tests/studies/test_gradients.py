"""The share of signal in gradients: right where it is known, and nothing where a loss pulls nowhere."""

import pytest
import torch

from studies import gradients
from vilbert_lib import runs


def test_signal_and_noise_are_found_where_they_are_known():
    generator = torch.Generator().manual_seed(0)
    mean = torch.zeros(200, dtype=torch.float64)
    mean[0] = 3.0
    drawn = mean + torch.randn(400, 200, generator=generator, dtype=torch.float64)
    found = gradients._ratio(drawn)
    assert found["signal"] == pytest.approx(9, rel=0.1) and found["noise"] == pytest.approx(200, rel=0.02)
    assert abs(found["ratio"] - 9 / 200) < 4 * found["error"] < 0.045


def test_where_the_mean_is_zero_so_is_the_signal():
    drawn = torch.randn(300, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = gradients._ratio(drawn)
    assert abs(found["ratio"]) < 4 * found["error"] < 0.02


def test_every_objective_has_a_row(tiny_root, tiny_profile):
    config = runs.configure(
        tiny_profile, tiny_root, "conceptual_captions", "middle_fusion", objectives=("mlm", "ap", "mim")
    )
    data, model = runs.dataset(config, tiny_root, "train"), runs.build_model(config, tiny_root)
    table = gradients.signal_to_noise(model, data, count=4, batch_size=8)
    assert list(table.objective) == ["mlm", "ap", "mim"] and (table.noise > 0).all()
    assert table.ratio.notna().all() and (table.error > 0).all()
    few = gradients.signal_to_noise(model, data, batch_size=64)
    assert list(few.objective) == ["mlm", "ap", "mim"] and few[["signal", "ratio", "error"]].isna().all(axis=None)
