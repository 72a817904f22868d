"""What a value means beside chance: exact moments, permutation nulls, and the maximum over pairs."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import pearson3
from torch import Tensor

# Shape legend: P pairs of layers, K permutations.

ROUNDING = 1e-6  # values that differ by less are equal: float32 features leave no more digits


def permutations(n: int, count: int, seed: int, blocks=None, within=None) -> Iterator[Tensor]:
    """``count`` random orders of n samples.

    With ``blocks`` (n,) whole blocks of equal labels change places: rows that belong together, such as several
    texts of one image, are not exchangeable one by one. Blocks of different sizes raise ValueError.

    With ``within`` (n,) samples change places with others of their label only, in classes of any sizes. The
    question is then whether two representations are aligned beyond what they both know of the labels. Labels
    that occur once each raise ValueError: no sample could move.
    """
    rng = np.random.default_rng(seed)
    if within is not None:
        labels = _labels("within", within, n)
        classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(classes) == n:
            raise ValueError(f"within has {n} labels of one sample each: no two samples could change places")
        for _ in range(count):
            order = np.empty(n, dtype=np.int64)
            for rows in classes:
                order[rows] = rng.permutation(rows)
            yield torch.from_numpy(order)
        return
    rows = np.arange(n)[:, None]  # (blocks, size)
    if blocks is not None:
        labels = _labels("blocks", blocks, n)
        _, sizes = np.unique(labels, return_counts=True)
        if len(set(sizes.tolist())) > 1:
            raise ValueError(f"blocks have from {sizes.min()} to {sizes.max()} samples: equal sizes are needed")
        rows = np.argsort(labels, kind="stable").reshape(len(sizes), -1)
    for _ in range(count):
        order = np.empty(n, dtype=np.int64)
        order[rows.ravel()] = rows[rng.permutation(len(rows))].ravel()
        yield torch.from_numpy(order)


def _labels(name: str, labels, n: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{name} has shape {labels.shape}: ({n},) is needed, a label a sample")
    return labels


def by_permutation(values: np.ndarray, null: np.ndarray, *, best: float, distance: bool, alpha: float) -> dict:
    """Values (P,) beside the values (K, P) of permuted samples, for every pair and for the best of all pairs.

    ``chance`` and ``chance_sd`` are the null's mean and standard deviation,
    ``p`` = (1 + #{s_k >= s}) / (K + 1). ``threshold`` tau is the 1 - ``alpha`` quantile of the null, the value
    itself included, and ``calibrated`` = max(0, (s - tau) / (s_max - tau)): 0 where chance explains
    the value, 1 at the best possible one. The columns that end in ``_max`` set each value against the
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
            f"threshold{name}": sign * tau,
            f"calibrated{name}": _share(values, tau, best),
        }
    return columns


def by_moments(
    values: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray,
    skewness: np.ndarray | None = None,
    *,
    best: float,
    distance: bool,
    alpha: float,
) -> dict:
    """Values (P,) beside the exact moments of all permutations.

    ``p`` is that of the Pearson type III distribution with these moments, as usual for the RV coefficient and
    Mantel's test (Josse, Pages and Husson 2008; Mielke 1979), and ``threshold`` its 1 - ``alpha`` quantile.
    ``p_bound`` = 1 / (1 + z^2) is Cantelli's inequality, true for any distribution and so larger than need be.
    Where the skewness is unknown the bound is ``p`` as well, and gives the threshold. ``calibrated`` is as in
    :func:`by_permutation`. All are NaN where the deviation has no closed form.
    """
    sign = -1 if distance else 1
    skewness = np.full_like(mean, np.nan) if skewness is None else sign * skewness
    above = sign * (values - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(np.abs(above) > ROUNDING, above / deviation, 0)
    bound = np.where(np.isnan(deviation), np.nan, 1 / (1 + np.maximum(z, 0) ** 2))
    known = np.isfinite(skewness)
    fitted = np.where(known, skewness, 0)
    # A value that is the mean up to rounding is no evidence, as where all orders give one value.
    p = np.where(known & (z != 0) & np.isfinite(bound), pearson3.sf(z, fitted), bound)
    quantile = np.where(known, pearson3.isf(alpha, fitted), np.sqrt(1 / alpha - 1))
    tau = sign * mean + deviation * quantile
    return {
        "chance": mean,
        "chance_sd": deviation,
        "p": p,
        "p_bound": bound,
        "threshold": sign * tau,
        "calibrated": _share(sign * values, tau, sign * best),
    }


def _share(values: np.ndarray, tau: np.ndarray, best: float) -> np.ndarray:
    gain, room = values - tau, best - tau
    share = np.divide(gain, room, out=np.zeros_like(values), where=~((gain <= ROUNDING) | (room <= 0)))
    return share.clip(0, 1)
