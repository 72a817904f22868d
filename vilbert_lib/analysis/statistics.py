"""How sure one can be: intervals and tests that know runs of one architecture to be related."""

from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint


def proportion_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share observed on ``n`` samples, in [0, 1]."""
    low, high = proportion_confint(round(share * n), n, alpha=0.05, method="wilson")
    return float(low), float(high)


def seed_interval(values: pd.Series) -> tuple[float, float]:
    """Student's 95 % interval of the mean over runs that differ in their seed alone.

    With few seeds it is wide: 4.3 standard errors on either side with three. It speaks of further
    seeds, not of other data or architectures. A ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} seed(s): an interval needs at least 2")
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(np.mean(values) - reach), float(np.mean(values) + reach)


def over_seeds(table: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Mean of ``value`` over the rows of each group, one row a seed, with Student's 95 % interval.

    Columns ``by``, ``mean``, ``low``, ``high``, ``seeds``; the interval of values that are NaN is NaN.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        low, high = seed_interval(group[value])
        named = dict(zip(by, key, strict=True))
        rows.append(named | {"mean": group[value].mean(), "low": low, "high": high, "seeds": len(group)})
    return pd.DataFrame(rows)


def differences(table: pd.DataFrame, value: str, *, of: str, against: str) -> pd.DataFrame:
    """``value`` of every model less that of the model ``against`` with the same seed, one row a model and seed.

    ``of`` is the column that names the models; a ValueError where a seed lacks one of them.
    """
    wide = table.pivot(index="seed", columns=of, values=value)
    if wide.isna().any(axis=None):
        raise ValueError(f"{value} is not there for every seed and {of}")
    others = [name for name in dict.fromkeys(table[of]) if name != against]
    return wide[others].sub(wide[against], axis=0).reset_index().melt("seed", var_name=of, value_name=value)


def mean_interval(
    table: pd.DataFrame, value: str, *, cluster: str = "architecture", draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Approximate 95 % interval of a mean by a two-stage bootstrap: clusters, then rows within each."""
    groups = [group[value].to_numpy(float) for _, group in table.groupby(cluster, sort=True)]
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        drawn = [groups[i] for i in rng.integers(len(groups), size=len(groups))]
        means.append(np.concatenate([rng.choice(group, size=len(group)) for group in drawn]).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def correlation(
    table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture", draws: int = 2000, seed: int = 0
) -> dict[str, float]:
    """Pearson's r over all rows, with an approximate 95 % interval by a two-stage bootstrap.

    Architectures (``cluster``) are drawn with replacement, then runs within each: seeds of one
    architecture are not independent, and an interval that took them to be would be too narrow.
    Draws in which a side is constant are left out. Returns ``r``, ``low``, ``high``, ``n``,
    ``clusters``.
    """
    groups = [group[[x, y]].to_numpy(float) for _, group in table.groupby(cluster, sort=True)]
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = [groups[i] for i in rng.integers(len(groups), size=len(groups))]
        sample = np.concatenate([group[rng.integers(len(group), size=len(group))] for group in drawn])
        if (np.ptp(sample, axis=0) > 0).all():
            found.append(np.corrcoef(sample.T)[0, 1])
    low, high = np.quantile(found, [0.025, 0.975]) if found else (np.nan, np.nan)
    r = stats.pearsonr(table[x], table[y]).statistic
    return {"r": float(r), "low": float(low), "high": float(high), "n": len(table), "clusters": len(groups)}


def between(
    table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture", draws: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Pearson's r over the architectures' means, tested by permuting the architectures.

    All permutations up to seven architectures (``exact``), ``draws`` random ones beyond. ``p`` is
    two-sided. Returns ``r``, ``p``, ``clusters``, ``exact``; fewer than three architectures raise ValueError.
    """
    means = table.groupby(cluster, sort=True)[[x, y]].mean()
    count = len(means)
    if count < 3:
        raise ValueError(f"{count} values of {cluster}: at least 3 are needed to correlate their means")
    a, b = (means[c].to_numpy() - means[c].mean() for c in (x, y))
    exact = factorial(count) <= 5040
    if exact:
        orders = np.array(list(permutations(range(count))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.array([np.arange(count), *(rng.permutation(count) for _ in range(draws))])
    products = b[orders] @ a  # the first order is the one observed
    p = np.mean(np.abs(products) >= abs(products[0]) * (1 - 1e-12))
    r = products[0] / np.sqrt((a @ a) * (b @ b))
    return {"r": float(r), "p": float(p), "clusters": count, "exact": exact}


def smallest_detectable(n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest \\|rho\\| that n independent pairs show with chance ``power`` (Fisher's z).

    An approximation that is rough below about ten pairs; n must be at least 4.
    """
    if n < 4:
        raise ValueError(f"n={n}: at least 4 pairs are needed")
    z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    return float(np.tanh(z / np.sqrt(n - 3)))
