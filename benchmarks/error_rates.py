"""How often each statistical procedure is mistaken, on simulated studies without an effect.

    python benchmarks/error_rates.py             # or: make simulate; about five minutes
    python benchmarks/error_rates.py --draws 100

Writes ``data/results/type_one_error.csv``, and the same as a wide table, which the book shows.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from vilbert_lib.files import check_writable
from vilbert_lib.paths import REPOSITORY
from vilbert_lib.stats.adjusted import freedman_lane, studentized, weighted_partial_r
from vilbert_lib.stats.clusters import Clusters, unit
from vilbert_lib.stats.comparisons import sign_flip_p
from vilbert_lib.stats.correlations import (
    bootstrapped_difference,
    fisher_interval,
    swapped_differences,
    two_sided_p,
)
from vilbert_lib.stats.matrices import correlations_of_pairs
from vilbert_lib.stats.resampling import (
    orders,
    orders_of_blocks,
    orders_within,
    p_of_largest,
    p_values,
    permuted_r,
    quantile_interval,
    signs,
    two_stage,
    weighted_means,
    weighted_r,
)
from vilbert_lib.stats.tasks import jackknife_interval

# Shape legend: D data sets; others as in clusters.py.

ALPHA = 0.05
PERMUTATIONS = 199  # where not all are taken: enough for a level of .05 to be exact
RESAMPLES = 1000
MEASURES = 8  # of a family, half of whose variance is common to all
TASKS = 4  # that are put together
COVARIATES = 3  # that disturb a correlation
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

    def disturbed(self) -> np.ndarray:
        """x, y and COVARIATES columns on which both depend as much as on what is their own, (D, 2 + C, T, A).

        Tasks share half of x and of y and all of the covariates, as they share the architectures' places.
        """
        x, y = self.tasks()
        covariates = replace(self, seed=(*self.seed, 9)).columns(np.eye(COVARIATES))
        given = np.repeat(self.clusters.means(covariates)[:, :, None], TASKS, axis=2)
        common = given.sum(1)
        values = np.concatenate([np.stack([x + common, y + common], axis=1), given], axis=1)
        return unit(values)

    def unequal_cells(self) -> np.ndarray:
        """Runs of four cells (D, N) that scatter 1, 1, 2 and 4 times as much; without difference in the means."""
        cells = Clusters.equal(4, self.clusters.n // 4)
        noise = np.random.default_rng((*self.seed, 3)).standard_normal((self.datasets, cells.n))
        return noise * np.repeat([1.0, 1.0, 2.0, 4.0], cells.sizes)

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
    return _rejects(p_values(permuted_r(x, y, every)[:, 0, :, 0]))


def _within_r(s: Studies) -> np.ndarray:
    x, y = unit(s.clusters.centred(s.pair()))
    return (x * y).sum(-1)


def within_t(s: Studies) -> np.ndarray:
    return _rejects(two_sided_p(_within_r(s), s.clusters.n - s.clusters.count + 1))


def within_permutation(s: Studies) -> np.ndarray:
    every, _ = orders_within(s.clusters, PERMUTATIONS, s.chance)
    x, y = s.clusters.centred(s.pair())[..., None, :]
    return _rejects(p_values(permuted_r(x, y, every)[:, 0, :, 0]))


def family_between(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    null = permuted_r(*(s.clusters.means(side) for side in s.family()), every)
    return _rejects(p_of_largest(null).min((-2, -1)))


def family_within(s: Studies) -> np.ndarray:
    every, _ = orders_within(s.clusters, PERMUTATIONS, s.chance)
    null = permuted_r(*(s.clusters.centred(side) for side in s.family()), every)
    return _rejects(p_of_largest(null).min((-2, -1)))


def mantel_models(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.n, PERMUTATIONS, s.chance)
    return _rejects(p_values(correlations_of_pairs(*s.distances(), every)))


def mantel_clusters(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    every = orders_of_blocks(every, s.clusters.sizes[0])
    return _rejects(p_values(correlations_of_pairs(*s.distances(), every)))


def paired_flips(s: Studies) -> np.ndarray:
    return _rejects(sign_flip_p(s.clusters, s.columns(np.eye(1))[:, 0], PERMUTATIONS, s.chance))


def difference_swaps(s: Studies) -> np.ndarray:
    every, _ = signs(s.clusters.count, PERMUTATIONS, s.chance)
    return _rejects(p_values(swapped_differences(s.clusters, s.rivals(), every)))


def bootstrap_runs(s: Studies) -> np.ndarray:
    weights = two_stage(Clusters.equal(s.clusters.n, 1), RESAMPLES, s.chance)
    return _misses(quantile_interval(weighted_r(weights, *s.pair())), s.rho)


def bootstrap_clusters(s: Studies) -> np.ndarray:
    weights = two_stage(Clusters.equal(s.clusters.count, 1), RESAMPLES, s.chance)
    return _misses(quantile_interval(weighted_r(np.repeat(weights, s.clusters.sizes, axis=1), *s.pair())), s.rho)


def bootstrap_two_stage(s: Studies) -> np.ndarray:
    return _misses(quantile_interval(weighted_r(two_stage(s.clusters, RESAMPLES, s.chance), *s.pair())), s.rho)


def between_fisher(s: Studies) -> np.ndarray:
    x, y = unit(s.clusters.means(s.pair()))
    return _misses(fisher_interval((x * y).sum(-1), 1 / (s.clusters.count - 3)), s.rho)


def together_permutation(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    x, y = s.tasks()[..., None, :]
    return _rejects(p_values(permuted_r(x, y, every)[..., 0, :, 0].mean(1)))


def disturbed_permutation(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    x, y = np.moveaxis(s.disturbed()[:, :2], 1, 0)[..., None, :]
    return _rejects(p_values(permuted_r(x, y, every)[..., 0, :, 0].mean(1)))


def partial_permutation(s: Studies) -> np.ndarray:
    every, _ = orders(s.clusters.count, PERMUTATIONS, s.chance)
    values = s.disturbed()
    return _rejects(p_values(freedman_lane(values[:, 0], values[:, 1], values[:, 2:], every)))


def partial_bootstrap(s: Studies) -> np.ndarray:
    count = s.clusters.count
    weights = np.random.default_rng(s.chance).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return _misses(quantile_interval(weighted_partial_r(s.disturbed(), weights)), s.rho)


INTERACTION = np.array([1.0, -1.0, -1.0, 1.0])  # of two by two cells


def contrast_permutation(s: Studies) -> np.ndarray:
    values, sizes = s.unequal_cells(), Clusters.equal(4, s.clusters.n // 4).sizes
    left = Clusters(sizes).centred(values)
    rng = np.random.default_rng(s.chance)
    drawn = rng.permuted(np.repeat(left[:, None], PERMUTATIONS, axis=1), axis=-1)
    observed = studentized(values[:, None], sizes, INTERACTION)
    return _rejects(p_values(np.concatenate([observed, studentized(drawn, sizes, INTERACTION)], axis=1)))


def together_jackknife(s: Studies) -> np.ndarray:
    return _misses(jackknife_interval(*s.tasks()), s.rho)


def within_fisher(s: Studies) -> np.ndarray:
    return _misses(fisher_interval(_within_r(s), 1 / (s.clusters.n - s.clusters.count - 2)), s.rho)


def paired_two_stage(s: Studies) -> np.ndarray:
    means = weighted_means(two_stage(s.clusters, RESAMPLES, s.chance), s.columns(np.eye(1))[:, 0])
    return _misses(quantile_interval(means), 0)


def difference_two_stage(s: Studies) -> np.ndarray:
    return _misses(
        quantile_interval(bootstrapped_difference(s.rivals(), two_stage(s.clusters, RESAMPLES, s.chance))), 0
    )


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
    Procedure(name="disturbed by covariates, not adjusted", verdict=disturbed_permutation),
    Procedure(name="partial r, Freedman and Lane", verdict=partial_permutation),
    Procedure(name="interval of partial r: bootstrap of architectures", verdict=partial_bootstrap, rhos=ANY_RHO),
    Procedure(name="contrast of unequal cells, studentized", verdict=contrast_permutation),
    Procedure(name="interval of r, tasks together: jackknife", verdict=together_jackknife, rhos=ANY_RHO),
    Procedure(name="interval of r within: Fisher's z", verdict=within_fisher, rhos=ANY_RHO),
    Procedure(name="interval of a paired mean: two-stage bootstrap", verdict=paired_two_stage),
    Procedure(
        name="interval of a difference of r: two-stage bootstrap", verdict=difference_two_stage, rhos=ANY_RHO
    ),
)

DESIGNS = ((5, 3), (12, 3))  # architectures, seeds of each
ICCS = (0.0, 0.3, 0.6, 0.9)
AT_ONCE = 20  # studies: their permutations fit the processor's cache

Cell = tuple[str, int, int, float, float]  # procedure, architectures, seeds, icc, rho


def error_rates(
    draws: int,
    *,
    procedures: Sequence[Procedure] = PROCEDURES,
    designs: Sequence[tuple[int, int]] = DESIGNS,
    iccs: Sequence[float] = ICCS,
    seed: int = 0,
    jobs: int = 1,
    hidden: bool | None = None,
) -> pd.DataFrame:
    """The share of ``draws`` studies in which each procedure is mistaken, for every design and ICC.

    A test is mistaken where p <= .05 though nothing is there, a 95 % interval where it leaves out the truth: in
    both cases .05 is promised. Columns ``procedure``, ``design``, ``icc``, ``rho`` (the true correlation),
    ``rate``, ``low``, ``high`` (Wilson's 95 % interval), ``draws``. All procedures of a cell see the same studies,
    which depend on ``seed`` and on the cell alone, not on ``jobs``. ``hidden`` is that of tqdm's ``disable``.
    """
    if draws < 1 or jobs < 1:
        raise ValueError(f"draws={draws}, jobs={jobs}: both must be at least 1")
    cells = [
        (procedure.name, *design, icc, rho)
        for procedure, design, icc in product(procedures, designs, iccs)
        for rho in procedure.rhos
    ]
    parts = [
        (cell, part, min(AT_ONCE, draws - start), seed)
        for cell in cells
        for part, start in enumerate(range(0, draws, AT_ONCE))
    ]
    with tqdm(total=len(cells) * draws, desc="studies", unit="study", disable=hidden) as bar:
        mistakes: Counter[Cell] = Counter()
        for (cell, _, datasets, _), found in zip(parts, _counted(parts, jobs), strict=True):
            mistakes[cell] += found
            bar.update(datasets)
    return pd.DataFrame([_row(cell, mistakes[cell], draws) for cell in cells])


def _counted(parts: list[tuple], jobs: int) -> Iterable[int]:
    if jobs == 1:
        with threadpool_limits(1):
            yield from map(_mistakes, parts)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(_mistakes, parts, chunksize=20)


def _one_thread() -> None:
    threadpool_limits(1)  # processes are enough


def _mistakes(part: tuple[Cell, int, int, int]) -> int:
    (name, architectures, seeds, icc, rho), number, datasets, seed = part
    cell = (architectures, seeds, round(1000 * icc), round(1000 * rho))
    studies = Studies(
        clusters=Clusters.equal(architectures, seeds),
        icc=icc,
        rho=rho,
        datasets=datasets,
        seed=(seed, *cell, number),
    )
    (procedure,) = (p for p in PROCEDURES if p.name == name)
    return int(procedure.verdict(studies).sum())


def _row(cell: Cell, mistakes: int, draws: int) -> dict:
    name, architectures, seeds, icc, rho = cell
    low, high = proportion_confint(mistakes, draws, alpha=0.05, method="wilson")
    found = {"rate": mistakes / draws, "low": float(low), "high": float(high), "draws": draws}
    return {"procedure": name, "design": f"{architectures}x{seeds}", "icc": icc, "rho": rho, **found}


def side_by_side(rates: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`error_rates` as a table to read: a row a procedure, a column a design and ICC."""
    rates = rates.assign(column=rates.design + ", ICC " + rates.icc.astype(str))
    wide = rates.pivot(index=["procedure", "rho"], columns="column", values="rate")[rates.column.unique()]
    wide = wide.reindex(pd.MultiIndex.from_frame(rates[["procedure", "rho"]].drop_duplicates()))
    return wide.round(3).reset_index()


def write(table: pd.DataFrame, path: Path) -> None:
    """Write ``table``, four digits behind the point, beside ``path`` and move it there."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        table.round(4).to_csv(unfinished, index=False)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"wrote {path}")


def main() -> None:
    """Simulate, and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000, help="studies of each design and ICC (10 000)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2); they do not change the numbers")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "data" / "results", help="folder (data/results)")
    arguments = parser.parse_args()
    for name, least in (("draws", 1), ("seed", 0), ("jobs", 1)):
        if (value := getattr(arguments, name)) < least:
            parser.error(f"--{name} {value} must be at least {least}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    check_writable(arguments.out)
    rates = error_rates(arguments.draws, seed=arguments.seed, jobs=arguments.jobs)
    write(rates, arguments.out / "type_one_error.csv")
    write(side_by_side(rates), arguments.out / "type_one_error_wide.csv")
    print(f"{arguments.draws} studies of each design and ICC, seed {arguments.seed}")


if __name__ == "__main__":
    main()
