"""Fine-tuning on a labelled task, from noise, from published weights or from a pretrained run."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torchmetrics import Metric
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy, MultilabelAccuracy, MultilabelF1Score

from vilbert_lib.config import RunConfig, TaskKind
from vilbert_lib.data.datasets import PairDataset
from vilbert_lib.data.formats import Task
from vilbert_lib.model.heads import Classifier
from vilbert_lib.representations import measure_alignment
from vilbert_lib.training import balance, losses, processes
from vilbert_lib.training.loop import Loop, Report
from vilbert_lib.training.records import replace_epoch
from vilbert_lib.training.samples import evaluation_batches, training_samples


def measures_of(kind: TaskKind, num_labels: int) -> dict[str, Metric]:
    """What a task of this kind is evaluated by, each in [0, 1]; with several labels, label by label."""
    alone = {
        "sync_on_compute": False
    }  # of several processes one evaluates: the others would be waited for in vain
    if kind == "multilabel":
        return {
            "accuracy": MultilabelAccuracy(num_labels, average="micro", **alone),
            "micro_f1": MultilabelF1Score(num_labels, average="micro", **alone),
            "macro_f1": MultilabelF1Score(num_labels, average="macro", **alone),
        }
    accuracy = {"accuracy": MulticlassAccuracy(num_labels, average="micro", **alone)}
    return accuracy | ({"auroc": BinaryAUROC(**alone)} if kind == "binary" else {})


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
    """Mean loss on ``n`` samples of ``data``, accuracy, for a binary task AUROC, with several labels F1."""
    device = next(model.parameters()).device
    measures = {name: measure.to(device) for name, measure in measures_of(kind, model.head.out_features).items()}
    loss, count = torch.zeros((), dtype=torch.float64, device=device), 0
    model.eval()
    for batch in evaluation_batches(data, n, batch_size, device, among):
        logits, _ = losses.forward(model, batch)
        labels = batch["label"].long()
        if kind == "multilabel":
            loss += F.binary_cross_entropy_with_logits(logits, batch["label"], reduction="none").mean(1).sum()
        else:
            loss += F.cross_entropy(logits, labels, reduction="sum")
        count += len(logits)
        for name, measure in measures.items():
            guess = (logits > 0).long() if kind == "multilabel" else logits
            measure.update(logits.softmax(1)[:, 1] if name == "auroc" else guess, labels)
    figures = {f"{prefix}_{name}": float(measure.compute()) for name, measure in measures.items()}
    return {f"{prefix}_loss": float(loss) / count, **figures}


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
    """Train ``model``; the best epoch by validation accuracy is evaluated once on the test split.

    After every epoch the training samples, as many as validation uses, are evaluated as validation's
    are, without augmentation (``train_plain_loss``). Alignment is measured on the test split,
    whose labels it does not use: every pair of layers before training and at the best epoch, layers
    of equal number after every other.
    """

    n_eval, plain = config.train.n_eval, data["train"].plain()
    trained = training_samples(len(plain), config.train.n_train, config.seed)
    labels = data["train"].labels[trained]
    classes, chosen = model.head.out_features, config.train.balance
    weights = balance.class_weights(labels, classes) if chosen == "weights" else None

    def align(epoch: int, whole_grid: bool) -> pd.DataFrame:
        return measure_alignment(
            model.vilbert, data["test"], config.alignment, epoch=epoch, split="test", whole_grid=whole_grid
        )

    def after_epoch(epoch: int) -> tuple[dict[str, float], pd.DataFrame]:
        figures = evaluate(model, data["val"], kind=task.kind, prefix="val", n=n_eval)
        figures |= evaluate(
            model, plain, kind=task.kind, prefix="train_plain", n=n_eval or len(data["val"]), among=trained
        )
        return figures, align(epoch, whole_grid=epoch == 0)

    loop = Loop(
        model,
        data["train"],
        losses.classification(config.train, task.kind, weights),
        after_epoch,
        config.train,
        seed=config.seed,
        select="val_accuracy",
        folder=folder,
        device=device,
        report=report,
        shares=balance.sampling_shares(labels, classes) if chosen == "sampling" else None,
        **loop_options,
    )
    best = loop.run()
    if not processes.is_first():
        return {}
    model.eval()
    replace_epoch(folder, best.best_epoch, align(best.best_epoch, whole_grid=True))
    return {
        "best_epoch": best.best_epoch,
        "val_accuracy": best.best_value,
        **evaluate(model, data["test"], kind=task.kind, prefix="test"),
        "n_train": len(loop.samples),
        "n_val": len(data["val"]),
        "n_test": len(data["test"]),
    }
