"""How often each procedure is mistaken, counted on made studies."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from vilbert_lib.stats.clusters import Clusters
from vilbert_lib.stats.made import PROCEDURES, Procedure, Studies

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
