"""Fine-tuning on a labelled task, from noise, from published weights or from a pretrained run."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy

from vilbert_lib.config import RunConfig
from vilbert_lib.data.datasets import PairDataset
from vilbert_lib.data.formats import Task
from vilbert_lib.model.vilbert import Classifier
from vilbert_lib.representations import measure_alignment
from vilbert_lib.training import losses
from vilbert_lib.training.loop import Loop, Report, evaluation_batches, replace_epoch, training_samples


@torch.no_grad()
def evaluate(
    model: Classifier,
    data: PairDataset,
    *,
    kind: str,
    prefix: str,
    n: int = 0,
    among: np.ndarray | None = None,
    batch_size: int = 128,
) -> dict[str, float]:
    """Mean loss and accuracy on ``n`` samples (0: all) ``among`` those of ``data``; AUROC for a binary task."""
    device = next(model.parameters()).device
    num_labels = model.head.out_features
    accuracy = MulticlassAccuracy(num_labels, average="micro").to(device)
    auroc = BinaryAUROC().to(device) if kind == "binary" else None
    loss, count = torch.zeros((), dtype=torch.float64, device=device), 0
    model.eval()
    for batch in evaluation_batches(data, n, batch_size, device, among):
        logits, _ = losses.forward(model, batch)
        loss += F.cross_entropy(logits, batch["label"], reduction="sum")
        count += len(logits)
        accuracy.update(logits, batch["label"])
        if auroc:
            auroc.update(logits.softmax(1)[:, 1], batch["label"])
    figures = {f"{prefix}_loss": float(loss) / count, f"{prefix}_accuracy": float(accuracy.compute())}
    return figures | ({f"{prefix}_auroc": float(auroc.compute())} if auroc else {})


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
        losses.classification,
        after_epoch,
        config.train,
        seed=config.seed,
        select="val_accuracy",
        folder=folder,
        device=device,
        report=report,
        **loop_options,
    )
    best = loop.run()
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
