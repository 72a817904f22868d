"""One task at known amounts of redundancy, uniqueness and synergy: what they do to alignment and its use.

Only synthetic data can be turned like this. The dishes' label has four bits. At level 0 text and
image both tell all of it; from level to level more of it is told by the image alone (``unique``), or by
the two together only (``synergy``), while neither side looks any different by itself.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from vilbert_lib import runs, synthetic
from vilbert_lib import stats as statistics
from vilbert_lib.config import Profile, RunConfig
from vilbert_lib.stats import alignment
from vilbert_lib.synthetic.knobs import DISH_BITS

TASK = "upmc_food"
DIRECTIONS = {"unique": "unique_image", "synergy": "synergy"}


def roots(profile: Profile, count: int = 5) -> pd.DataFrame:
    """The data roots of ``count`` levels in each direction, made where they are missing.

    Columns ``direction``, ``level`` (share of the label that is not redundant, in [0, 1]), ``root``,
    ``best`` (the best possible accuracy) and the same from ``text`` and ``image`` alone. The directions
    share level 0. A ValueError for a profile without synthetic data.
    """
    if not profile.synthetic_samples:
        raise ValueError(f"profile {profile.name!r} has no synthetic data to make levels of")
    rows = []
    for direction, part in DIRECTIONS.items():
        for knobs in synthetic.levels(part, count=count):
            root = synthetic.ensure_root(n_train=profile.synthetic_samples, knobs=knobs, tasks=(TASK,))
            best = synthetic.read_manifest(root)["best_possible_accuracy"][TASK]
            level = 1 - knobs.redundancy / DISH_BITS
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


def measured(
    profile: Profile,
    levels: pd.DataFrame,
    architectures: list[str],
    seeds: list[int],
    measure: str,
    aggregate: str,
    run_list: runs.RunList = runs.NOT_LISTED,
) -> pd.DataFrame:
    """The runs of all levels, trained where they are missing: one row a run and direction.

    Columns of :func:`roots` and of the runs' summaries; ``reached``, the test accuracy as a share of the best
    possible, and ``one_side``, what of it the better side alone can reach; and a column named ``measure``: the
    alignment, above chance, put together by ``aggregate``. ``run_list``: see :func:`vilbert_lib.runs.ensure`.
    """
    wanted = configurations(profile, levels, architectures, seeds)
    # All, before any is read.
    trained = {root: runs.ensure(configs, root, run_list=run_list) for root, configs in wanted.items()}
    parts = []
    for root, of_root in trained.items():
        measured = runs.alignments(of_root, profile.alignment, root, epochs=("best",))
        aligned = alignment.per_run(measured, aggregate, above_chance=True)
        parts.append(runs.summaries(of_root).merge(aligned[["run", measure]], on="run").assign(root=root))
    found = levels.merge(pd.concat(parts), on="root")
    alone = found[["text", "image"]].max(axis=1)
    return found.assign(reached=found.test_accuracy / found.best, one_side=alone / found.best)


def beyond_one_side(table: pd.DataFrame) -> pd.DataFrame:
    """How many runs know more than either side alone can tell, where that is less than the two together do.

    One row a direction and such a level: ``one_side``, the best accuracy of one side; ``accuracy``, the mean of
    the runs; ``runs``; and ``beyond``, how many of them have more right than ``one_side`` gives by chance in one
    of forty tests of that size.
    """
    rows = []
    for (direction, level), group in table[table.one_side < 1].groupby(["direction", "level"], sort=False):
        alone = float((group.one_side * group.best).iloc[0])
        right = (group.test_accuracy * group.n_test).round()
        beyond = stats.binom.sf(right - 1, group.n_test, alone) < 0.025
        rows.append(
            {"direction": direction, "level": level, "one_side": alone, "accuracy": group.test_accuracy.mean()}
            | {"runs": len(group), "beyond": int(beyond.sum())}
        )
    return pd.DataFrame(rows, columns=["direction", "level", "one_side", "accuracy", "runs", "beyond"])


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


def trends(table: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """The mean slope over levels of each of ``values``, and whether it differs between architectures.

    One row a direction and value: ``mean`` slope from level 0 to 1 over architectures and seeds with the
    two-stage bootstrap's ``low`` and ``high``, and ``icc``, the share of the slopes' variance that lies between
    architectures: near 0 where the level does the same to all of them, NaN for one seed or one architecture.
    ``note`` says why there is no interval, where a value is NaN.
    """
    rows = []
    for value in values:
        for direction, found in slopes(table, value).groupby("direction", sort=False):
            named = {"direction": direction, "value": value, "mean": found[value].mean(), "runs": len(found)}
            interval = statistics.estimated(_interval, found, value)
            share = statistics.estimated(lambda found, value: {"icc": statistics.icc(found, value)}, found, value)
            rows.append(named | share | interval)
    columns = ["direction", "value", "mean", "low", "high", "icc", "runs", "note"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _interval(found: pd.DataFrame, value: str) -> dict:
    low, high = statistics.mean_interval(found, value)
    return {"low": low, "high": high}


def by_level(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Does the order of the placements depend on the level? Two-way analysis of variance, one row a direction.

    Placements and levels are factors, seeds repeat: ``both`` is F of their interaction with ``dof`` and
    ``residual`` degrees of freedom and ``p_both``, ``level`` that of the levels with ``p_level``; ``best`` names
    the placement with the largest mean at every level. F takes runs to scatter alike everywhere, normally. With
    fewer than two runs of a placement and level, two placements, or values that vary, F is NaN: ``note`` says so.
    """
    rows = []
    for direction, found in table.groupby("direction", sort=False):
        rows.append({"direction": direction} | statistics.estimated(_interaction, found, value))
    columns = ["direction", "both", "dof", "residual", "p_both", "level", "p_level", "best", "note"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _interaction(found: pd.DataFrame, value: str) -> dict:
    plain = found.rename(columns={value: "value"})[["value", "architecture", "level"]]
    cells = plain.groupby(["architecture", "level"]).value
    if cells.size().min() < 2 or plain.architecture.nunique() < 2:
        raise statistics.NotEstimableError("two architectures, and two runs of each at every level, are needed")
    if plain.value.isna().any() or cells.var().max() < 1e-20:
        raise statistics.NotEstimableError(f"column {value} is NaN in a run, or the same for all seeds")
    tests = anova_lm(ols("value ~ C(architecture) * C(level)", plain).fit())
    both, level = tests.loc["C(architecture):C(level)"], tests.loc["C(level)"]
    means = cells.mean().unstack("architecture")
    return (
        {"both": both.F, "dof": int(both.df), "residual": int(tests.df["Residual"])}
        | {"p_both": both["PR(>F)"], "level": level.F, "p_level": level["PR(>F)"]}
        | {"best": ", ".join(f"{name} at {at:g}" for at, name in means.idxmax(axis=1).items())}
    )


def within_levels(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Pearson's r between x and y over the runs of each level, one row a direction and level.

    With the two-stage bootstrap's interval, ``low`` and ``high``; NaN where a side is constant, or NaN in a run.
    """
    rows = [
        {"direction": direction, "level": level} | statistics.estimated(statistics.correlation, group, x, y)
        for (direction, level), group in table.groupby(["direction", "level"], sort=False)
    ]
    columns = ["direction", "level", "r", "low", "high", "n", "clusters", "note"]
    return pd.DataFrame(rows).reindex(columns=columns)
