"""What a value means beside chance: exact moments, permutation nulls, and the maximum over pairs."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

# Shape legend: P pairs of layers, K permutations.

ROUNDING = 1e-6  # values that differ by less are equal: float32 features leave no more digits


def permutations(n: int, count: int, seed: int, blocks=None) -> Iterator[Tensor]:
    """``count`` random orders of n samples; with ``blocks`` (n,) whole blocks of equal labels change places.

    Rows that belong together, such as several texts of one image, are not exchangeable one by
    one. Blocks of different sizes raise ValueError: they cannot change places.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(n)[:, None]  # (blocks, size)
    if blocks is not None:
        labels = np.asarray(blocks)
        if labels.shape != (n,):
            raise ValueError(f"blocks has shape {labels.shape}: ({n},) is needed, a label a sample")
        _, sizes = np.unique(labels, return_counts=True)
        if len(set(sizes.tolist())) > 1:
            raise ValueError(f"blocks have from {sizes.min()} to {sizes.max()} samples: equal sizes are needed")
        rows = np.argsort(labels, kind="stable").reshape(len(sizes), -1)
    for _ in range(count):
        order = np.empty(n, dtype=np.int64)
        order[rows.ravel()] = rows[rng.permutation(len(rows))].ravel()
        yield torch.from_numpy(order)


def by_permutation(values: np.ndarray, null: np.ndarray, *, best: float, distance: bool, alpha: float) -> dict:
    """Values (P,) beside the values (K, P) of permuted samples, for every pair and for the best of all pairs.

    ``chance`` and ``chance_sd`` are the null's mean and standard deviation,
    ``p`` = (1 + #{s_k >= s}) / (K + 1), and ``calibrated`` = max(0, (s - tau) / (s_max - tau)) with
    tau the 1 - ``alpha`` quantile of the null, the value itself included: 0 where chance explains
    it, 1 at the best possible value. The columns that end in ``_max`` set each value against the
    null of the best of all P pairs: that is what a maximum over layers has to beat.
    """
    sign = -1 if distance else 1
    values, null, best = sign * values, sign * null, sign * best
    columns = {}
    for name, of_null in (("", null), ("_max", np.broadcast_to(null.max(1, keepdims=True), null.shape))):
        count = len(of_null)
        ordered = np.sort(np.vstack([values, of_null]), axis=0)
        tau = ordered[int(np.ceil((1 - alpha) * (count + 1))) - 1]
        reached = (of_null >= values - ROUNDING).sum(0)
        columns |= {
            f"chance{name}": sign * of_null.mean(0),
            f"chance{name}_sd": of_null.std(0, ddof=1),
            f"p{name}": (1 + reached) / (count + 1),
            f"calibrated{name}": _share(values, tau, best),
        }
    return columns


def by_moments(
    values: np.ndarray, mean: np.ndarray, deviation: np.ndarray, *, best: float, distance: bool, alpha: float
) -> dict:
    """Values (P,) beside the exact mean and standard deviation of all permutations.

    ``p`` is the bound 1 / (1 + z^2) of Cantelli's inequality, true for any distribution and so
    larger than need be; ``calibrated`` takes the bound's quantile for tau. Both are NaN where the
    deviation has no closed form.
    """
    sign = -1 if distance else 1
    above = sign * (values - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(above > ROUNDING, above / deviation, 0)
    tau = sign * mean + deviation * np.sqrt(1 / alpha - 1)
    return {
        "chance": mean,
        "chance_sd": deviation,
        "p": np.where(np.isnan(deviation), np.nan, 1 / (1 + z**2)),
        "calibrated": _share(sign * values, tau, sign * best),
    }


def _share(values: np.ndarray, tau: np.ndarray, best: float) -> np.ndarray:
    gain, room = values - tau, best - tau
    share = np.divide(gain, room, out=np.zeros_like(values), where=~((gain <= ROUNDING) | (room <= 0)))
    return share.clip(0, 1)
