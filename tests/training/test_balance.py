"""Under the weights, and in what is drawn, every class counts the same."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vilbert_lib import runs
from vilbert_lib.config import TrainConfig
from vilbert_lib.training import losses
from vilbert_lib.training.samples import class_weights, label_counts, sampling_shares

LABELS = np.array([0] * 7 + [1] * 2 + [3])
SETS = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32)


def test_every_class_weighs_and_is_drawn_alike():
    weights, shares = class_weights(LABELS, 4).numpy(), sampling_shares(LABELS, 4)
    assert [weights[LABELS[c == LABELS]].sum() for c in (0, 1, 3)] == pytest.approx([2.5] * 3)
    assert np.isfinite(weights).all()
    assert [shares[c == LABELS].sum() for c in (0, 1, 3)] == pytest.approx([1 / 3] * 3)
    assert label_counts(LABELS, 4).tolist() == [7, 2, 0, 1] and label_counts(SETS, 3).tolist() == [3, 1, 0]


def test_of_several_labels_each_is_balanced_and_a_sample_is_drawn_as_its_rarest():
    weights = class_weights(SETS, 3).numpy()
    assert weights[:2] == pytest.approx([1 / 3, 3]) and weights[2] == 3  # the third never occurs
    assert sampling_shares(SETS, 3) == pytest.approx(np.array([1, 3, 1, 1]) / 6)


def test_the_loss_with_weights_is_that_of_torch(tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline")
    data, model = runs.dataset(config, tiny_root, "train"), runs.build_model(config, tiny_root).eval()
    batch, weights = data.__getitems__(list(range(len(data)))), class_weights(data.labels, 2)
    loss, _ = losses.classification(TrainConfig(), "binary", weights)(model, batch)
    wanted = F.cross_entropy(losses.forward(model, batch)[0], batch["label"], weight=weights)
    torch.testing.assert_close(loss, wanted)
    assert float(loss) != pytest.approx(float(losses.classification(TrainConfig(), "binary")(model, batch)[0]))


@pytest.mark.parametrize("task", ["hateful_memes", "mm_imdb"])
def test_balance_changes_what_is_learned(tiny_root, tiny_profile, tmp_path, monkeypatch, task):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path))
    left = [
        runs.train(
            runs.configure(tiny_profile, tiny_root, task, "baseline", train={"balance": balance, "epochs": 1}),
            tiny_root,
        ).summary["test_loss"]
        for balance in ("none", "weights", "sampling")
    ]
    assert len(set(left)) == 3
