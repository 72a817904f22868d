"""Intervals of shares and of means over seeds; differences of what was trained in pairs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from vilbert_lib.stats.clusters import Clusters, NotEstimableError, numbers, read, require_columns
from vilbert_lib.stats.resampling import mean_interval, p_values, signs

ENOUGH = 6  # clusters: of fewer, no choice of signs is as rare as .05


def proportion_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share observed on ``n`` samples, in [0, 1].

    A ValueError for a share outside [0, 1], NaN, or fewer than one sample.
    """
    _check_shares(n, share)
    low, high = proportion_confint(round(share * n), n, alpha=0.05, method="wilson")
    return float(low), float(high)


def _check_shares(n: int, *shares: float) -> None:
    if n < 1:
        raise ValueError(f"n={n}: a share is of at least 1 sample")
    for share in shares:
        if not 0 <= share <= 1:
            raise ValueError(f"share {share} must be a number in [0, 1]")


def share_difference(a: float, b: float, n: int) -> tuple[float, float]:
    """Newcombe's 95 % interval of the difference of two shares, each observed on ``n`` samples, in [-1, 1].

    It takes the samples to be different ones; of the same samples, as of two models on one test part, it is
    wider than need be. Errors as :func:`proportion_interval`.
    """
    _check_shares(n, a, b)
    low, high = confint_proportions_2indep(round(a * n), n, round(b * n), n, method="newcomb", alpha=0.05)
    return float(low), float(high)


def bracketed(low: float, high: float, form: str = "+.3f") -> str:
    """An interval as a sentence has it, ``[low, high]``; where it is NaN, that there is none."""
    return "(no interval)" if np.isnan(low + high) else f"[{low:{form}}, {high:{form}}]"


UNBOUNDED = (-np.inf, np.inf)


def range_of(metric: str, *, difference: bool = False) -> tuple[float, float]:
    """Where values of ``metric``, or differences of two, can lie: those of an accuracy, AUROC or F1 in [0, 1]."""
    if not metric.endswith(("accuracy", "auroc", "f1")):
        return UNBOUNDED
    return (-1.0, 1.0) if difference else (0.0, 1.0)


def seed_interval(
    values: pd.Series, within: tuple[float, float] = UNBOUNDED, *, strict: bool = True
) -> tuple[float, float]:
    """Student's 95 % interval of the mean over runs that differ in their seed alone.

    With few seeds it is wide: 4.3 standard errors on either side with three. It speaks of further
    seeds, not of other data or architectures. It ends where the values can: ``within`` (0, 1) of a share, (-1, 1)
    of a difference of shares, which takes away no value that the mean can have. A NotEstimableError for fewer than
    two values, or NaN; NaN for both ends if not ``strict``.
    """
    if not strict and (len(values) < 2 or not np.isfinite(values).all()):
        return np.nan, np.nan
    if len(values) < 2:
        raise NotEstimableError(f"{len(values)} seed(s): an interval needs at least 2")
    numbers(pd.Series(values), "of the seeds")
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    low, high = np.clip([np.mean(values) - reach, np.mean(values) + reach], *within)
    return float(low), float(high)


def over_seeds(
    table: pd.DataFrame, by: list[str], value: str, within: tuple[float, float] = UNBOUNDED
) -> pd.DataFrame:
    """Mean of ``value`` over the rows of each group, one row a seed, with the interval of :func:`seed_interval`.

    Columns ``by``, ``mean``, ``low``, ``high``, ``seeds``; the interval of one seed, and of values that are NaN,
    is NaN.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        low, high = seed_interval(group[value], within, strict=False)
        rows.append((*key, group[value].mean(), low, high, len(group)))
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "seeds"])


def differences(table: pd.DataFrame, value: str, *, of: str, against: str) -> pd.DataFrame:
    """``value`` of every model less that of the model ``against`` with the same seed, one row a model and seed.

    ``of`` is the column that names the models; a ValueError where a seed lacks one of them. The difference to a
    value that is NaN is NaN.
    """
    wide = table.pivot(index="seed", columns=of, values=value)
    if len(table) < wide.size:
        raise ValueError(f"{value} is not there for every seed and {of}")
    others = [name for name in dict.fromkeys(table[of]) if name != against]
    return wide[others].sub(wide[against], axis=0).reset_index().melt("seed", var_name=of, value_name=value)


def paired(
    table: pd.DataFrame,
    value: str,
    *,
    of: str,
    against: str,
    pairs: Sequence[str] = ("architecture", "seed"),
    draws: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean of ``value`` of each kind in column ``of`` less that of the kind ``against``, pair by pair.

    A pair is two rows with the same ``pairs`` columns, the first of which names the clusters. One row a kind:
    ``of``; ``mean`` over the pairs; ``low`` and ``high``, the approximate 95 % interval of a two-stage bootstrap
    (clusters, then pairs of each); ``p``, two-sided, by turning the signs of whole clusters (all choices up to
    16, ``draws`` random ones beyond); the numbers of ``pairs`` and ``clusters``; what was ``flipped``.

    Of fewer than six clusters p cannot reach .05, so single pairs are flipped: ``flipped`` is then ``pair``,
    and p is too small where pairs of one cluster are alike: with 5 clusters of 3 it is at most .05 in 12 to 29 %
    of simulated studies without a difference. The interval is too narrow there too: it leaves out the truth in
    up to 15 % with 5 clusters, and up to 8 % with 12. A ValueError for a pair that lacks a kind or has one
    twice, fewer than three clusters, or a kind ``against`` that is not there.
    """
    cluster = pairs[0]
    steps = _pair_differences(table, value, of, against, list(pairs))
    rows = []
    for kind in steps.columns:
        difference = steps[kind].rename("difference").reset_index()
        clusters, (values,) = read(difference, ["difference"], cluster, at_least=3)
        low, high = mean_interval(difference, "difference", cluster=cluster, draws=draws, seed=seed)
        rows.append(
            {
                "of": kind,
                "mean": values.mean(),
                "low": low,
                "high": high,
                "p": float(sign_flip_p(clusters, values, draws, seed)),
                "pairs": clusters.n,
                "clusters": clusters.count,
                "flipped": cluster if clusters.count >= ENOUGH else "pair",
            }
        )
    return pd.DataFrame(rows)


def _pair_differences(table: pd.DataFrame, value: str, of: str, against: str, pairs: list[str]) -> pd.DataFrame:
    """A row a pair, a column a kind: its value less that of the kind ``against``."""
    require_columns(table, [value, of, *pairs])
    numbers(table[value], value)
    kinds = list(dict.fromkeys(table[of]))
    if against not in kinds:
        raise ValueError(f"{of} has no {against!r}; there are {', '.join(map(str, kinds))}")
    if kinds == [against]:
        raise ValueError(f"{of} has no other kind than {against!r}")
    if (repeated := table.duplicated([of, *pairs])).any():
        first = table[repeated].iloc[0]
        raise ValueError(f"there are several rows of {', '.join(f'{c} {first[c]}' for c in (of, *pairs))}")
    wide = table.pivot(index=pairs, columns=of, values=value)
    if wide.isna().any(axis=None):
        raise ValueError(f"{value} is not there for every {of} and {', '.join(pairs)}")
    return wide[[kind for kind in kinds if kind != against]].sub(wide[against], axis=0)


def sign_flip_p(clusters: Clusters, differences: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """p (...) of the mean of ``differences`` (..., N) by the signs of clusters; of rows where clusters are few."""
    parts = clusters.sums(differences) if clusters.count >= ENOUGH else differences
    turned, _ = signs(parts.shape[-1], draws, seed)
    largest = np.abs(parts).sum(-1, keepdims=True)
    return p_values(parts @ turned.T / np.where(largest > 0, largest, 1))
