"""What is minimised: classification, masked words, alignment prediction."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vilbert_lib.data.datasets import Batch
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.model.vilbert import Classifier, Output, PretrainingModel

#: Named sums over a batch; a name ending in ``_n`` counts, the others are divided by a count.
Sums = dict[str, Tensor]


def forward(model: Classifier | PretrainingModel, batch: Batch) -> tuple[Tensor, Output]:
    """Run ``model`` on the inputs of ``batch``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])


def classification(model: Classifier, batch: Batch) -> tuple[Tensor, Sums]:
    """Cross-entropy of the label, and the sums for its mean and the accuracy."""
    logits, _ = forward(model, batch)
    loss = F.cross_entropy(logits, batch["label"])
    with torch.no_grad():
        right = (logits.argmax(1) == batch["label"]).sum()
    count = torch.tensor(float(len(logits)))
    return loss, {"loss": loss.detach() * count, "accuracy": right, "n": count}


def multilabel(model: Classifier, batch: Batch) -> tuple[Tensor, Sums]:
    """Mean binary cross-entropy over the labels, and the sums for its mean and the label-wise accuracy."""
    logits, _ = forward(model, batch)
    loss = F.binary_cross_entropy_with_logits(logits, batch["label"])
    with torch.no_grad():
        right = ((logits > 0) == (batch["label"] > 0.5)).double().mean(1).sum()
    count = torch.tensor(float(len(logits)))
    return loss, {"loss": loss.detach() * count, "accuracy": right, "n": count}


def masked_words(model: PretrainingModel, output: Output, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the cross-entropies at the masked positions, how many are right, how many there are.

    The positions are gathered before the vocabulary decoder, which is the widest layer of all.
    """
    chosen = targets != IGNORED
    logits = model.predict_words(output.text_states[-1][chosen])
    wanted = targets[chosen]
    return (
        F.cross_entropy(logits, wanted, reduction="sum"),
        (logits.argmax(1) == wanted).sum(),
        chosen.sum(),
    )


def pretraining(objectives: tuple[str, ...]):
    """The loss of the chosen ``objectives``: the sum of each one's mean.

    A batch without masked words has a masked-word loss of zero, not NaN.
    """

    def loss(model: PretrainingModel, batch: Batch) -> tuple[Tensor, Sums]:
        ap_logits, output = forward(model, batch)
        count = torch.tensor(float(len(ap_logits)))
        total, sums = ap_logits.new_zeros(()), {"n": count}
        if "mlm" in objectives:
            words, right, masked = masked_words(model, output, batch["mlm_targets"])
            total = total + words / masked.clamp_min(1)
            sums |= {"mlm_loss": words.detach(), "mlm_accuracy": right, "mlm_n": masked}
        if "ap" in objectives:
            alignment = F.cross_entropy(ap_logits, batch["aligned"])
            total = total + alignment
            right = (ap_logits.argmax(1) == batch["aligned"]).sum()
            sums |= {"ap_loss": alignment.detach() * count, "ap_accuracy": right, "ap_n": count}
        return total, sums | {"loss": total.detach() * count}

    return loss


def means(sums: Sums, prefix: str) -> dict[str, float]:
    """Turn sums into means: ``mlm_loss`` is divided by ``mlm_n``, ``loss`` by ``n``."""
    values = {name: float(value) for name, value in sums.items()}
    result = {}
    for name, value in values.items():
        family = name.split("_")[0] + "_n"
        count = values[family if family in values else "n"]
        if not name.endswith("_n") and name != "n":
            result[f"{prefix}_{name}"] = value / max(count, 1.0)
    return result
