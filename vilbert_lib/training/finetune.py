"""Fine-tuning on a labelled task, from scratch, from published weights or from a pretrained run."""

import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryAUROC,
    MulticlassAccuracy,
    MulticlassF1Score,
    MultilabelAccuracy,
    MultilabelF1Score,
)

from vilbert_lib.config import RunConfig, TaskKind
from vilbert_lib.data.datasets import PairDataset
from vilbert_lib.data.formats import Task
from vilbert_lib.model.heads import Classifier
from vilbert_lib.representations import log_alignment
from vilbert_lib.training import checkpoint, losses, processes
from vilbert_lib.training.loop import Loop, Report
from vilbert_lib.training.samples import (
    class_weights,
    evaluated_samples,
    evaluation_batches,
    sampling_shares,
    training_samples,
)


def measures_of(kind: TaskKind, num_labels: int) -> dict[str, Metric]:
    """What a task of this kind is evaluated by, each in [0, 1]; with several labels, label by label.

    ``macro_f1`` is the mean of the F1 of the classes that occur or are predicted. With several labels a sample it
    is the mean over all labels, and one that neither occurs nor is predicted counts as 0.
    """
    # Of several processes one evaluates: it would wait for the others for ever.
    alone = {"sync_on_compute": False}
    if kind == "multilabel":
        return {
            "accuracy": MultilabelAccuracy(num_labels, average="micro", **alone),
            "micro_f1": MultilabelF1Score(num_labels, average="micro", **alone),
            "macro_f1": MultilabelF1Score(num_labels, average="macro", **alone),
        }
    measures = {
        "accuracy": MulticlassAccuracy(num_labels, average="micro", **alone),
        "macro_f1": MulticlassF1Score(num_labels, average="macro", **alone),
    }
    return measures | ({"auroc": BinaryAUROC(**alone)} if kind == "binary" else {})


@torch.no_grad()
def evaluate(
    model: Classifier,
    data: PairDataset,
    *,
    kind: TaskKind,
    prefix: str,
    n: int = 0,
    among: np.ndarray | None = None,
    batch_size: int = 128,
) -> dict[str, float]:
    """Evaluate ``model`` on ``n`` samples (0: all) of ``data``.

    Returns
    -------
    dict
        ``<prefix>_loss``, the mean over samples; ``<prefix>_accuracy``, ``<prefix>_macro_f1``; for a binary task
        ``<prefix>_auroc``, NaN where all samples have one label; with several labels ``<prefix>_micro_f1``; and
        ``<prefix>_classes_predicted``, how many different classes (sets of labels) are predicted: one, if the
        model predicts the same for every sample.
    """
    device, classes = next(model.parameters()).device, model.head.out_features
    measures = {name: measure.to(device) for name, measure in measures_of(kind, classes).items()}
    predicted, present = [], torch.zeros(classes, dtype=torch.bool, device=device)
    loss, count = torch.zeros((), dtype=torch.float64, device=device), 0
    model.eval()
    for batch in evaluation_batches(data, n, batch_size, device, among):
        logits, _ = losses.forward(model, batch)
        labels = batch["label"].long()
        if kind == "multilabel":
            loss += F.binary_cross_entropy_with_logits(logits, batch["label"], reduction="none").mean(1).sum()
            guess = (logits > 0).long()
        else:
            loss += F.cross_entropy(logits, labels, reduction="sum")
            guess = logits.argmax(1)
            present[labels] = True
        predicted.append(guess.unique(dim=0))
        count += len(logits)
        for name, measure in measures.items():
            measure.update(logits.softmax(1)[:, 1] if name == "auroc" else guess, labels)
    if kind == "binary" and not present.all():
        del measures["auroc"]  # torchmetrics would give 0
    results = {f"{prefix}_{name}": float(measure.compute()) for name, measure in measures.items()}
    if kind == "binary":
        results.setdefault(f"{prefix}_auroc", math.nan)
    results[f"{prefix}_classes_predicted"] = len(torch.cat(predicted).unique(dim=0))
    return {f"{prefix}_loss": float(loss) / count, **results}


def finetune(
    model: Classifier,
    data: dict[str, PairDataset],
    config: RunConfig,
    task: Task,
    folder: Path,
    device: torch.device,
    report: Report,
    **loop_options,
) -> dict:
    """Train ``model``; the best epoch by the validation metric ``select`` is evaluated once on the test split.

    After every epoch the training samples, as many as validation uses, are evaluated as validation's
    are, without augmentation (``train_plain_loss``). Alignment is measured on the test split,
    whose labels it does not use: every pair of layers before training and at the best epoch, layers
    at the same relative depth after every other.

    Returns
    -------
    dict
        ``best_epoch``, ``select``, validation metrics of that epoch, test metrics of its model, and numbers of
        samples: of the splits, and ``n_val_used`` and ``n_train_plain_used``, on which an epoch was evaluated.
    """
    select, n_eval, plain = config.train.select, config.train.n_eval, data["train"].plain()
    trained = training_samples(len(plain), config.train.n_train, config.seed)
    labels = data["train"].labels[trained]
    plain_used = evaluated_samples(len(trained), n_eval or len(data["val"]))
    val_used = evaluated_samples(len(data["val"]), n_eval)
    if task.kind == "binary" and processes.is_first():
        evaluated = {"train": labels[plain_used], "val": data["val"].labels[val_used], "test": data["test"].labels}
        for split, found in evaluated.items():
            if len(set(found.tolist())) == 1:
                warnings.warn(
                    f"{config.task} {split}: all {len(found)} evaluated samples have label {found[0]}, so their"
                    " AUROC is NaN; add samples of the other class, or evaluate more of them (n_eval)",
                    stacklevel=2,
                )
    classes, chosen = model.head.out_features, config.train.balance
    weights = class_weights(labels, classes) if chosen == "weights" else None

    def after_epoch(epoch: int) -> tuple[dict[str, float], pd.DataFrame]:
        results = evaluate(model, data["val"], kind=task.kind, prefix="val", n=n_eval)
        results |= evaluate(
            model, plain, kind=task.kind, prefix="train_plain", n=n_eval or len(data["val"]), among=trained
        )
        return results, log_alignment(model.vilbert, data["test"], epoch=epoch, split="test")

    loop = Loop(
        model,
        data["train"],
        losses.classification(config.train, task.kind, weights),
        after_epoch,
        config.train,
        seed=config.seed,
        select="-val_loss" if select == "loss" else f"val_{select}",
        folder=folder,
        device=device,
        report=report,
        shares=sampling_shares(labels, classes) if chosen == "sampling" else None,
        **loop_options,
    )
    best = loop.run()
    if not processes.is_first():
        return {}
    model.eval()
    at_best = checkpoint.metrics_before(folder, best.best_epoch + 1)[-1]
    return {
        "best_epoch": best.best_epoch,
        "select": select,
        **{
            name: at_best[name]
            for name in dict.fromkeys(("val_accuracy", f"val_{select}", "val_classes_predicted"))
        },
        **evaluate(model, data["test"], kind=task.kind, prefix="test"),
        "n_train": len(loop.samples),
        "n_val": len(data["val"]),
        "n_test": len(data["test"]),
        "n_val_used": len(val_used),
        "n_train_plain_used": len(plain_used),
    }
