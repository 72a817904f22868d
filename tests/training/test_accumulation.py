"""Accumulated batches give the mean over the targets of all of them, in the loss and in what is logged."""

import pandas as pd
import pytest
import torch

from vilbert_lib import runs
from vilbert_lib.config import TrainConfig
from vilbert_lib.data.datasets import batches
from vilbert_lib.training import losses
from vilbert_lib.training.samples import class_weights

ALL = ("mlm", "ap", "mim")
OFF = {f"{name}_weight": 0.0 for name in ALL}


@pytest.fixture(scope="module")
def prepare(tiny_root, tiny_profile):
    """A function that gives model, dataset and batches of 8, 8, 8 and 5 samples of a task."""

    def made(task, objectives=()):
        config = runs.configure(
            tiny_profile, tiny_root, task, "late_fusion", objectives=objectives, model={"dropout": 0.0}
        )
        data = runs.dataset(config, tiny_root, "train")
        order = torch.arange(29).numpy()
        model = runs.build_model(config, tiny_root)
        return model, data, list(batches(data, order, 8)), next(batches(data, order, 29))

    return made


def gradients_of(model, parts):
    """Loss, gradients and logged means of ``parts``, pairs of a loss and its sums."""
    model.zero_grad()
    total, sums = 0.0, {}
    for loss, own in parts:
        loss.backward()
        total += float(loss.detach())
        for name, value in own.items():
            sums[name] = sums.get(name, 0) + value.double()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return total, gradients, losses.means(sums, "t")


def assert_same(found, wanted):
    assert found[0] == pytest.approx(wanted[0], rel=1e-5)
    assert found[1].norm() > 0
    assert (found[1] - wanted[1]).norm() < 1e-4 * wanted[1].norm()
    assert found[2] == pytest.approx(wanted[2], rel=1e-5)


@pytest.mark.parametrize(
    ("task", "objectives", "weighted"),
    [
        ("conceptual_captions", ("mlm",), False),
        ("conceptual_captions", ("ap",), False),
        ("hateful_memes", (), False),
        ("hateful_memes", (), True),
        ("mm_imdb", (), False),
        ("mm_imdb", (), True),
    ],
)
def test_four_batches_are_one_large_batch(prepare, task, objectives, weighted):
    model, data, small, whole = prepare(task, objectives)
    kind = "multilabel" if task == "mm_imdb" else "binary"
    weights = class_weights(data.labels, model.head.out_features) if weighted else None
    objective = (
        losses.pretraining(objectives, TrainConfig())
        if objectives
        else losses.classification(TrainConfig(), kind, weights)
    )
    found = gradients_of(model, [objective(model, batch, small) for batch in small])
    assert_same(found, gradients_of(model, [objective(model, whole)]))


@pytest.mark.parametrize(
    ("train", "targets", "logged"),
    [
        ({"alignment_weight": 0.5, "contrastive_weight": 0.5}, "label", ("alignment", "contrastive_loss")),
        ({"alignment_weight": 0.5, "alignment_term": "mknn"}, "label", ("alignment",)),
        (OFF | {"contrastive_weight": 1.0}, "aligned_index", ("contrastive_loss",)),
        (OFF | {"mim_weight": 1.0}, "mim_index", ("mim_loss",)),
    ],
)
def test_terms_within_a_batch_are_averaged_over_the_targets_of_all(prepare, train, targets, logged):
    config = TrainConfig(alignment_k=2, **train)
    if targets == "label":
        model, _, small, _ = prepare("hateful_memes")
        objective = losses.classification(config, "binary")
    else:
        model, _, small, _ = prepare("conceptual_captions", ALL)
        objective = losses.pretraining(ALL, config)
    counts = [len(batch[targets]) for batch in small]
    shares = [n / sum(counts) for n in counts]
    assert len(set(counts)) > 1
    found = gradients_of(model, [objective(model, batch, small) for batch in small])
    alone = [objective(model, batch) for batch in small]
    means = [losses.means(sums, "t") for _, sums in alone]
    wanted = gradients_of(model, [(loss * share, {}) for (loss, _), share in zip(alone, shares, strict=True)])
    names = ["t_loss", *(f"t_{name}" for name in logged)]
    mean = {name: sum(m[name] * share for m, share in zip(means, shares, strict=True)) for name in names}
    assert_same((*found[:2], {name: found[2][name] for name in names}), (*wanted[:2], mean))


def test_the_curves_of_accumulated_batches_are_those_of_one_large_batch(
    tiny_root, tiny_profile, tmp_path, monkeypatch
):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path))
    curves = []
    for train in ({"batch_size": 32, "accumulation": 1}, {"batch_size": 4, "accumulation": 8}):
        config = runs.configure(
            tiny_profile, tiny_root, "conceptual_captions", "early_fusion", objectives=("mlm", "ap"),
            train=train | {"n_train": 30, "epochs": 1}, model={"dropout": 0.0},
        )  # fmt: skip
        curves.append(runs.train(config, tiny_root).metrics)
    names = ["train_loss", *(f"{part}_{name}_loss" for part in ("train", "val") for name in ("mlm", "ap"))]
    pd.testing.assert_frame_equal(*(curve[names] for curve in curves), rtol=1e-5)
