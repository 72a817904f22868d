"""Pretraining on captions: masked words, alignment prediction, or both."""

from pathlib import Path

import pandas as pd
import torch

from vilbert_lib.config import RunConfig
from vilbert_lib.data.datasets import PairDataset, PretrainingDataset
from vilbert_lib.model.heads import PretrainingModel
from vilbert_lib.representations import measure_alignment
from vilbert_lib.training import losses
from vilbert_lib.training.loop import Loop, Report, evaluation_batches, replace_epoch


@torch.no_grad()
def evaluate(model: PretrainingModel, data: PretrainingDataset, config: RunConfig, n: int = 0) -> dict[str, float]:
    """Mean loss and accuracy of each objective, on corruptions that are the same every time."""
    device = next(model.parameters()).device
    objective, sums = losses.pretraining(config.objectives, config.train), {}
    model.eval()
    for batch in evaluation_batches(data, n, 128, device):
        for name, value in objective(model, batch)[1].items():
            sums[name] = sums.get(name, 0) + value.to(torch.float64)
    return losses.means(sums, "val")


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

    Alignment is measured on ``analysis``, pairs that are never masked or swapped: every pair of
    layers before training and at the best epoch, layers of equal number after every other.
    """

    def align(epoch: int, whole_grid: bool) -> pd.DataFrame:
        return measure_alignment(
            model.vilbert, analysis, config.alignment, epoch=epoch, split="val", whole_grid=whole_grid
        )

    def after_epoch(epoch: int) -> tuple[dict[str, float], pd.DataFrame]:
        figures = evaluate(model, data["val"], config, config.train.n_eval)
        return figures, align(epoch, whole_grid=epoch == 0)

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
    best = loop.run()
    replace_epoch(folder, best.best_epoch, align(best.best_epoch, whole_grid=True))
    return {
        "best_epoch": best.best_epoch,
        **evaluate(model, data["val"], config),
        "n_train": len(loop.samples),
        "n_val": len(data["val"]),
    }
