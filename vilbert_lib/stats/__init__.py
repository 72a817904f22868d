"""How sure one can be: intervals and tests that know runs of one architecture to be related."""

from vilbert_lib.stats.bootstrap import mean_interval
from vilbert_lib.stats.clusters import NotEstimableError, estimated
from vilbert_lib.stats.coefficients import p_of_r, pearson_interval, spearman_interval
from vilbert_lib.stats.correlations import correlation, difference_of_correlations
from vilbert_lib.stats.dependence import effective_n, effective_number, icc, reliability
from vilbert_lib.stats.families import adjust, adjust_known, max_t
from vilbert_lib.stats.intervals import (
    bracketed,
    over_seeds,
    proportion_interval,
    seed_interval,
    share_difference,
)
from vilbert_lib.stats.levels import between, between_without, within
from vilbert_lib.stats.matrices import mantel
from vilbert_lib.stats.paired import differences, paired
from vilbert_lib.stats.power import (
    chance_to_detect,
    smallest_detectable,
    smallest_detectable_within,
)
from vilbert_lib.stats.tasks import combine, together

__all__ = [
    "NotEstimableError",
    "adjust",
    "adjust_known",
    "between",
    "between_without",
    "bracketed",
    "chance_to_detect",
    "combine",
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
    "pearson_interval",
    "proportion_interval",
    "reliability",
    "seed_interval",
    "share_difference",
    "smallest_detectable",
    "smallest_detectable_within",
    "spearman_interval",
    "together",
    "within",
]
