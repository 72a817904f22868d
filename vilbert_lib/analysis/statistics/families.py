"""Many tests at once: p-values for the whole family."""

from typing import Literal, get_args

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

Adjustment = Literal["holm", "by"]


def adjust(p, method: Adjustment = "holm") -> np.ndarray:
    """p-values (tests,) made larger for their number, in the same order.

    ``holm`` holds the chance of any false finding, ``by`` (Benjamini and Yekutieli) the expected share of false
    ones among the findings; both under any dependence of the tests. No p is no adjusted p. A ValueError for a p
    outside [0, 1] or NaN, or another method.
    """
    if method not in get_args(Adjustment):
        raise ValueError(f"method {method!r} is none of {', '.join(get_args(Adjustment))}")
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p must be a list of numbers in [0, 1], without NaN")
    if not p.size:
        return p
    return (
        multipletests(p, method="holm")[1] if method == "holm" else stats.false_discovery_control(p, method="by")
    )
