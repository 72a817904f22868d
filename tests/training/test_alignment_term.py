"""Alignment as a term of the loss: the measures themselves, with gradients that are right, and clear errors."""

import dataclasses

import pytest
import torch
from torch.autograd import gradcheck

from vilbert_lib import runs
from vilbert_lib.config import RunConfig, TrainConfig, from_dict, to_dict
from vilbert_lib.metrics import MEASURES
from vilbert_lib.training.alignment_term import soft_mknn, unbiased_cka


def drawn(n, d, seed):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pair(n, d=6, e=4):
    x = drawn(n, d, 0)
    return x, x[:, :e] + drawn(n, e, 1)


@pytest.mark.parametrize("n", [4, 5, 33])
def test_minibatch_cka_is_the_measure_of_this_name(n):
    x, y = pair(n)
    assert float(unbiased_cka(x, y)) == pytest.approx(MEASURES["unbiased_cka"](x, y), abs=1e-12)
    assert float(unbiased_cka(x, 3 * x + 7)) == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_soft_neighbours_become_the_hard_ones(k):
    x, y = pair(40)
    hard = MEASURES["mknn"](x - x.mean(0), y - y.mean(0), k=k)
    far, near = (abs(float(soft_mknn(x, y, k, sharpness)) - hard) for sharpness in (0.1, 1e-6))
    assert near < 1e-6 < far
    assert float(soft_mknn(x, x, k)) == pytest.approx(1)


@pytest.mark.parametrize("mean", [0, 2, 5, 20])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_soft_neighbours_ignore_a_common_mean_and_a_common_scale(mean, scale):
    def value_and_gradient(mean, scale):
        y_there = ((y + mean) * scale).requires_grad_()
        value = soft_mknn((x + mean) * scale, y_there, 5)
        [gradient] = torch.autograd.grad(value, y_there)
        return float(value.detach()), gradient * scale

    x, y = (features.float() for features in pair(32, 16, 12))
    value, gradient = value_and_gradient(mean, scale)
    wanted, wanted_gradient = value_and_gradient(0, 1)
    assert 0.3 < wanted < 0.9 and wanted_gradient.norm() > 0.05
    assert value == pytest.approx(wanted, rel=1e-4)
    torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-2, atol=1e-4)


def test_samples_at_the_centre_and_equal_similarities_have_finite_gradients():
    simplex = torch.eye(6, dtype=torch.float64)  # all cosines are equal after centring
    centre = torch.cat([simplex, simplex.mean(0, keepdim=True)])
    for x in (simplex, centre):
        x = x.clone().requires_grad_()
        value = soft_mknn(x, drawn(len(x), 3, 0), 2)
        [gradient] = torch.autograd.grad(value, x)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


@pytest.mark.parametrize("measure", [unbiased_cka, lambda x, y: soft_mknn(x, y, 3)])
def test_under_autocast_the_measures_are_computed_in_float32(measure):
    x, y = (features.float() + 3 for features in pair(32))
    for features in ((x, y), (x.bfloat16(), y.bfloat16())):
        wanted = measure(*(f.float() for f in features))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(measure(*features), wanted)


def test_gradients_are_those_of_small_differences():
    x, y = (features.requires_grad_() for features in pair(8))
    assert gradcheck(unbiased_cka, (x, y))
    assert gradcheck(lambda x, y: soft_mknn(x, y, 3), (x, y))


@pytest.mark.parametrize("measure", [unbiased_cka, lambda x, y: soft_mknn(x, y, 1)])
def test_too_few_samples_and_constant_features_are_named(measure):
    x, y = pair(8)
    with pytest.raises(ValueError, match=r"X has 3 samples.*at least 4"):
        measure(x[:3], y[:3])
    with pytest.raises(ValueError, match="Y is the same for all 8 samples"):
        measure(x, torch.full_like(y, 0.1))
    with pytest.raises(ValueError, match=r"X is the same.*or not finite"):
        measure(x * torch.nan, y)


def test_samples_of_which_one_differs_have_no_unbiased_cka():
    x, _ = pair(8)
    odd = torch.ones(8, 3, dtype=torch.float64)
    odd[5] = torch.tensor([2.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="Y is the same for all but one of 8 samples"):
        unbiased_cka(x, odd)
    odd[6, 1] = 3.0
    assert torch.isfinite(unbiased_cka(x, odd))


def test_k_must_leave_someone_outside():
    with pytest.raises(ValueError, match=r"k=7 must lie in 1..6 for 8 samples"):
        soft_mknn(*pair(8), 7)


def test_runs_from_before_the_term_keep_their_ids():
    assert not [name for name in to_dict(TrainConfig()) if name.startswith("alignment")]
    pushed = TrainConfig(alignment_weight=-0.5, alignment_layers=(3, 4), alignment_term="mknn")
    assert from_dict(TrainConfig, to_dict(pushed)) == pushed
    config = RunConfig(task="easy_vqa", architecture="baseline", train=pushed)
    assert config.id != dataclasses.replace(config, train=TrainConfig()).id


def test_settings_that_fail_late_are_refused_early(tiny_root, tiny_profile):
    def configure(**train):
        return runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", train=train)

    with pytest.raises(ValueError, match="batch_size 3: alignment_term 'unbiased_cka' needs at least 4"):
        configure(alignment_weight=1.0, batch_size=3)
    with pytest.raises(ValueError, match="batch_size 6: alignment_term 'mknn' needs at least 7"):
        configure(alignment_weight=1.0, batch_size=6, alignment_term="mknn")
    with pytest.raises(ValueError, match="leaves 2 samples for the last batch"):
        configure(alignment_weight=1.0, n_train=10)
    with pytest.raises(ValueError, match=r"alignment_layers \[99\]: the streams have"):
        configure(alignment_layers=[99])
    with pytest.raises(ValueError, match=r"alignment_weight 1\.0: a labelled task and two streams"):
        runs.configure(tiny_profile, tiny_root, "hateful_memes", "text_only", train={"alignment_weight": 1.0})


@pytest.mark.slow
@pytest.mark.parametrize("term", ["unbiased_cka", "mknn"])
def test_a_weight_moves_the_alignment_that_is_measured(term, tiny_root, tiny_profile, tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path))
    train = {"epochs": 10, "batch_size": 32, "lr": 5e-3, "alignment_term": term}
    configs = [
        runs.configure(
            tiny_profile, tiny_root, "hateful_memes", "middle_fusion", train=train | {"alignment_weight": weight}
        )
        for weight in (-2.0, 0.0, 2.0)
    ]
    away, free, together = runs.ensure(configs, tiny_root)
    assert "train_alignment" in together.metrics and "train_alignment" not in free.metrics
    ends = [run.metrics.train_alignment.iloc[-1] for run in (away, together)]
    print([run.metrics.train_alignment.round(3).tolist() for run in (away, together)])
    assert ends[1] > ends[0] + 0.1
