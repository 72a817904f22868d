"""Which samples are trained on and which evaluated, and their way to the device."""

from collections.abc import Iterator

import numpy as np
import torch

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
