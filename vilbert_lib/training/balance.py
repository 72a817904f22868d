"""Rare labels: weighed more in the loss, or drawn more often."""

import numpy as np
import torch
from torch import Tensor


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
