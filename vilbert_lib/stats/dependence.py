"""How much rows of one cluster resemble each other, and how many independent rows they are worth."""

import pandas as pd

from vilbert_lib.stats.clusters import NotEstimableError, read, refuse_constant


def icc(table: pd.DataFrame, value: str, *, cluster: str = "architecture") -> float:
    """Intraclass correlation ICC(1) of one-way analysis of variance: the share between clusters, at most 1.

    (MSB - MSW) / (MSB + (n0 - 1) MSW), with n0 = (N - sum of n_i^2 / N) / (A - 1) in place of the size where
    clusters differ in theirs (Shrout and Fleiss 1979, Donner 1986). It is negative where clusters differ by less
    than chance makes them. A ValueError for constant values, one cluster, or no cluster of two rows.
    """
    clusters, values = read(table, [value], cluster, at_least=2)
    refuse_constant(values - values.mean(-1, keepdims=True), values, [value], "over all rows")
    if clusters.n == clusters.count:
        raise NotEstimableError(f"every {cluster} has one row: the variance within them is not estimable")
    [rows] = values
    within = (clusters.centred(rows) ** 2).sum() / (clusters.n - clusters.count)
    between = (clusters.sizes * (clusters.means(rows) - rows.mean()) ** 2).sum() / (clusters.count - 1)
    size = (clusters.n - (clusters.sizes**2).sum() / clusters.n) / (clusters.count - 1)
    return float((between - within) / (between + (size - 1) * within))


def reliability(table: pd.DataFrame, value: str, *, cluster: str = "architecture") -> float:
    """How much of the variance of the clusters' means is the clusters' own, in [0, 1]; the rest is single rows'.

    S ICC / (1 + (S - 1) ICC) for S rows a cluster (Spearman and Brown 1910), 0 for a negative ICC. A correlation
    of means comes out smaller than that of what they stand for by the root of both sides' reliabilities.
    """
    clusters, _ = read(table, [value], cluster)
    share = max(icc(table, value, cluster=cluster), 0.0)
    size = clusters.n / clusters.count
    return size * share / (1 + (size - 1) * share)


def effective_number(n: int, size: float, icc_x: float, icc_y: float) -> float:
    """Independent pairs that ``n`` pairs in clusters of ``size`` are worth to a correlation, at most ``n``.

    n / (1 + (size - 1) icc_x icc_y), where nothing relates x and y; a negative ICC counts as 0. A ValueError
    for n or size below 1, or an ICC above 1.
    """
    if n < 1 or size < 1:
        raise ValueError(f"n={n} rows in clusters of size={size}: both must be at least 1")
    if max(icc_x, icc_y) > 1:
        raise ValueError(f"icc_x={icc_x}, icc_y={icc_y}: an ICC is at most 1")
    return n / (1 + (size - 1) * max(icc_x, 0) * max(icc_y, 0))


def effective_n(table: pd.DataFrame, x: str, y: str, *, cluster: str = "architecture") -> float:
    """:func:`effective_number` of a table's rows, by the ICC of either column.

    Of unequal clusters the size is that in which a row finds itself on average, sum of n_i^2 / N.
    """
    clusters, _ = read(table, [x, y], cluster)
    size = (clusters.sizes**2).sum() / clusters.n
    return effective_number(clusters.n, size, icc(table, x, cluster=cluster), icc(table, y, cluster=cluster))
