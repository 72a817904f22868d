"""Tables of made runs."""

import numpy as np
import pandas as pd


def runs_of(
    architectures: int, seeds: int, icc: float, rng: np.random.Generator, slope: float = 0.0
) -> pd.DataFrame:
    """Runs whose two columns each have the share ``icc`` of their variance between architectures."""
    shape = (architectures, seeds)
    x, y = (
        np.sqrt(icc) * rng.standard_normal((architectures, 1)) + np.sqrt(1 - icc) * rng.standard_normal(shape)
        for _ in range(2)
    )
    names = np.repeat([f"a{i}" for i in range(architectures)], seeds)
    return pd.DataFrame({"architecture": names, "x": x.ravel(), "y": (y + slope * x).ravel()})


def uneven(seed: int = 0) -> pd.DataFrame:
    """Eleven runs of four architectures, 1 to 4 of each, in no order; columns x, y, z."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((11, 3)), columns=list("xyz"))
    names = np.repeat(list("abcd"), [4, 1, 3, 3])
    return table.assign(architecture=names, y=table.y + table.x).sample(frac=1, random_state=seed)
