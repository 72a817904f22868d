"""How much a layer profile depends on how many samples, and how many neighbours, it is measured with."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy import stats
from torch import Tensor

from vilbert_lib.metrics import alignment_grid


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


def profiles_over_k(features: Mapping[str, Tensor], ks: Iterable[int]) -> pd.DataFrame:
    """Layer profiles of mutual kNN for several k: column ``k`` beside the profile's."""
    return pd.concat([layer_profile(features, ["mknn"], k).assign(k=k) for k in ks], ignore_index=True)


def agreement(profiles: pd.DataFrame, reference: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Correlation over layers of each profile with the reference profile of its measure.

    ``by`` names the columns that tell profiles apart. Returns these, ``pearson``, ``spearman``
    and the p-value of the former, ``p``.
    """
    wanted = reference.set_index(["measure", "layer"]).value
    rows = []
    for key, group in profiles.groupby(by, sort=False):
        values = wanted.loc[list(zip(group.measure, group.layer, strict=True))].to_numpy()
        pearson = stats.pearsonr(group.value, values)
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "pearson": pearson.statistic,
                "spearman": stats.spearmanr(group.value, values).statistic,
                "p": pearson.pvalue,
            }
        )
    return pd.DataFrame(rows)
