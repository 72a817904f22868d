"""How much alignment depends on how many samples, and how many neighbours, it is measured with."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats
from torch import Tensor

from studies import thesis_log
from vilbert_lib import stats as statistics
from vilbert_lib.config import choose
from vilbert_lib.metrics import MEASURES
from vilbert_lib.paths import REPOSITORY
from vilbert_lib.representations import measure_pairs, paired_names
from vilbert_lib.stats import findings


def check(p) -> None:
    """Raise a ValueError for parameters of the notebook that leave nothing to compare."""
    if len(p.architectures) * len(p.seeds) < 3:
        raise ValueError(
            f"architectures {p.architectures}, seeds {p.seeds}: at least 3 models are needed to compare them"
        )
    for name in p.measures:
        choose("measure", name, MEASURES)
    if not any(MEASURES[name].uses_k for name in p.measures):
        raise ValueError(f"measures {p.measures}: at least one with neighbours, such as mknn, is needed")
    if not 0 < p.k < min(p.sizes):
        raise ValueError(f"k {p.k} must lie in 1..{min(p.sizes) - 1}, below the smallest of sizes")


def layer_profile(features: Mapping[str, Tensor], measures: Iterable[str], k: int) -> pd.DataFrame:
    """Alignment of the text and vision layers at the same relative depth.

    Columns ``layer`` (of the deeper stream), ``measure`` and ``value``, NaN where one of the layers is constant.
    """
    frame = measure_pairs(features, measures, k, paired_names(features))
    return frame.assign(layer=frame.groupby("measure").cumcount())[["layer", "measure", "value"]]


def halves(features: Mapping[str, Tensor], seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The same layers on two random halves of the samples, that have none in common."""
    order = np.random.default_rng(seed).permutation(len(next(iter(features.values()))))
    half = len(order) // 2
    first, second = np.sort(order[:half]), np.sort(order[half : 2 * half])
    return {name: x[first] for name, x in features.items()}, {name: x[second] for name, x in features.items()}


def profiles_over_n(
    features: Mapping[str, Tensor],
    measures: Iterable[str],
    sizes: Iterable[int],
    *,
    k: int,
    draws: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Layer profiles on random subsets of one half of the samples, and on the other half: the reference.

    A subset of the very samples that it is compared with would agree with them by that alone.
    Columns ``n``, ``draw`` and ``part`` (0: subsets, 1: the reference, of the largest of ``sizes``)
    beside the profile's. A ValueError where a half has fewer samples than the largest size.
    """
    sizes, rng, frames = sorted(sizes), np.random.default_rng(seed), []
    first, second = halves(features, seed)
    available = len(next(iter(first.values())))
    if sizes[-1] > available:
        raise ValueError(f"n={sizes[-1]} is more than half of the {len(next(iter(features.values())))} samples")
    for n in sizes:
        for draw in range(draws if n < available else 1):
            rows = np.sort(rng.choice(available, size=n, replace=False))
            subset = {name: x[rows] for name, x in first.items()}
            frames.append(layer_profile(subset, measures, k).assign(n=n, draw=draw, part=0))
    reference = {name: x[: sizes[-1]] for name, x in second.items()}
    frames.append(layer_profile(reference, measures, k).assign(n=sizes[-1], draw=0, part=1))
    return pd.concat(frames, ignore_index=True)


def profiles_over_k(
    features: Mapping[str, Tensor], measures: Iterable[str], ks: Iterable[int], seed: int = 0
) -> pd.DataFrame:
    """Layer profiles of neighbour measures for several k, on either half of the samples.

    Columns ``k``, ``part`` and ``draw`` (0) beside the profile's.
    """
    frames = [
        layer_profile(half, measures, k).assign(k=k, draw=0, part=part)
        for part, half in enumerate(halves(features, seed))
        for k in ks
    ]
    return pd.concat(frames, ignore_index=True)


Compared = Literal["reference", "own", "together"]


def _pairs(settings: Mapping[int, list], compared: Compared) -> list[tuple]:
    """Which settings are compared, and whether across the parts.

    ``reference``: every one of part 0 with the largest of part 1. ``own``: every one of part 0 with itself
    in part 1. ``together``: any two of part 0.
    """
    match compared:
        case "reference":
            return [(a, max(settings[1])) for a in sorted(settings[0])]
        case "own":
            return [(a, a) for a in sorted(set(settings[0]) & set(settings[1]))]
        case "together":
            return list(combinations(sorted(settings[0]), 2))


def within_models(profiles: pd.DataFrame, setting: str, compared: Compared) -> pd.DataFrame:
    """Agreement of two settings over the layers of one model.

    ``profiles`` has the columns ``model``, ``architecture``, ``measure``, ``layer``, ``draw``, ``part``, ``value``
    and the ``setting``, n or k. One row a model, measure and pair of settings ``a`` and ``b``:
    ``pearson``, ``spearman`` and the p-value of each, means over the draws of ``a``. The settings are
    ``compared`` across the two parts, which have no sample in common: each with the ``reference``, or with
    its ``own`` in the other part; or ``together`` on the same samples, any two. A profile that is constant, or NaN
    in a layer, has no correlation and is left out.
    """
    rows = []
    for (model, architecture, measure), group in profiles.groupby(
        ["model", "architecture", "measure"], sort=False
    ):
        tables: dict[tuple, list[np.ndarray]] = {}
        for (part, value, _), profile in group.groupby(["part", setting, "draw"]):
            tables.setdefault((part, value), []).append(profile.set_index("layer").value.sort_index().to_numpy())
        settings = {part: [value for p, value in tables if p == part] for part in (0, 1)}
        for a, b in _pairs(settings, compared):
            y = tables[int(compared != "together"), b][0]
            found = [
                (*stats.pearsonr(x, y), *stats.spearmanr(x, y))
                for x in tables[0, a]
                if np.ptp(x) > 0 and np.ptp(y) > 0
            ]
            if found:
                values = dict(zip(("pearson", "p", "spearman", "p_spearman"), np.mean(found, axis=0), strict=True))
                named = {"model": model, "architecture": architecture, "measure": measure, "a": a, "b": b}
                rows.append(named | values)
    keys = ["model", "architecture", "measure", "a", "b"]
    return pd.DataFrame(rows, columns=[*keys, "pearson", "p", "spearman", "p_spearman"])


def tabulated(within: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean and deviation over models of r and p, as the thesis tabulates, with a 95 % interval of the mean r.

    One row a measure and pair of settings. The interval is a two-stage bootstrap: architectures,
    then models of each.
    """
    rows = []
    for (measure, a, b), group in within.groupby(["measure", "a", "b"], sort=False):
        low, high = statistics.mean_interval(group, "pearson", seed=seed)
        rows.append(
            {
                "measure": measure,
                "a": a,
                "b": b,
                "pearson": group.pearson.mean(),
                "low": low,
                "high": high,
                "sd": group.pearson.std(),
                "p": group.p.mean(),
                "p sd": group.p.std(),
                "spearman": group.spearman.mean(),
                "spearman sd": group.spearman.std(),
                "models": len(group),
            }
        )
    estimates = ["pearson", "low", "high", "sd", "p", "p sd", "spearman", "spearman sd", "models"]
    return pd.DataFrame(rows, columns=["measure", "a", "b", *estimates])


def across_models(profiles: pd.DataFrame, setting: str, compared: Compared, seed: int = 0) -> pd.DataFrame:
    """Agreement of two settings on which models are more aligned, with 95 % intervals.

    A model's alignment is the mean over layers (first draw). One row a measure and pair of settings as
    in :func:`within_models`: ``pearson``, ``low``, ``high`` (two-stage bootstrap of architectures and
    models), ``spearman``, ``models``. Settings in which all models are alike, or one is NaN, are left out.
    """
    first = profiles[profiles.draw == 0]
    keys = ["measure", "architecture", "model", "part", setting]
    means = first.groupby(keys, sort=False).value.mean().reset_index()
    rows = []
    for measure, group in means.groupby("measure", sort=False):
        table = group.pivot(index=["architecture", "model"], columns=["part", setting], values="value")
        table = table.loc[:, np.ptp(table.to_numpy(), axis=0) > 0]
        settings = {part: [value for p, value in table.columns if p == part] for part in (0, 1)}
        for a, b in _pairs(settings, compared) if settings[0] and settings[1] else []:
            other = int(compared != "together")
            both = pd.DataFrame({"x": table[0, a], "y": table[other, b]}).reset_index()
            found = statistics.estimated(statistics.correlation, both, "x", "y", seed=seed)
            rows.append(
                {
                    "measure": measure,
                    "a": a,
                    "b": b,
                    "pearson": both.x.corr(both.y),
                    "low": found.get("low", np.nan),
                    "high": found.get("high", np.nan),
                    "spearman": stats.spearmanr(both.x, both.y).statistic,
                    "models": len(both),
                }
            )
    return pd.DataFrame(rows, columns=["measure", "a", "b", "pearson", "low", "high", "spearman", "models"])


def enough(agreements: pd.DataFrame, wanted: float = 0.9) -> dict[str, int | None]:
    """Per measure the smallest ``a`` from which on every interval lies above ``wanted``; None: there is none.

    ``agreements`` are rows of :func:`tabulated` or :func:`across_models` with one and the same ``b``.
    """
    found = {}
    for measure, group in agreements.groupby("measure", sort=False):
        good = group.sort_values("a", ascending=False)
        reached = good.a[(good.low > wanted).cummin()]
        found[measure] = int(reached.min()) if len(reached) else None
    return found


def steadiest(agreements: pd.DataFrame) -> pd.DataFrame:
    """Per measure the setting whose profiles agree best with its own on other samples.

    ``agreements`` are rows of :func:`tabulated`: the one with the highest mean r, the smallest setting
    where several have it.
    """
    best = agreements.sort_values(["pearson", "a"], ascending=[False, True])
    return best.groupby("measure", sort=False).head(1).set_index("measure")


def running_times() -> pd.DataFrame:
    """The thesis' seconds for its measures beside this library's for a grid of 24 layers, from the benchmark."""
    thesis = thesis_log.read("running_times").dropna(subset=["seconds"])
    ours = pd.read_csv(REPOSITORY / "benchmarks" / "results" / "measures_growth.csv").set_index("n")
    return pd.DataFrame(
        {
            "n": thesis.n_samples,
            "thesis, s": thesis.seconds,
            "deviation, s": thesis.sd_seconds,
            "here, s": [ours.all_s.get(n, np.nan) for n in thesis.n_samples],
            "here without Procrustes, s": [ours.without_procrustes_s.get(n, np.nan) for n in thesis.n_samples],
        }
    )


def recommendations(
    table_n: pd.DataFrame, across_n: pd.DataFrame, table_k: pd.DataFrame, measures: list[str], wanted: float
) -> pd.DataFrame:
    """Collect the recommended n and k of every measure.

    Returns
    -------
    pandas.DataFrame
        By measure: ``n within models``, ``n across models`` (:func:`enough`), and ``k``, ``r at this k``, ``low``,
        ``high`` (:func:`steadiest`).
    """
    best = steadiest(table_k)
    columns = {
        "n within models": enough(table_n, wanted),
        "n across models": enough(across_n, wanted),
        "k": best.a,
        "r at this k": best.pearson,
        "low": best.low,
        "high": best.high,
    }
    return pd.DataFrame(columns).reindex(measures)


def of_recommendations(table: pd.DataFrame, largest: int, wanted: float) -> Iterator[dict]:
    """Findings on the smallest sufficient n within and across models, and on k, from :func:`recommendations`."""
    for measure, row in table.iterrows():
        for way in ("within", "across"):
            n = row[f"n {way} models"]
            yield findings.finding(
                f"{measure}: is some n up to {largest} enough to agree with {largest} other samples {way} models?",
                f"{measure}, {way} models: "
                + (f"from n = {n:.0f} on the interval of r lies above {wanted}." if pd.notna(n) else "no n is."),
                n,
                decided="supported" if pd.notna(n) else "inconclusive",
            )
        if pd.notna(row.k):
            yield findings.finding(
                f"{measure}: does its best k give profiles that agree on other samples (r above {wanted})?",
                f"{measure} agrees best at k = {row.k:.0f}, where r exceeds {wanted} by {{}}.",
                row["r at this k"] - wanted,
                row.low - wanted,
                row.high - wanted,
                direction="positive",
                unit="(r)",
                digits=2,
            )


def notes_without_blocks(agreements: pd.DataFrame, architectures: list[str]) -> list[str]:
    """State how profiles of models without blocks agree on other samples, from :func:`within_models` at one n."""
    found = []
    for name in architectures:
        r = agreements[agreements.architecture == name].groupby("measure", sort=False).pearson.mean()
        listed = ", ".join(f"{measure} {value:.2f}" for measure, value in r.items() if pd.notna(value))
        listed = listed or "undefined for every measure, as the layers do not differ"
        found.append(f"{name}, whose streams never meet: r over its layers with other samples is {listed}.")
    return found
