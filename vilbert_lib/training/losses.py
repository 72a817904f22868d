"""What is minimised: classification, masked words and patches, alignment prediction, contrast."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from vilbert_lib.config import TaskKind, TrainConfig
from vilbert_lib.data.datasets import Batch
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.model.streams import Output

#: Named sums over a batch; a name ending in ``_n`` counts, the others are divided by a count.
Sums = dict[str, Tensor]


def forward(model: Classifier | PretrainingModel, batch: Batch) -> tuple[Tensor, Output]:
    """Run ``model`` on the inputs of ``batch``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])


def classification(config: TrainConfig, kind: TaskKind, class_weights: Tensor | None = None):
    """The loss of a labelled task: cross-entropy of the label, and the contrastive term if it has a weight.

    With several labels a sample it is the mean binary cross-entropy over the labels, and the accuracy
    is label by label. ``class_weights`` (C,) weigh each sample's cross-entropy by its label, or the
    labels that apply against those that do not.
    """

    def loss(model: Classifier, batch: Batch) -> tuple[Tensor, Sums]:
        logits, output = forward(model, batch)
        weights = None if class_weights is None else class_weights.to(logits)
        if kind == "multilabel":
            label = F.binary_cross_entropy_with_logits(logits.float(), batch["label"], pos_weight=weights)
            right = ((logits > 0) == (batch["label"] > 0.5)).double().mean(1).sum()
        else:
            label = F.cross_entropy(logits.float(), batch["label"], weight=weights)
            right = (logits.argmax(1) == batch["label"]).sum()
        terms = {"label": label}
        count = torch.tensor(float(len(logits)))
        sums = {"accuracy": right, "n": count}
        if config.contrastive_weight:
            same = (batch["input_ids"][:, None] == batch["input_ids"]).all(2)
            terms["contrastive"], told = contrastive(output, config.temperature, same=same)
            sums |= {
                "contrastive_loss": terms["contrastive"].detach() * count,
                "contrastive_accuracy": told * count,
            }
        total = weighted(terms, {"label": 1.0, "contrastive": config.contrastive_weight})
        return total, sums | {"loss": total.detach() * count}

    return loss


def weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The one loss of every trainer: the sum of its terms, each times its weight."""
    return sum(weights[name] * term for name, term in terms.items())


def info_nce(queries: Tensor, keys: Tensor, wanted: Tensor, temperature: float, never: Tensor | None = None):
    """Mean InfoNCE (van den Oord et al. 2018) and the share of queries whose nearest key is the wanted one.

    ``queries`` (M, D) and ``keys`` (N, D) are unit vectors, ``wanted`` (M,) the key of each query;
    ``never`` (M, N) bool are keys that are no negatives of a query. No queries give a loss of zero.
    """
    logits = queries @ keys.T
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    if never is not None:
        logits = logits.masked_fill(never, -torch.inf)
    total = F.cross_entropy(logits, wanted, reduction="sum")
    right = (logits.detach().argmax(1) == wanted).sum() if len(keys) else wanted.new_zeros(())
    count = max(len(queries), 1)
    return total / count, right / count


def contrastive(output: Output, temperature: float, same: Tensor) -> tuple[Tensor, Tensor]:
    """InfoNCE between the pooled streams of a batch's pairs, both ways (Radford et al. 2021, CLIP).

    ``same`` (B, B) bool says which samples have one and the same text: the image of one is no
    negative of the other. Returns the mean loss and the share of pairs that are told apart.
    """
    text, vision = (F.normalize(pooled, dim=-1) for pooled in output.pooled)
    if text.shape != vision.shape:
        raise ValueError(
            f"the contrastive term needs pooled states of one width: {text.shape[1]} and {vision.shape[1]}"
        )
    own = torch.arange(len(text), device=text.device)
    never = same & (own[:, None] != own)
    ways = [info_nce(text, vision, own, temperature, never), info_nce(vision, text, own, temperature, never.T)]
    return sum(loss for loss, _ in ways) / 2, sum(right for _, right in ways) / 2


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


def masked_patches(
    model: PretrainingModel, output: Output, batch: Batch, config: TrainConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """InfoNCE between patches of the image with hidden patches and of the whole one: loss, share right, how many.

    A patch's state is to be nearest to the state of the same patch of the whole image, among all
    patches of the batch. The whole image's states are targets and pass no gradient. Asked are, on aligned
    pairs, the hidden patches, or with ``mim_positions`` ``unmasked`` the others.
    """
    with torch.no_grad():
        inputs = (batch["input_ids"], batch["attention_mask"], batch["whole_pixel_values"])
        whole = model.vilbert(*inputs).vision_states[-1][:, 1:]
        keys = model.predict_patches(whole.flatten(0, 1))
    asked = batch["mim_index"]
    if config.mim_positions == "unmasked":
        asked = torch.nonzero(~batch["patch_mask"] & batch["aligned"].bool()[:, None])
    rows, patches = asked.T
    queries = model.predict_patches(output.vision_states[-1][rows, patches + 1])
    loss, right = info_nce(queries, keys, rows * whole.shape[1] + patches, config.temperature)
    return loss, right, torch.tensor(float(len(asked)))


def pretraining(objectives: tuple[str, ...], config: TrainConfig):
    """The loss of the chosen ``objectives``: the mean of each, weighted as ``config`` says.

    A batch without masked words or patches has a loss of zero for them, not NaN. The contrastive term sees
    aligned pairs only.
    """
    weights = {name: getattr(config, f"{name}_weight") for name in ("mlm", "ap", "mim", "contrastive")}

    def loss(model: PretrainingModel, batch: Batch) -> tuple[Tensor, Sums]:
        ap_logits, output = forward(model, batch)
        count = torch.tensor(float(len(ap_logits)))
        terms, sums = {}, {"n": count}
        if "mlm" in objectives:
            words, right, masked = masked_words(model, output, batch["mlm_targets"])
            terms["mlm"] = words / masked.clamp_min(1)
            sums |= {"mlm_loss": words.detach(), "mlm_accuracy": right, "mlm_n": masked}
        if "ap" in objectives:
            terms["ap"] = F.cross_entropy(ap_logits.float(), batch["aligned"])
            right = (ap_logits.argmax(1) == batch["aligned"]).sum()
            sums |= {"ap_loss": terms["ap"].detach() * count, "ap_accuracy": right, "ap_n": count}
        if "mim" in objectives:
            terms["mim"], right, found = masked_patches(model, output, batch, config)
            sums |= {"mim_loss": terms["mim"].detach() * found, "mim_accuracy": right * found, "mim_n": found}
        if config.contrastive_weight:
            pairs = torch.nonzero(batch["aligned"])[:, 0]
            texts = batch["input_ids"][pairs]
            chosen = dataclasses.replace(output, pooled=tuple(pooled[pairs] for pooled in output.pooled))
            same = (texts[:, None] == texts).all(2)
            terms["contrastive"], told = contrastive(chosen, config.temperature, same=same)
            found = torch.tensor(float(len(pairs)))
            sums |= {
                "contrastive_loss": terms["contrastive"].detach() * found,
                "contrastive_accuracy": told * found,
                "contrastive_n": found,
            }
        total = weighted(terms, weights)
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
