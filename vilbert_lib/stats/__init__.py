"""How sure one can be: intervals and tests that know runs of one architecture to be related."""

from vilbert_lib.stats.adjusted import contrast, partial
from vilbert_lib.stats.clusters import NotEstimableError, estimated
from vilbert_lib.stats.comparisons import (
    bracketed,
    differences,
    over_seeds,
    paired,
    proportion_interval,
    range_of,
    seed_interval,
    share_difference,
)
from vilbert_lib.stats.correlations import (
    adjust,
    between,
    between_without,
    correlation,
    difference_of_correlations,
    max_t,
    p_of_r,
    pearson_interval,
    smallest_detectable,
    smallest_detectable_within,
    spearman_interval,
    within,
)
from vilbert_lib.stats.dependence import effective_n, effective_number, icc, reliability
from vilbert_lib.stats.matrices import mantel
from vilbert_lib.stats.resampling import mean_interval
from vilbert_lib.stats.tasks import combine, together

__all__ = [
    "NotEstimableError",
    "adjust",
    "between",
    "between_without",
    "bracketed",
    "combine",
    "contrast",
    "correlation",
    "difference_of_correlations",
    "differences",
    "effective_n",
    "effective_number",
    "estimated",
    "icc",
    "mantel",
    "max_t",
    "mean_interval",
    "over_seeds",
    "p_of_r",
    "paired",
    "partial",
    "pearson_interval",
    "proportion_interval",
    "range_of",
    "reliability",
    "seed_interval",
    "share_difference",
    "smallest_detectable",
    "smallest_detectable_within",
    "spearman_interval",
    "together",
    "within",
]
