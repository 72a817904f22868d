"""Pretraining on captions: masked words, masked patches, alignment prediction, or some of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vilbert_lib.config import RunConfig
from vilbert_lib.data.datasets import PairDataset, PretrainingDataset
from vilbert_lib.model.heads import PretrainingModel
from vilbert_lib.representations import log_alignment
from vilbert_lib.training import losses, processes
from vilbert_lib.training.loop import Loop, Report
from vilbert_lib.training.samples import evaluated_samples, evaluation_batches, training_samples


@torch.no_grad()
@processes.alone()
def evaluate(
    model: PretrainingModel,
    data: PretrainingDataset,
    config: RunConfig,
    *,
    prefix: str = "val",
    n: int = 0,
    among: np.ndarray | None = None,
) -> dict[str, float]:
    """Mean loss and accuracy of each objective on ``n`` samples (0: all) ``among`` those of ``data``.

    Batches are as large as in training: the negatives of a patch or pair come from its batch, and more negatives
    make the task harder. ``<prefix>_loss`` is the mean of the batches' losses, weighted by their samples; the loss
    of an objective is the mean over its targets.
    """
    device = next(model.parameters()).device
    objective, sums = losses.pretraining(config.objectives, config.train), {}
    model.eval()
    for batch in evaluation_batches(data, n, config.train.batch_size, device, among):
        for name, value in objective(model, batch)[1].items():
            sums[name] = sums.get(name, 0) + value.to(torch.float64)
    return losses.means(sums, prefix)


def pretrain(
    model: PretrainingModel,
    data: dict[str, PretrainingDataset],
    analysis: PairDataset,
    config: RunConfig,
    folder: Path,
    device: torch.device,
    report: Report,
    **loop_options,
) -> dict:
    """Train ``model``; the best epoch is that of the smallest validation loss.

    After every epoch the loss is also taken on training pairs as on validation pairs, by the model
    at rest and without augmentation (``train_plain_loss``), on no more pairs than validation uses.
    The alignment of layers at the same relative depth is logged after every epoch, on ``analysis``: pairs that
    are never masked or swapped.
    """
    n_eval, plain = config.train.n_eval, data["train"].plain()
    trained = training_samples(len(plain), config.train.n_train, config.seed)

    def after_epoch(epoch: int) -> tuple[dict[str, float], pd.DataFrame]:
        figures = evaluate(model, data["val"], config, n=n_eval)
        figures |= evaluate(
            model, plain, config, prefix="train_plain", n=n_eval or len(data["val"]), among=trained
        )
        return figures, log_alignment(model.vilbert, analysis, epoch=epoch, split="val")

    loop = Loop(
        model,
        data["train"],
        losses.pretraining(config.objectives, config.train),
        after_epoch,
        config.train,
        seed=config.seed,
        select="-val_loss",
        folder=folder,
        device=device,
        report=report,
        **loop_options,
    )
    n_plain = len(evaluated_samples(len(trained), n_eval or len(data["val"])))
    best = loop.run()
    if not processes.is_first():
        return {}
    return {
        "best_epoch": best.best_epoch,
        "select": "loss",
        **evaluate(model, data["val"], config),
        "n_train": len(loop.samples),
        "n_val": len(data["val"]),
        "n_val_used": len(evaluated_samples(len(data["val"]), n_eval)),
        "n_train_plain_used": n_plain,
    }
