"""How much alignment depends on how many samples, and how many neighbours, it is measured with."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from torch import Tensor

from vilbert_lib.analysis import statistics, thesis_log
from vilbert_lib.metrics import alignment_grid
from vilbert_lib.paths import REPOSITORY


def layer_profile(features: Mapping[str, Tensor], measures: Iterable[str], k: int) -> pd.DataFrame:
    """Alignment of the text and vision layers of equal number: columns ``layer``, ``measure``, ``value``."""
    layers = sorted(int(name[1:]) for name in features if name.startswith("t"))
    frame = alignment_grid(features, measures, k=k, pairs=[(f"t{i}", f"v{i}") for i in layers])
    return frame.assign(layer=frame.x.str[1:].astype(int))[["layer", "measure", "value"]]


def profiles_over_n(
    features: Mapping[str, Tensor],
    measures: Iterable[str],
    sizes: Iterable[int],
    *,
    k: int,
    draws: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Layer profiles on random subsets of the samples: columns ``n``, ``draw`` beside the profile's.

    The whole sample is measured once; a size that is larger is a ValueError.
    """
    available = len(next(iter(features.values())))
    rng, frames = np.random.default_rng(seed), []
    for n in sizes:
        if n > available:
            raise ValueError(f"n={n} is more than the {available} samples that there are")
        for draw in range(draws if n < available else 1):
            rows = np.sort(rng.choice(available, size=n, replace=False))
            subset = {name: x[rows] for name, x in features.items()}
            frames.append(layer_profile(subset, measures, k).assign(n=n, draw=draw))
    return pd.concat(frames, ignore_index=True)


def profiles_over_k(features: Mapping[str, Tensor], measures: Iterable[str], ks: Iterable[int]) -> pd.DataFrame:
    """Layer profiles of neighbour measures for several k: columns ``k``, ``draw`` (0) beside the profile's."""
    return pd.concat([layer_profile(features, measures, k).assign(k=k, draw=0) for k in ks], ignore_index=True)


def within_models(profiles: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Agreement of two settings over the layers of one model.

    ``profiles`` has the columns ``model``, ``architecture``, ``measure``, ``layer``, ``draw``, ``value`` and the
    ``setting``, n or k. One row a model, measure and pair of settings ``a`` < ``b``: ``pearson``, ``spearman``
    and the p-value of each, means over the draws of ``a``. A profile that is constant has no
    correlation and is left out.
    """
    rows = []
    for (model, architecture, measure), group in profiles.groupby(
        ["model", "architecture", "measure"], sort=False
    ):
        tables = {
            (value, draw): part.set_index("layer").value.sort_index().to_numpy()
            for (value, draw), part in group.groupby([setting, "draw"])
        }
        for a, b in combinations(sorted(group[setting].unique()), 2):
            found = []
            for value, draw in tables:
                if value == a:
                    x, y = tables[a, draw], tables.get((b, draw), tables[b, 0])
                    if np.ptp(x) > 0 and np.ptp(y) > 0:
                        found.append((*stats.pearsonr(x, y), *stats.spearmanr(x, y)))
            if found:
                values = dict(zip(("pearson", "p", "spearman", "p_spearman"), np.mean(found, axis=0), strict=True))
                named = {"model": model, "architecture": architecture, "measure": measure, "a": a, "b": b}
                rows.append(named | values)
    return pd.DataFrame(rows)


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
    return pd.DataFrame(rows)


def across_models(profiles: pd.DataFrame, setting: str, seed: int = 0) -> pd.DataFrame:
    """Agreement of two settings on which models are more aligned, with 95 % intervals.

    A model's alignment is the mean over layers (first draw). One row a measure and pair ``a`` < ``b``:
    ``pearson``, ``low``, ``high`` (two-stage bootstrap of architectures and models), ``spearman``, ``models``.
    """
    first = profiles[profiles.draw == 0]
    means = first.groupby(["measure", setting, "architecture", "model"], sort=False).value.mean().reset_index()
    rows = []
    for measure, group in means.groupby("measure", sort=False):
        table = group.pivot(index=["architecture", "model"], columns=setting, values="value").reset_index()
        for a, b in combinations(sorted(group[setting].unique()), 2):
            found = statistics.correlation(table, a, b, seed=seed)
            rows.append(
                {
                    "measure": measure,
                    "a": a,
                    "b": b,
                    "pearson": found["r"],
                    "low": found["low"],
                    "high": found["high"],
                    "spearman": stats.spearmanr(table[a], table[b]).statistic,
                    "models": found["n"],
                }
            )
    return pd.DataFrame(rows)


def enough(agreements: pd.DataFrame, reference: int, wanted: float = 0.9) -> dict[str, int | None]:
    """Per measure the smallest setting from which on every interval against ``reference`` lies above ``wanted``.

    ``agreements`` are rows of :func:`tabulated` or :func:`across_models`. None where not even the
    setting next to the reference reaches it.
    """
    found = {}
    for measure, group in agreements[agreements.b == reference].groupby("measure", sort=False):
        good = group.sort_values("a", ascending=False)
        reached = good.a[(good.low > wanted).cummin()]
        found[measure] = int(reached.min()) if len(reached) else None
    return found


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
