"""The learning rate follows its schedule, and only weights of matrices are decayed."""

from itertools import pairwise

import pytest

from vilbert_lib.config import TrainConfig, arrange
from vilbert_lib.model.heads import Classifier
from vilbert_lib.training.loop import learning_rate, optimizer_of


def test_learning_rate_warms_up_and_falls_to_its_floor():
    config = TrainConfig(lr=1.0, warmup_fraction=0.1, floor_fraction=0.05)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] == pytest.approx(0.05, abs=0.01) and min(rates[10:]) >= 0.05


def test_biases_and_norms_are_not_decayed(tiny_profile):
    model = Classifier(arrange(tiny_profile.model, "middle_fusion"), 2)
    decayed, free = optimizer_of(model, TrainConfig(weight_decay=0.01)).param_groups
    assert decayed["weight_decay"] == 0.01 and free["weight_decay"] == 0.0
    assert all(p.ndim > 1 for p in decayed["params"]) and all(p.ndim <= 1 for p in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))
