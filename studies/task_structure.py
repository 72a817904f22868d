"""H1 where the answer can be known: tasks that differ only in how one bit of the label is told.

The label of a synthetic dish has four bits. Three of them are told by text and image alike. The fourth is told by
both (``redundant``), by the image alone (``unique``), or only by the two together (``synergy``), while neither
side looks any different by itself.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from vilbert_lib import runs, synthetic
from vilbert_lib import stats as statistics
from vilbert_lib.config import Profile, RunConfig
from vilbert_lib.stats import alignment, findings
from vilbert_lib.synthetic.knobs import DISH_BITS, Knobs

TASK = "upmc_food"
STRUCTURES = {"redundant": "redundancy", "unique": "unique_image", "synergy": "synergy"}
#: Chosen in the pilot: with Hadamard fusion, or half of the samples, runs stay at chance for long.
FUSION, EPOCHS = "sum", 10
AREA = "mean_val_accuracy"


def knobs(structure: str, bits: int = 1) -> Knobs:
    """The knobs of dishes of which ``bits`` of the four are told as ``structure`` says."""
    parts = dict.fromkeys(("redundancy", "unique_text", "unique_image", "synergy"), 0.0)
    parts["redundancy"] = float(DISH_BITS - bits)
    parts[STRUCTURES[structure]] += bits
    return Knobs(**parts)


def roots(profile: Profile, structures: list[str], bits: int = 1) -> pd.DataFrame:
    """The data root of each structure, made where it is missing.

    Columns ``structure``, ``root``, ``best`` (the best possible accuracy) and ``one_side``, what the better side
    alone can reach. A ValueError for a structure that is not known, or a profile without synthetic data.
    """
    if unknown := sorted(set(structures) - set(STRUCTURES)):
        raise ValueError(f"structures {unknown} are not known; known: {', '.join(STRUCTURES)}")
    if not profile.synthetic_samples:
        raise ValueError(f"profile {profile.name!r} has no synthetic data, whose structure is known")
    rows = []
    for name in structures:
        root = synthetic.ensure_root(n_train=profile.synthetic_samples, knobs=knobs(name, bits), tasks=(TASK,))
        best = synthetic.read_manifest(root)["best_possible_accuracy"][TASK]
        rows.append({"structure": name, "root": root, "best": best["both"]})
        rows[-1]["one_side"] = max(best["text"], best["image"])
    return pd.DataFrame(rows)


def configurations(
    profile: Profile, where: pd.DataFrame, seeds: dict[str, list[int]]
) -> dict[Path, list[RunConfig]]:
    """The runs on each root of :func:`roots`; ``seeds`` are by architecture."""
    train = {"n_train": profile.synthetic_samples, "epochs": EPOCHS}
    return {
        root: [
            runs.configure(profile, root, TASK, name, seed, train=train, model={"fusion": FUSION})
            for name, of_name in seeds.items()
            for seed in of_name
        ]
        for root in where.root
    }


def measured(
    profile: Profile,
    where: pd.DataFrame,
    seeds: dict[str, list[int]],
    measure: str,
    run_list: runs.RunList = runs.NOT_LISTED,
) -> pd.DataFrame:
    """All runs, trained where they are missing: one row each. ``seeds`` are by architecture.

    Columns of :func:`roots` and of the runs' summaries; :data:`AREA`, the mean validation accuracy over the
    epochs, which is the area under the learning curve; and a column named ``measure``: alignment above chance,
    the mean over layers, at the best epoch. ``run_list``: see :func:`vilbert_lib.runs.ensure`.
    """
    wanted = configurations(profile, where, seeds)
    trained = {root: runs.ensure(configs, root, run_list=run_list) for root, configs in wanted.items()}
    parts = []
    for root, of_root in trained.items():
        aligned = alignment.per_run(
            runs.alignments(of_root, profile.alignment, root, epochs=("best",)), above_chance=True
        )
        areas = {run.config.id: run.metrics.query("epoch > 0").val_accuracy.mean() for run in of_root}
        found = runs.summaries(of_root).merge(aligned[["run", measure]], on="run")
        parts.append(found.assign(root=root, **{AREA: found.run.map(areas)}))
    return where.merge(pd.concat(parts), on="root")


def interaction(table: pd.DataFrame, value: str, placements: list[str], structures: list[str]) -> dict:
    """(first - second placement) on the first structure, less the same on the second: a contrast of four cells."""
    weights = {
        (structure, placement): side * part
        for structure, side in zip(structures, (1, -1), strict=True)
        for placement, part in zip(placements, (1, -1), strict=True)
    }
    return statistics.estimated(statistics.contrast, table, value, weights, ["structure", "architecture"])


def differences(table: pd.DataFrame, value: str, placements: list[str]) -> pd.DataFrame:
    """First less second placement on every structure, with ``p_holm`` over the structures."""
    weights = {(placements[0],): 1.0, (placements[1],): -1.0}
    return _by_structure(table, value, weights, ["architecture"])


def _by_structure(table: pd.DataFrame, value: str, weights: dict, by: list[str]) -> pd.DataFrame:
    rows = [
        {"structure": structure} | statistics.estimated(statistics.contrast, group, value, weights, by)
        for structure, group in table.groupby("structure", sort=False)
    ]
    columns = ["structure", "estimate", "low", "high", "p", "n", "note"]
    found = pd.DataFrame(rows).reindex(columns=columns)
    return found.assign(p_holm=statistics.adjust(found.p))


def within_placements(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """r of x and y between the seeds of one placement, on every structure (:func:`vilbert_lib.stats.within`)."""
    rows = [
        {"structure": structure} | statistics.estimated(statistics.within, group, x, y)
        for structure, group in table.groupby("structure", sort=False)
    ]
    columns = ["structure", "r", "low", "high", "p", "n", "note"]
    found = pd.DataFrame(rows).reindex(columns=columns)
    return found.assign(p_holm=statistics.adjust(found.p))


def room(table: pd.DataFrame, margin: float = 0.05) -> pd.DataFrame:
    """Mean accuracy of every structure and placement, and whether it can move: ``at`` ceiling, floor, or between.

    The ceiling is the best possible accuracy, the floor what the better side alone can reach where that is less;
    a mean is at one of them within ``margin``. ``seed_sd`` is the deviation between seeds of :data:`AREA`.
    """
    rows = []
    for (structure, placement), cell in table.groupby(["structure", "architecture"], sort=False):
        mean, best, floor = cell.test_accuracy.mean(), cell.best.iloc[0], cell.one_side.iloc[0]
        at_floor = floor < best - margin and mean < floor + margin
        rows.append(
            {"structure": structure, "placement": placement, "runs": len(cell), "test accuracy": mean}
            | {"at": "floor" if at_floor else "ceiling" if mean > best - margin else "between"}
            | {AREA: cell[AREA].mean(), "seed_sd": cell[AREA].std()}
        )
    return pd.DataFrame(rows)


def of_structure(
    declared: dict, between: pd.DataFrame, blocks: pd.DataFrame, inside: pd.DataFrame, p
) -> Iterator[dict]:
    """Findings: the declared interaction, then single structures. ``p`` are the notebook's parameters."""
    first, second = p.placements
    yield findings.finding(
        f"H1: is {first} less {second} another one for {p.structures_compared[0]} than for"
        f" {p.structures_compared[1]} information? (declared)",
        f"The lead of {first} over {second}, in mean validation accuracy over the epochs, is for"
        f" {p.structures_compared[0]} another one than for {p.structures_compared[1]} information, by {{}}.",
        *(100 * declared.get(name, float("nan")) for name in ("estimate", "low", "high")),
        margin=2.0,
        unit="points",
        p=declared.get("p", float("nan")),
        n=declared.get("n", float("nan")),
        digits=1,
    )
    for row in between.itertuples():
        yield _points(
            row,
            f"{row.structure}: do {first} and {second} learn at different speeds?",
            f"With {row.structure} information {first} has {{}} of mean validation accuracy more than {second}.",
        )
    for row in blocks.itertuples():
        yield _points(
            row,
            f"{row.structure}: do blocks raise test accuracy over streams that meet only in the {FUSION} fusion?",
            f"With {row.structure} information blocks change test accuracy, over streams that meet only in the"
            f" {FUSION} before a linear head, by {{}}.",
            direction="positive",
        )
    for row in inside.itertuples():
        yield findings.finding(
            f"{row.structure}: do better seeds of one placement have the larger {p.primary_measure}?",
            f"Between seeds of one placement r is {{}} with {row.structure} information.",
            row.r,
            row.low,
            row.high,
            direction="positive",
            p=row.p_holm,
            n=row.n,
            digits=2,
        )


def _points(row, question: str, sentence: str, direction: str = "nonzero") -> dict:
    ends = (100 * row.estimate, 100 * row.low, 100 * row.high)
    return findings.finding(
        question, sentence, *ends, direction=direction, margin=2.0, unit="points", p=row.p_holm, n=row.n, digits=1
    )
