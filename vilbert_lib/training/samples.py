"""Which samples are trained on and which evaluated, how rare labels are met, and the way to the device."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from vilbert_lib.data.datasets import Batch, PairDataset, batches, epoch_order


def training_samples(n: int, n_train: int, seed: int) -> np.ndarray:
    """Which of ``n`` samples are trained on: all, or ``n_train`` of them drawn by ``seed``."""
    return epoch_order(n, seed, 2**31)[:n_train] if 0 < n_train < n else np.arange(n)


def evaluated_samples(there: int, n: int) -> np.ndarray:
    """Which of the samples 0..``there``-1 are evaluated: all, or ``n`` of them where it is not 0."""
    return epoch_order(there, 0, 0)[: n or there]


def evaluation_batches(
    data: PairDataset, n: int, batch_size: int, device: torch.device, among: np.ndarray | None = None
) -> Iterator[Batch]:
    """Batches of ``n`` samples (0: all) ``among`` some, in an order that never changes, on ``device``."""
    among = np.arange(len(data)) if among is None else among
    for batch in batches(data, among[evaluated_samples(len(among), n)], batch_size):
        yield to_device(batch, device)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """``batch`` on ``device``; a GPU copies from pinned memory while the step before still runs."""
    pinned = device.type == "cuda"
    return {
        name: (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=True)
        for name, tensor in batch.items()
    }


def label_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each class occurs, (classes,).

    ``labels`` are (n,) numbers of classes, or (n, classes) zeros and ones where a sample has any number.
    """
    return labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """Weights (classes,) of the loss under which every class counts the same.

    A class that is held by a share s of the samples has weight 1 / (classes * s), so that the mean over the
    samples is 1. With several labels a sample it is the weight of the samples that have the label
    against those that have not, (1 - s) / s. A class that never occurs is taken to occur once.
    """
    counts = np.maximum(label_counts(labels, classes), 1)
    n = len(labels)
    weights = np.maximum(n - counts, 1) / counts if labels.ndim == 2 else n / (classes * counts)
    return torch.tensor(weights, dtype=torch.float32)


def sampling_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """With which probability each sample is drawn, (n,), so that every class is drawn alike often.

    With several labels a sample counts as its rarest; one without labels as the most frequent.
    """
    rarity = 1 / np.maximum(label_counts(labels, classes), 1)
    shares = rarity[labels] if labels.ndim == 1 else np.where(labels > 0.5, rarity, rarity.min()).max(1)
    return shares / shares.sum()
