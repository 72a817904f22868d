"""Intervals of shares and of means over seeds."""

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from vilbert_lib.stats.clusters import NotEstimableError


def proportion_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share observed on ``n`` samples, in [0, 1]."""
    low, high = proportion_confint(round(share * n), n, alpha=0.05, method="wilson")
    return float(low), float(high)


def seed_interval(values: pd.Series) -> tuple[float, float]:
    """Student's 95 % interval of the mean over runs that differ in their seed alone.

    With few seeds it is wide: 4.3 standard errors on either side with three. It speaks of further
    seeds, not of other data or architectures. A NotEstimableError for fewer than two values.
    """
    if len(values) < 2:
        raise NotEstimableError(f"{len(values)} seed(s): an interval needs at least 2")
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(np.mean(values) - reach), float(np.mean(values) + reach)


def over_seeds(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Mean of ``value`` over the rows of each group, one row a seed, with Student's 95 % interval.

    Columns ``by``, ``mean``, ``low``, ``high``, ``seeds``; the interval of one seed, and of values that are NaN,
    is NaN.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        low, high = seed_interval(group[value]) if len(group) > 1 else (np.nan, np.nan)
        named = dict(zip(by, key, strict=True))
        rows.append(named | {"mean": group[value].mean(), "low": low, "high": high, "seeds": len(group)})
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "seeds"])


def bracketed(low: float, high: float, form: str = "+.3f") -> str:
    """An interval as a sentence has it, ``[low, high]``; where it is NaN, that there is none."""
    return "(no interval)" if np.isnan(low + high) else f"[{low:{form}}, {high:{form}}]"


def share_difference(a: float, b: float, n: int) -> tuple[float, float]:
    """Newcombe's 95 % interval of the difference of two shares, each observed on ``n`` samples, in [-1, 1].

    It takes the samples to be different ones; of the same samples, as of two models on one test part, it is
    wider than need be.
    """
    low, high = confint_proportions_2indep(round(a * n), n, round(b * n), n, method="newcomb", alpha=0.05)
    return float(low), float(high)
