"""The share of signal in gradients: right where it is known, and nothing where a loss pulls nowhere."""

import gc
import weakref

import pytest
import torch

from studies import gradients
from vilbert_lib import runs


def ratio_of(drawn: torch.Tensor) -> dict[str, float]:
    return gradients._ratio(drawn.square().sum(1), drawn @ drawn.sum(0))


def test_signal_and_noise_are_found_where_they_are_known():
    generator = torch.Generator().manual_seed(0)
    mean = torch.zeros(200, dtype=torch.float64)
    mean[0] = 3.0
    drawn = mean + torch.randn(400, 200, generator=generator, dtype=torch.float64)
    found = ratio_of(drawn)
    assert found["signal"] == pytest.approx(9, rel=0.1) and found["noise"] == pytest.approx(200, rel=0.02)
    assert abs(found["ratio"] - 9 / 200) < 4 * found["error"] < 0.045


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


def test_the_streamed_estimates_are_those_of_all_gradients_together_and_one_gradient_is_held(
    tiny_root, tiny_profile, monkeypatch
):
    config = runs.configure(tiny_profile, tiny_root, "conceptual_captions", "middle_fusion", objectives=("mlm",))
    data, model = runs.dataset(config, tiny_root, "train"), runs.build_model(config, tiny_root)
    kept, alive, most = [], [], 0
    plain = torch.autograd.grad

    def grad(*arguments, **options):
        nonlocal most
        gc.collect()
        parts = plain(*arguments, **options)
        kept.append(torch.cat([part.flatten().double() for part in parts if part is not None]))
        alive.append(weakref.ref(parts[0]))
        most = max(most, sum(reference() is not None for reference in alive))
        return parts

    monkeypatch.setattr(torch.autograd, "grad", grad)
    [row] = gradients.signal_to_noise(model, data, count=5, batch_size=8).to_dict("records")
    assert len(kept) == 10 and most <= 2  # the one that is added, and the next
    gram = torch.stack(kept[:5]) @ torch.stack(kept[:5]).T
    assert torch.equal(torch.stack(kept[:5]), torch.stack(kept[5:]))

    def parts_of(products):
        n, own = len(products), products.trace()
        signal = (products.sum() - own) / (n * (n - 1))
        return signal, own / n - signal

    signal, noise = parts_of(gram)
    others = [[i for i in range(5) if i != left_out] for left_out in range(5)]
    ratios = torch.stack([torch.divide(*parts_of(gram[rest][:, rest])) for rest in others])
    error = (4 / 5 * ((ratios - ratios.mean()) ** 2).sum()).sqrt()
    expected = {"signal": signal, "noise": noise, "ratio": signal / noise, "error": error}
    assert {name: row[name] for name in expected} == pytest.approx({k: float(v) for k, v in expected.items()})
