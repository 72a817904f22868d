"""What the measures say where the answer is known."""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
import pandas as pd

from studies import thesis_log
from vilbert_lib.metrics import MEASURES, alignment_grid
from vilbert_lib.stats import findings


def known_pair(case: str, n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two (n, d) arrays: ``identical``, ``independent``, or ``shared`` (a common 32-dimensional part)."""
    rng = np.random.default_rng([seed, n, d])
    X = rng.standard_normal((n, d))
    match case:
        case "identical":
            return X, X.copy()
        case "independent":
            return X, rng.standard_normal((n, d))
        case "shared":
            common = rng.standard_normal((n, 32))
            X, Y = (
                common @ rng.standard_normal((32, d)) / 32**0.5 + 0.5 * rng.standard_normal((n, d))
                for _ in range(2)
            )
            return X, Y
    raise ValueError(f"unknown case {case!r}; known: identical, independent, shared")


def properties() -> pd.DataFrame:
    """List what each measure states of itself."""
    rows = [
        {
            "measure": m.name,
            "direction": m.direction,
            "range": f"{m.range[0]:g} to {m.range[1]:.3g}",
            "identical": "depends" if m.identical is None else m.identical,
            "symmetric": m.symmetric,
            "chance in closed form": bool(m.moments),
            "source": m.source,
        }
        for m in MEASURES.values()
    ]
    return pd.DataFrame(rows)


def values(measures: Iterable[str], X: np.ndarray, Y: np.ndarray, k: int = 10) -> dict[str, float]:
    """All ``measures`` of one pair of features."""
    grid = alignment_grid({"X": X, "Y": Y}, measures, k=k)
    return dict(zip(grid.measure, grid.value, strict=True))


def known_values(measures: Iterable[str], n: int, d: int, k: int = 10) -> pd.DataFrame:
    """Each measure on the known pairs: one row a measure, one column a case."""
    cases = ("identical", "shared", "independent")
    found = {case: values(measures, *known_pair(case, n, d), k=k) for case in cases}
    return pd.DataFrame(found).rename_axis("measure").reset_index()


def chance_levels(
    measures: Iterable[str], sizes: Iterable[int], widths: Iterable[int], ks: Iterable[int] = (10,), draws: int = 3
) -> pd.DataFrame:
    """Values on independent Gaussian pairs: columns ``measure``, ``n``, ``d``, ``k``, ``draw``, ``value``."""
    rows = []
    for n, d, k, draw in product(sizes, widths, ks, range(draws)):
        if k < n:
            found = values(measures, *known_pair("independent", n, d, seed=draw), k=k)
            rows += [{"measure": m, "n": n, "d": d, "k": k, "draw": draw, "value": v} for m, v in found.items()]
    return pd.DataFrame(rows)


def closed_forms(n: int, d: int, k: int, permutations: int) -> pd.DataFrame:
    """Exact mean and deviation over permutations beside those of ``permutations`` random ones."""
    measures = [m.name for m in MEASURES.values() if m.moments]
    X, Y = known_pair("independent", n, d)
    exact, drawn = (
        alignment_grid({"X": X, "Y": Y}, measures, k=k, null=null, permutations=permutations)
        for null in ("exact", "permutation")
    )
    return pd.DataFrame(
        {
            "measure": measures,
            "exact mean": exact.chance,
            "mean": drawn.chance,
            "exact deviation": exact.chance_sd,
            "deviation": drawn.chance_sd,
        }
    )


def several_texts(
    images: int, texts: int, d: int, k: int, permutations: int = 199, noise: float = 0.5
) -> pd.DataFrame:
    """Independent layers with ``texts`` rows an image that are alike: values and p by rows and by whole images."""
    rng = np.random.default_rng(0)
    X, Y = (
        np.repeat(rng.standard_normal((images, d)), texts, 0) + noise * rng.standard_normal((images * texts, d))
        for _ in range(2)
    )
    image = np.repeat(np.arange(images), texts)
    options = {"k": k, "null": "permutation", "permutations": permutations}
    measures = ["unbiased_cka", "mknn", "cknna"]
    by_row = alignment_grid({"X": X, "Y": Y}, measures, **options)
    by_image = alignment_grid({"X": X, "Y": Y}, measures, blocks=image, **options)
    return pd.DataFrame(
        {
            "measure": measures,
            "value": by_row.value,
            "chance, rows permuted": by_row.chance,
            "p, rows permuted": by_row.p,
            "chance, images permuted": by_image.chance,
            "p, images permuted": by_image.p,
        }
    )


def beside_thesis(n: int, d: int, k: int) -> pd.DataFrame:
    """The thesis' table of identical and random inputs beside ours at a setting of one's choice."""
    thesis = thesis_log.read("measure_sanity")
    names = [m for m in thesis.measure if m in MEASURES]
    ours = known_values(names, n, d, k).set_index("measure")
    return pd.DataFrame(
        {
            "measure": thesis.measure,
            "thesis, identical": thesis.identical,
            "ours, identical": [ours.identical.get(m, np.nan) for m in thesis.measure],
            "thesis, random": thesis.random,
            "ours, random": [ours.independent.get(m, np.nan) for m in thesis.measure],
        }
    )


def transformed(X: np.ndarray, how: str, seed: int = 0) -> np.ndarray:
    """X after a ``rotation``, ``scaling``, ``translation`` or change of single features (``rescaling``)."""
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    match how:
        case "rotation":
            return X @ np.linalg.qr(rng.standard_normal((d, d)))[0]
        case "scaling":
            return 2.5 * X
        case "translation":
            return X + 3 * rng.standard_normal(d)
        case "rescaling":
            return X * np.exp(rng.standard_normal(d))
    raise ValueError(f"unknown transformation {how!r}; known: rotation, scaling, translation, rescaling")


def invariances(measures: Iterable[str], n: int, d: int, k: int = 10, tolerance: float = 1e-6) -> pd.DataFrame:
    """Which transformations of one side leave a measure as it is, tried on a pair that shares a part.

    Columns ``measure``, ``transformation``, ``change`` (absolute), ``invariant``, ``claimed``.
    """
    X, Y = known_pair("shared", n, d)
    rng = np.random.default_rng(1)
    order = rng.permutation(n)
    variants = {how: (X, transformed(Y, how)) for how in ("rotation", "scaling", "translation", "rescaling")}
    variants["permutation of samples"] = (X[order], Y[order])
    before = values(measures, X, Y, k)
    rows = []
    for how, pair in variants.items():
        for m, value in values(measures, *pair, k=k).items():
            change = abs(value - before[m])
            claimed = how in MEASURES[m].invariances
            rows.append(
                {
                    "measure": m,
                    "transformation": how,
                    "change": change,
                    "invariant": change < tolerance,
                    "claimed": claimed,
                }
            )
    return pd.DataFrame(rows)


def of_checks(
    known: pd.DataFrame, checks: pd.DataFrame, closed: pd.DataFrame, lost: pd.DataFrame, permutations: int
) -> Iterator[dict]:
    """Findings on values, invariances and chance levels that are known; the number of failures decides.

    Parameters
    ----------
    known, checks, closed : pandas.DataFrame
        Results of :func:`known_values`, :func:`invariances` and :func:`closed_forms`.
    lost : pandas.DataFrame
        Result of :func:`studies.oddities.lost_rows`, the last row with a quarter of the rows.
    permutations : int
        Random permutations behind ``closed``.
    """
    identical = known.set_index("measure").identical
    stated = {m: MEASURES[m].identical for m in MEASURES if MEASURES[m].identical is not None}
    wrong = sum(abs(identical[m] - value) > 1e-6 for m, value in stated.items())
    claimed = checks[checks.claimed]
    error = (closed["exact mean"] - closed["mean"]).abs()
    off = int((error > 5 * closed["deviation"] / permutations**0.5 + 1e-9).sum())
    cases = (
        ("Does each measure give identical features the value that it states?", wrong, len(stated), "measures"),
        ("Do all claimed invariances hold?", int((~claimed.invariant).sum()), len(claimed), "claims"),
        (f"Do {permutations} random permutations meet the exact chance levels?", off, len(closed), "measures"),
    )
    for question, failures, n, unit in cases:
        yield findings.finding(
            question, f"{failures} of {n} {unit} fail.", failures, failures, failures, direction="zero", n=n
        )
    yield findings.finding(
        "Can one mistake, lost rows, give the thesis' values for LCS (8.0) and edit similarity (.7501)?",
        f"A quarter of the rows alone gives {lost['LCS, identical'].iloc[-1]:.1f} and"
        f" {lost['edit, independent'].iloc[-1]:.4f}; the thesis' code was not run.",
        decided="inconclusive",
    )


def notes(known: pd.DataFrame, chance: pd.DataFrame) -> list[str]:
    """State which measures are far from zero for independent features, and which never are."""
    far = known.set_index("measure").independent[list(chance.measure.unique())].drop("wasserstein")
    near = (
        chance.groupby(["measure", "n", "d"], sort=False).value.mean().abs().groupby("measure", sort=False).max()
    )
    return [
        "Values of independent features beyond 0.1, to be read against chance: "
        + ", ".join(f"{name} {value:.2f}" for name, value in far.items() if abs(value) > 0.1),
        f"Within 0.1 of zero at every n and d: {', '.join(near.index[near < 0.1])}",
    ]
