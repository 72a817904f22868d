"""The losses: classification, masked words and patches, alignment prediction, contrast."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vilbert_lib.config import TaskKind, TrainConfig
from vilbert_lib.data.datasets import Batch
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.model.streams import Output
from vilbert_lib.training import alignment_term, processes
from vilbert_lib.training.alignment_term import in_float32, without_autocast

#: Named sums over this process' part of a batch; a name ending in ``_n`` counts, the others are divided by
#: a count.
Sums = dict[str, Tensor]

# A loss is called with a batch and with the group of batches (``accumulation``) of one optimizer step, to which it
# belongs. Its terms are parts of the mean over the whole group: added over the group's batches and the processes
# that share them they are that mean, and so are their gradients. Negatives and neighbours of a sample come from
# its own batch, in all processes.


def forward(model: Classifier | PretrainingModel, batch: Batch) -> tuple[Tensor, Output]:
    """Run ``model`` on the inputs of ``batch``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])


def classification(config: TrainConfig, kind: TaskKind, class_weights: Tensor | None = None):
    """The loss of a labelled task: cross-entropy of the label, and the other terms that have a weight.

    With several labels a sample it is the mean binary cross-entropy over the labels, and the accuracy
    is label by label. ``class_weights`` (C,) weigh each sample's cross-entropy by its label, or the
    labels that apply against those that do not.
    """

    def loss(model: Classifier, batch: Batch, group: Sequence[Batch] = ()) -> tuple[Tensor, Sums]:
        logits, output = forward(model, batch)
        group = group or (batch,)
        samples = in_all_processes(len(each["label"]) for each in group)
        weights = None if class_weights is None else class_weights.to(logits.device, torch.float32)
        count = counted(len(logits), logits)
        if kind == "multilabel":
            label = F.binary_cross_entropy_with_logits(
                logits.float(), batch["label"], pos_weight=weights, reduction="none"
            )
            label, divisor = label.mean(1).sum(), counted(samples, logits)
            right = ((logits > 0) == (batch["label"] > 0.5)).double().mean(1).sum()
        else:
            label = F.cross_entropy(logits.float(), batch["label"], weight=weights, reduction="sum")
            divisor = counted(samples, logits)
            if weights is not None:
                divisor = processes.total(sum(weights[each["label"].to(weights.device)].sum() for each in group))
            right = (logits.argmax(1) == batch["label"]).sum()
        terms = {"label": label / divisor}
        sums = {"accuracy": right, "n": count}
        if config.contrastive_weight:
            part, right = contrastive(output.pooled, batch["text"], config.temperature, samples)
            terms["contrastive"] = part
            sums |= contrastive_sums(part, right, count, samples)
        if config.alignment_weight:
            terms["alignment"] = alignment_term.alignment(output, config, samples)
            sums["alignment"] = terms["alignment"].detach() * samples
        weights_of = {
            "label": 1.0,
            "contrastive": config.contrastive_weight,
            "alignment": -config.alignment_weight,
        }
        total = weighted(terms, weights_of)
        return total, sums | {"loss": total.detach() * samples}

    return loss


def in_all_processes(counts: Iterable[int]) -> int:
    """The sum of ``counts`` over this and all other processes."""
    return sum(processes.collected(sum(counts)))


def counted(n: int, like: Tensor) -> Tensor:
    """A count as a tensor on the device of ``like``."""
    return torch.full((), float(n), device=like.device)


def weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The one loss of every trainer: the sum of its terms, each times its weight."""
    return sum(weights[name] * term for name, term in terms.items())


def info_nce(queries: Tensor, keys: Tensor, wanted: Tensor, temperature: float, never: Tensor | None = None):
    """Sum of InfoNCE (van den Oord et al. 2018) and how many queries have the wanted key nearest.

    ``queries`` (M, D) and ``keys`` (N, D) are unit vectors, ``wanted`` (M,) the key of each query;
    ``never`` (M, N) bool are keys that are no negatives of a query. No queries give zero.
    """
    with without_autocast(queries):
        logits = in_float32(queries) @ in_float32(keys).T / temperature
    if never is not None:
        logits = logits.masked_fill(never, -torch.inf)
    right = (logits.detach().argmax(1) == wanted).sum() if len(keys) else wanted.new_zeros(())
    return F.cross_entropy(logits, wanted, reduction="sum"), right


def contrastive(
    pooled: tuple[Tensor, Tensor], texts: Tensor, temperature: float, pairs: int | None = None
) -> tuple[Tensor, Tensor]:
    """InfoNCE between the pooled streams of a batch's pairs, both ways (Radford et al. 2021, CLIP).

    Parameters
    ----------
    pooled : the pooled states of text and image, (B, D) each
    texts : (B,) numbers of the texts; of two samples with one text the image of one is no negative of the other
    temperature : by which the cosines are divided
    pairs : number of pairs of the whole group of accumulated batches, by which the sum is divided; none given:
        those of this batch in all processes

    Returns
    -------
    This process' part of the mean loss, and how many of its pairs have their own partner nearest (the mean of both
    directions).
    """
    if pooled[0].shape != pooled[1].shape:
        raise ValueError(
            f"the contrastive term needs pooled states of one width: {pooled[0].shape[1]} and {pooled[1].shape[1]}"
        )
    with without_autocast(texts):
        unit = [F.normalize(in_float32(states), dim=-1) for states in pooled]
    (text, begin), (vision, _) = (processes.gathered(states) for states in unit)
    texts, _ = processes.gathered(texts)
    own = torch.arange(len(text), device=text.device)
    never = (texts[:, None] == texts) & (own[:, None] != own)
    loss = (
        info_nce(text, vision, own, temperature, never)[0] + info_nce(vision, text, own, temperature, never)[0]
    ) / 2
    loss = loss / max(len(text) if pairs is None else pairs, 1)
    mine, never = own[begin : begin + len(pooled[0])], never[begin : begin + len(pooled[0])]
    with torch.no_grad():
        ways = ((text, vision), (vision, text))
        right = sum(info_nce(queries[mine], keys, mine, temperature, never)[1] for queries, keys in ways) / 2
    # Every process has the whole value but only its own rows' gradient: the value is to be a part as well.
    return loss - loss.detach() * (1 - len(mine) / max(len(text), 1)), right


def contrastive_sums(part: Tensor, right: Tensor, count: Tensor, pairs: int) -> Sums:
    """The sums of :func:`contrastive` on ``count`` pairs of this process, of the group's ``pairs``."""
    return {
        "contrastive_loss": part.detach() * pairs,
        "contrastive_accuracy": right,
        "contrastive_n": count,
    }


def masked_words(model: PretrainingModel, output: Output, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the cross-entropies at the masked positions, how many are right, how many there are.

    The positions are gathered before the vocabulary decoder, which is the widest layer of all.
    """
    rows, places = batch["mlm_index"].T
    logits = model.predict_words(output.text_states[-1][rows, places])
    wanted = batch["mlm_targets"][rows, places]
    loss = F.cross_entropy(logits.float(), wanted, reduction="sum")
    return loss, (logits.argmax(1) == wanted).sum(), counted(len(wanted), logits)


def masked_patches(
    model: PretrainingModel, output: Output, batch: Batch, config: TrainConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """InfoNCE between patches of the image with hidden patches and of the whole one: sum, right ones, how many.

    A patch's state is to be nearest to the state of the same patch of the whole image, among all
    patches of the batch. The whole image's states are targets and pass no gradient. The queries are, on aligned
    pairs, the hidden patches, or with ``mim_positions`` ``unmasked`` the others.
    """
    with torch.no_grad():
        inputs = (batch["input_ids"], batch["attention_mask"], batch["whole_pixel_values"])
        whole = model.vilbert(*inputs).vision_states[-1][:, 1:]
        keys, begin = processes.gathered(model.predict_patches(whole.flatten(0, 1)))
    rows, patches = batch["mim_index" if config.mim_positions == "masked" else "mim_unmasked_index"].T
    queries = model.predict_patches(output.vision_states[-1][rows, patches + 1])
    loss, right = info_nce(queries, keys, begin + rows * whole.shape[1] + patches, config.temperature)
    return loss, right, counted(len(rows), queries)


def pretraining(objectives: tuple[str, ...], config: TrainConfig):
    """The loss of the chosen ``objectives``: the mean of each, weighted as ``config`` says.

    Each mean is over the targets of the whole group of accumulated batches, in all processes. A group without
    masked words or patches has a loss of zero for them, not NaN. The contrastive term sees aligned pairs only.
    """
    weights = {name: getattr(config, f"{name}_weight") for name in ("mlm", "ap", "mim", "contrastive")}

    asked_patches = "mim_index" if config.mim_positions == "masked" else "mim_unmasked_index"
    targets = {"mlm": "mlm_index", "ap": "aligned", "mim": asked_patches}

    def loss(model: PretrainingModel, batch: Batch, group: Sequence[Batch] = ()) -> tuple[Tensor, Sums]:
        ap_logits, output = forward(model, batch)
        group = group or (batch,)
        count = counted(len(ap_logits), ap_logits)
        parts, sums = {}, {"n": count}
        if "mlm" in objectives:
            parts["mlm"] = masked_words(model, output, batch)
        if "ap" in objectives:
            right_or_not = F.cross_entropy(ap_logits.float(), batch["aligned"], reduction="sum")
            parts["ap"] = right_or_not, (ap_logits.argmax(1) == batch["aligned"]).sum(), count
        if "mim" in objectives:
            parts["mim"] = masked_patches(model, output, batch, config)
        terms = {}
        for name, (value, right, n) in parts.items():
            asked = in_all_processes(len(each[targets[name]]) for each in group)
            terms[name] = value / counted(max(asked, 1), value)
            sums |= {f"{name}_loss": value.detach(), f"{name}_accuracy": right, f"{name}_n": n}
        if config.contrastive_weight:
            own = batch["aligned_index"]
            pairs = in_all_processes(len(each["aligned_index"]) for each in group)
            pooled = tuple(states[own] for states in output.pooled)
            part, right = contrastive(pooled, batch["text"][own], config.temperature, pairs)
            terms["contrastive"] = part
            sums |= contrastive_sums(part, right, counted(len(own), ap_logits), pairs)
        total = weighted(terms, weights)
        samples = in_all_processes(len(each["label"]) for each in group)
        return total, sums | {"loss": total.detach() * samples}

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
