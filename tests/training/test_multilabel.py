"""Tasks with several labels a sample: the loss, the figures, and that they are learned."""

from types import SimpleNamespace

import pytest
import torch
from fixed import Fixed

from vilbert_lib.config import TrainConfig
from vilbert_lib.training import finetune, losses

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 1.0, -0.5], [1.0, -2.0, -4.0], [0.2, 0.1, 0.3]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def batch(rows=slice(None)):
    return {"input_ids": None, "attention_mask": None, "pixel_values": LOGITS[rows], "label": LABELS[rows]}


def test_the_loss_is_the_mean_over_samples_and_labels():
    loss, sums = losses.classification(TrainConfig(), "multilabel")(Fixed(3), batch())
    p = torch.sigmoid(LOGITS)
    wanted = -(LABELS * p.log() + (1 - LABELS) * (1 - p).log()).mean()
    torch.testing.assert_close(loss, wanted)
    assert losses.means(sums, "train") == pytest.approx({"train_loss": float(wanted), "train_accuracy": 9 / 12})


def test_figures_are_counted_label_by_label(monkeypatch):
    """Of twelve answers nine are right; by label (hits, false alarms, misses): (2, 1, 0), (2, 0, 0), (1, 1, 1)."""
    parts = [batch(slice(0, 3)), batch(slice(3, 4))]
    monkeypatch.setattr(finetune, "evaluation_batches", lambda *_: iter(parts))
    figures = finetune.evaluate(Fixed(3), SimpleNamespace(), kind="multilabel", prefix="test")
    f1 = [2 * 2 / (2 * 2 + 1), 1.0, 2 / (2 + 1 + 1)]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, LABELS)
    assert figures == pytest.approx(
        {
            "test_loss": float(loss),
            "test_accuracy": 9 / 12,
            "test_micro_f1": 2 * 5 / (2 * 5 + 2 + 1),
            "test_macro_f1": sum(f1) / 3,
            "test_classes_predicted": 4,  # each row is another set of labels
        }
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_one_label_for_some_samples_is_not_one_prediction_for_all(monkeypatch, sign):
    def predicted(logits):
        parts = [batch(slice(0, 2)) | {"pixel_values": rows} for rows in logits.split(2)]
        monkeypatch.setattr(finetune, "evaluation_batches", lambda *_: iter(parts))
        found = finetune.evaluate(Fixed(3), SimpleNamespace(), kind="multilabel", prefix="test")
        return found["test_classes_predicted"]

    logits = torch.full((4, 3), 2.0 * sign)
    assert predicted(logits) == 1  # none of the labels, or all of them
    logits[2, 1] *= -1
    assert predicted(logits) == 2
