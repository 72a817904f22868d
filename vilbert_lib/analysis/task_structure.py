"""One task at known amounts of redundancy, uniqueness and synergy: what they do to alignment and its use.

Only synthetic data can be turned like this. The dishes' label has four bits. At level 0 text and
image both tell all of it; from level to level more of it is told by the image alone (``unique``), or by
the two together only (``synergy``), while neither side looks any different by itself.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from vilbert_lib import runs
from vilbert_lib.config import Profile, RunConfig
from vilbert_lib.data import synthetic

TASK = "upmc_food"
DIRECTIONS = {"unique": "unique_image", "synergy": "synergy"}


def roots(profile: Profile, count: int = 5) -> pd.DataFrame:
    """The data roots of ``count`` levels in each direction, made where they are missing.

    Columns ``direction``, ``level`` (share of the label that is not redundant, in [0, 1]), ``root``,
    ``best`` (the best possible accuracy) and the same from ``text`` and ``image`` alone. The directions share level 0.
    """
    rows = []
    for direction, part in DIRECTIONS.items():
        for knobs in synthetic.levels(part, count=count):
            root = synthetic.ensure_root(n_train=profile.synthetic_samples, knobs=knobs, tasks=(TASK,))
            best = synthetic.read_manifest(root)["best_possible_accuracy"][TASK]
            level = 1 - knobs.redundancy / synthetic.DISH_BITS
            rows.append(
                {"direction": direction, "level": level, "root": root, "best": best["both"]}
                | {side: best[side] for side in ("text", "image")}
            )
    return pd.DataFrame(rows)


def configurations(
    profile: Profile, levels: pd.DataFrame, architectures: list[str], seeds: list[int]
) -> dict[Path, list[RunConfig]]:
    """The runs of each root of :func:`roots`."""
    return {
        root: [runs.configure(profile, root, TASK, name, seed) for name in architectures for seed in seeds]
        for root in levels.root.unique()
    }


def slopes(table: pd.DataFrame, value: str, *, by: tuple[str, ...] = ("architecture", "seed")) -> pd.DataFrame:
    """How ``value`` changes from level 0 to 1, by least squares: one row a direction and value of ``by``.

    A ValueError where a direction has fewer than two levels.
    """
    rows = []
    for key, group in table.groupby(["direction", *by], sort=False):
        if group.level.nunique() < 2:
            raise ValueError(f"{key}: a slope needs at least two levels")
        rows.append(
            dict(zip(("direction", *by), key, strict=True)) | {value: np.polyfit(group.level, group[value], 1)[0]}
        )
    return pd.DataFrame(rows)


def within_levels(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Pearson's r between x and y over the runs of each level, one row a direction and level."""
    rows = [
        {"direction": direction, "level": level, "r": group[x].corr(group[y]), "n": len(group)}
        for (direction, level), group in table.groupby(["direction", "level"], sort=False)
    ]
    return pd.DataFrame(rows)
