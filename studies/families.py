"""Which measures of alignment say the same: correlations among them, groups, and few that stand for all."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform


def correlations(table: pd.DataFrame, measures: list[str], *, within: str = "task") -> pd.DataFrame:
    """Spearman's r between measures over runs, ranked inside each value of ``within``: (m, m), in [-1, 1].

    Ranks inside a task, as tasks differ in their alignment for reasons that are no business of the
    measures. A ValueError names a measure that has missing values or is constant inside every task.
    """
    if missing := [name for name in measures if table[name].isna().any()]:
        raise ValueError(f"measures {missing} have missing values")
    ranks = table.groupby(within)[measures].rank()
    centred = ranks - ranks.groupby(table[within]).transform("mean")
    if constant := [name for name in measures if np.ptp(centred[name]) == 0]:
        raise ValueError(f"measures {constant} are the same for all runs")
    return centred.corr()


def comparable(table: pd.DataFrame, measures: list[str], *, within: str = "task") -> list[str]:
    """Those of ``measures`` that have a value for every run, and differ between the runs of a task."""
    known = [name for name in measures if table[name].notna().all()]
    return [name for name in known if (table.groupby(within)[name].nunique() > 1).any()]


def groups(matrix: pd.DataFrame, *, apart: float = 0.3) -> pd.Series:
    """The group of each measure, ordered so that like stands beside like: average linkage on 1 - \\|r\\|.

    Groups are apart where the mean of 1 - \\|r\\| between their members is above ``apart``.
    """
    if len(matrix) < 2:
        return pd.Series(1, index=matrix.index, name="group")
    distances = squareform((1 - matrix.abs()).to_numpy().clip(0), checks=False)
    tree = optimal_leaf_ordering(linkage(distances, "average"), distances)
    numbers = pd.Series(fcluster(tree, apart, "distance"), index=matrix.index, name="group")
    ordered = numbers.iloc[leaves_list(tree)]
    return ordered.map({old: new for new, old in enumerate(dict.fromkeys(ordered), start=1)})


def listed(groups: pd.Series) -> str:
    """The groups of :func:`groups` with their measures, as part of a sentence."""
    return "; ".join(", ".join(map(str, names)) for names in groups.groupby(groups).groups.values())


def told_by(matrix: pd.DataFrame, chosen: tuple[str, ...] | list[str]) -> float:
    """Mean share of the other measures' variance over runs that ``chosen`` tell by linear regression, in [0, 1].

    From the correlations alone: R^2 = r' R^-1 r, with the pseudo-inverse where chosen measures repeat each other.
    """
    chosen = list(chosen)
    others = [name for name in matrix.index if name not in chosen]
    if not chosen or not others:
        raise ValueError(f"chosen {chosen}: at least one measure, and not all, must be chosen")
    r = matrix.loc[chosen, others].to_numpy()
    inverse = np.linalg.pinv(matrix.loc[chosen, chosen].to_numpy(), hermitian=True, rcond=1e-6)
    return float((r * (inverse @ r)).sum(0).clip(0, 1).mean())


def choices(matrix: pd.DataFrame, count: int) -> pd.DataFrame:
    """Every choice of ``count`` measures with what it tells of the others, the best first."""
    rows = [
        {"chosen": ", ".join(chosen), "told": told_by(matrix, chosen)}
        for chosen in combinations(matrix.index, count)
    ]
    return pd.DataFrame(rows).sort_values("told", ascending=False, ignore_index=True)
