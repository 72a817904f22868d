"""Studies without an effect, made in large numbers, and each procedure's verdict on them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from vilbert_lib.stats.bootstrap import middle, two_stage, weighted_means, weighted_r
from vilbert_lib.stats.clusters import Clusters, unit
from vilbert_lib.stats.coefficients import around, two_sided
from vilbert_lib.stats.correlations import bootstrapped_difference, swapped_differences
from vilbert_lib.stats.families import p_of_largest
from vilbert_lib.stats.levels import correlations
from vilbert_lib.stats.matrices import correlations_of_pairs
from vilbert_lib.stats.paired import flip_p
from vilbert_lib.stats.permutations import of_blocks, orders, orders_within, p_values, signs
from vilbert_lib.stats.tasks import jackknifed

# Shape legend: D data sets; others as in clusters.py.

ALPHA = 0.05
PERMUTATIONS = 199  # where not all are taken: enough for a level of .05 to be exact
RESAMPLES = 1000
MEASURES = 8  # of a family, half of whose variance is common to all
TASKS = 4  # that are put together
FEATURES = 3  # of a model whose distances to others make a matrix


@dataclass(frozen=True, kw_only=True)
class Studies:
    """``datasets`` studies of one design, drawn from ``seed``; ``icc`` is the share between the clusters.

    ``rho`` is the correlation of what is compared, between clusters and within them.
    """

    clusters: Clusters
    icc: float
    rho: float
    datasets: int
    seed: tuple[int, ...]

    @property
    def chance(self) -> int:
        """Seed of permutations and resamples: the data have another one."""
        return int(np.random.SeedSequence((*self.seed, 1)).generate_state(1)[0])

    def columns(self, correlation: np.ndarray) -> np.ndarray:
        """Normal columns with the given ``correlation`` (c, c) at both levels, (D, c, N)."""
        rng = np.random.default_rng((*self.seed, 0))
        root = np.linalg.cholesky(correlation)
        shape = (self.datasets, len(correlation))
        common = np.repeat(rng.standard_normal((*shape, self.clusters.count)), self.clusters.sizes, axis=-1)
        own = rng.standard_normal((*shape, self.clusters.n))
        return root @ (np.sqrt(self.icc) * common + np.sqrt(1 - self.icc) * own)

    def pair(self) -> np.ndarray:
        """x and y, (2, D, N)."""
        return np.moveaxis(self.columns(np.array([[1, self.rho], [self.rho, 1]])), 1, 0)

    def rivals(self) -> np.ndarray:
        """x1, x2 and y, (D, 3, N): the first two go with each other (.5) and as much (rho) with the last."""
        return self.columns(np.array([[1, 0.5, self.rho], [0.5, 1, self.rho], [self.rho, self.rho, 1]]))

    def family(self) -> tuple[np.ndarray, np.ndarray]:
        """Measures (D, MEASURES, N) that go with one another, and a target (D, 1, N) that goes with none."""
        every = np.eye(MEASURES + 1)
        every[:-1, :-1] += 0.5 * (1 - np.eye(MEASURES))
        columns = self.columns(every)
        return columns[:, :-1], columns[:, -1:]

    def tasks(self) -> np.ndarray:
        """Means of the clusters on TASKS tasks, (2, D, TASKS, A): half of what each is, it is on all of them."""
        common, *own = (
            self.clusters.means(replace(self, seed=(*self.seed, 2 + i)).pair()) for i in range(TASKS + 1)
        )
        return np.sqrt(0.5) * (common[:, :, None] + np.stack(own, axis=2))

    def distances(self) -> tuple[np.ndarray, np.ndarray]:
        """Two tables of distances between the models, (D, N, N), that have nothing to do with each other."""
        features = self.columns(np.eye(2 * FEATURES))
        squares = (features[..., :, None] - features[..., None, :]) ** 2
        a, b = (np.sqrt(squares[:, half].sum(1)) for half in (slice(FEATURES), slice(FEATURES, None)))
        return a, b


Verdict = Callable[[Studies], np.ndarray]  # whether the procedure is mistaken in each study, (D,)


def _rejects(p: np.ndarray) -> np.ndarray:
    return p <= ALPHA


def _misses(interval: tuple, truth: float) -> np.ndarray:
    low, high = interval
    return (truth < low) | (truth > high)


def pooled(s: Studies) -> np.ndarray:
    return _rejects(stats.pearsonr(*s.pair(), axis=-1).pvalue)


def between(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    x, y = s.clusters.means(s.pair())[..., None, :]
    return _rejects(p_values(correlations(x, y, every)[:, 0, :, 0]))


def _within_r(s: Studies) -> np.ndarray:
    x, y = unit(s.clusters.centred(s.pair()))
    return (x * y).sum(-1)


def within_t(s: Studies) -> np.ndarray:
    return _rejects(two_sided(_within_r(s), s.clusters.n - s.clusters.count + 1))


def within_permutation(s: Studies) -> np.ndarray:
    every, _ = orders_within(s.clusters, PERMUTATIONS, s.chance)
    x, y = s.clusters.centred(s.pair())[..., None, :]
    return _rejects(p_values(correlations(x, y, every)[:, 0, :, 0]))


def family_between(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    null = correlations(*(s.clusters.means(side) for side in s.family()), every)
    return _rejects(p_of_largest(null).min((-2, -1)))


def family_within(s: Studies) -> np.ndarray:
    every, _ = orders_within(s.clusters, PERMUTATIONS, s.chance)
    null = correlations(*(s.clusters.centred(side) for side in s.family()), every)
    return _rejects(p_of_largest(null).min((-2, -1)))


def mantel_models(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.n, PERMUTATIONS, s.chance)
    return _rejects(p_values(correlations_of_pairs(*s.distances(), every)))


def mantel_clusters(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    every = of_blocks(every, s.clusters.sizes[0])
    return _rejects(p_values(correlations_of_pairs(*s.distances(), every)))


def paired_flips(s: Studies) -> np.ndarray:
    return _rejects(flip_p(s.clusters, s.columns(np.eye(1))[:, 0], PERMUTATIONS, s.chance))


def difference_swaps(s: Studies) -> np.ndarray:
    every, _ = signs(s.clusters.count, PERMUTATIONS, s.chance)
    return _rejects(p_values(swapped_differences(s.clusters, s.rivals(), every)))


def bootstrap_runs(s: Studies) -> np.ndarray:
    weights = two_stage(Clusters.equal(s.clusters.n, 1), RESAMPLES, s.chance)
    return _misses(middle(weighted_r(weights, *s.pair())), s.rho)


def bootstrap_clusters(s: Studies) -> np.ndarray:
    weights = two_stage(Clusters.equal(s.clusters.count, 1), RESAMPLES, s.chance)
    return _misses(middle(weighted_r(np.repeat(weights, s.clusters.sizes, axis=1), *s.pair())), s.rho)


def bootstrap_two_stage(s: Studies) -> np.ndarray:
    return _misses(middle(weighted_r(two_stage(s.clusters, RESAMPLES, s.chance), *s.pair())), s.rho)


def between_fisher(s: Studies) -> np.ndarray:
    x, y = unit(s.clusters.means(s.pair()))
    return _misses(around((x * y).sum(-1), 1 / (s.clusters.count - 3)), s.rho)


def together_permutation(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    x, y = s.tasks()[..., None, :]
    return _rejects(p_values(correlations(x, y, every)[..., 0, :, 0].mean(1)))


def together_jackknife(s: Studies) -> np.ndarray:
    return _misses(jackknifed(*s.tasks()), s.rho)


def within_fisher(s: Studies) -> np.ndarray:
    return _misses(around(_within_r(s), 1 / (s.clusters.n - s.clusters.count - 2)), s.rho)


def paired_two_stage(s: Studies) -> np.ndarray:
    means = weighted_means(two_stage(s.clusters, RESAMPLES, s.chance), s.columns(np.eye(1))[:, 0])
    return _misses(middle(means), 0)


def difference_two_stage(s: Studies) -> np.ndarray:
    return _misses(middle(bootstrapped_difference(s.rivals(), two_stage(s.clusters, RESAMPLES, s.chance))), 0)


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """What is tried: its name, whether it is mistaken, and the true correlations at which it is tried."""

    name: str
    verdict: Verdict
    rhos: tuple[float, ...] = (0.0,)


ANY_RHO = (0.0, 0.5)
PROCEDURES = (
    Procedure(name="Pearson over all runs", verdict=pooled),
    Procedure(name="between, permutation", verdict=between),
    Procedure(name="within, t", verdict=within_t),
    Procedure(name="within, permutation", verdict=within_permutation),
    Procedure(name="max-T between, 8 measures", verdict=family_between),
    Procedure(name="max-T within, 8 measures", verdict=family_within),
    Procedure(name="Mantel, models permuted", verdict=mantel_models),
    Procedure(name="Mantel, architectures permuted", verdict=mantel_clusters),
    Procedure(name="paired, sign flips", verdict=paired_flips),
    Procedure(name="difference of r, swaps", verdict=difference_swaps, rhos=ANY_RHO),
    Procedure(name="interval of r: bootstrap of runs", verdict=bootstrap_runs, rhos=ANY_RHO),
    Procedure(name="interval of r: bootstrap of architectures", verdict=bootstrap_clusters, rhos=ANY_RHO),
    Procedure(name="interval of r: two-stage bootstrap", verdict=bootstrap_two_stage, rhos=ANY_RHO),
    Procedure(name="interval of r between: Fisher's z", verdict=between_fisher, rhos=ANY_RHO),
    Procedure(name="tasks together, permutation", verdict=together_permutation),
    Procedure(name="interval of r, tasks together: jackknife", verdict=together_jackknife, rhos=ANY_RHO),
    Procedure(name="interval of r within: Fisher's z", verdict=within_fisher, rhos=ANY_RHO),
    Procedure(name="interval of a paired mean: two-stage bootstrap", verdict=paired_two_stage),
    Procedure(
        name="interval of a difference of r: two-stage bootstrap", verdict=difference_two_stage, rhos=ANY_RHO
    ),
)
