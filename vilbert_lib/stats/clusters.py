"""Rows that belong together: a table's columns as arrays whose rows are sorted by cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

# Shape legend: N rows, A clusters (architectures), S rows of a cluster; arrays (..., N) may hold many data sets.

ROUNDING = 1e-12  # spreads below this share of the largest value are rounding


class NotEstimableError(ValueError):
    """A table in which nothing is wrong, and of which a statistic cannot be estimated all the same.

    A column is constant or holds NaN, or there are too few rows or clusters. A study makes a row of it that says
    so, see :func:`estimated`, and goes on; any other ValueError is a mistake in the call.
    """


def estimated(estimate: Callable[..., dict], *args, **settings) -> dict:
    """What ``estimate`` returns, and an empty ``note``; where it cannot be estimated, a ``note`` that says why."""
    try:
        return estimate(*args, **settings) | {"note": ""}
    except NotEstimableError as error:
        return {"note": f"not estimated: {error}"}


@dataclass(frozen=True)
class Clusters:
    """How many rows each cluster has, ``sizes`` (A,); the rows of a cluster lie side by side."""

    sizes: np.ndarray

    @classmethod
    def equal(cls, count: int, size: int) -> "Clusters":
        """``count`` clusters of ``size`` rows."""
        return cls(np.full(count, size))

    @property
    def count(self) -> int:
        """Number of clusters."""
        return len(self.sizes)

    @cached_property
    def n(self) -> int:
        """Number of rows."""
        return int(self.sizes.sum())

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each cluster, (A,)."""
        return np.cumsum(self.sizes) - self.sizes

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of each cluster, (..., N) to (..., A)."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means of the clusters, (..., N) to (..., A)."""
        return self.sums(values) / self.sizes

    def centred(self, values: np.ndarray) -> np.ndarray:
        """Values less the mean of their cluster, (..., N)."""
        return values - np.repeat(self.means(values), self.sizes, axis=-1)


def read(
    table: pd.DataFrame, columns: Sequence[str], cluster: str, *, at_least: int = 1
) -> tuple[Clusters, np.ndarray]:
    """The clusters of ``table`` and its ``columns`` as floats (columns, N), rows sorted by cluster.

    A ValueError names a column that is missing or not numeric; it is a :class:`NotEstimableError` where a column
    holds NaN or infinity, or there are fewer than ``at_least`` clusters.
    """
    require_columns(table, [cluster, *columns])
    if unnamed := int(table[cluster].isna().sum()):
        raise ValueError(f"column {cluster} is empty in {unnamed} of {len(table)} rows")
    codes, names = pd.factorize(table[cluster], sort=True)
    if len(names) < at_least:
        raise NotEstimableError(f"{len(names)} values of {cluster}: at least {at_least} are needed")
    order = np.argsort(codes, kind="stable")
    values = np.array([numbers(table[column], column)[order] for column in columns])
    return Clusters(np.bincount(codes, minlength=len(names))), values


def require_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """A ValueError that names the first of ``columns`` that ``table`` lacks."""
    for column in columns:
        if column not in table:
            raise ValueError(f"no column {column!r}; there are {', '.join(map(str, table.columns))}")


def numbers(values: pd.Series, name: str) -> np.ndarray:
    """A column as floats; a ValueError names it if not numeric, a NotEstimableError if a value is not finite."""
    try:
        found = values.to_numpy(float, na_value=np.nan)
    except (TypeError, ValueError):
        raise ValueError(f"column {name} is not numeric") from None
    if wrong := int((~np.isfinite(found)).sum()):
        raise NotEstimableError(f"column {name} holds NaN or infinity in {wrong} of {len(found)} rows")
    return found


def varies(spread: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Whether ``spread``, differences of ``values``, is more than their rounding; along the last axis."""
    return np.abs(spread).max(-1) > ROUNDING * np.abs(values).max(-1)


def refuse_constant(spread: np.ndarray, values: np.ndarray, names: Sequence[str], where: str) -> None:
    """A NotEstimableError that names the first of the columns (columns, N) whose ``spread`` is nothing."""
    for name, moves in zip(names, varies(spread, values), strict=True):
        if not moves:
            raise NotEstimableError(f"column {name} is constant {where}")


def unit(values: np.ndarray) -> np.ndarray:
    """Centred and brought to length 1 along the last axis: inner products are then Pearson's r."""
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=-1, keepdims=True)


def refuse_constant_means(clusters: Clusters, values: np.ndarray, names: Sequence[str], cluster: str) -> None:
    """A NotEstimableError names the first of the columns (columns, N) whose cluster means are all alike."""
    means = clusters.means(values)
    refuse_constant(means - means.mean(-1, keepdims=True), values, names, f"over the means of {cluster}")
