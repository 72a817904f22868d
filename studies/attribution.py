"""Findings of ``07_attribution``: which methods to trust, and whether co-attention is more focused."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from vilbert_lib import runs
from vilbert_lib.attribution import of_runs
from vilbert_lib.attribution.methods import METHODS
from vilbert_lib.stats import findings

TESTS = {
    "deletion": "deletion, beyond a random order",
    "insertion": "insertion, beyond a random order",
    "evidence": "share of relevance on the evidence, beyond chance",
    "first": "how often the most relevant place is evidence, beyond chance",
    "learned": "the same, beyond the untrained model",
}


HEADS = {"first": "most relevant place", "learned": "beyond the untrained model", "target": "class"}


def check(p) -> None:
    """Raise a ValueError for parameters of the notebook that give too few models."""
    if p.shown not in p.architectures or len(p.architectures) * len(p.seeds) < 3:
        raise ValueError(
            f"architectures {p.architectures}, seeds {p.seeds}: {p.shown} among them, and three runs, are needed"
        )


def wanted_accuracy(manifest: dict | None, task: str) -> float:
    """Accuracy halfway between the better side alone and both together; 0 where these are not known."""
    if not manifest:
        return 0.0
    best = manifest["best_possible_accuracy"][task]
    return (max(best["text"], best["image"]) + best["both"]) / 2


def maps(run: runs.Run, root: Path, rows: list[int]) -> pd.DataFrame:
    """Relevance maps of samples by the trained and the untrained model, with a column ``moment``."""
    moments = {"trained": True, "untrained": False}
    return pd.concat([of_runs.maps(run, root, rows, trained=t).assign(moment=m) for m, t in moments.items()])


def map_of(
    table: pd.DataFrame, row: int, side: str, method: str, layer: int = of_runs.WHOLE
) -> dict[str, np.ndarray]:
    """Values over places of one map of :func:`maps`, by moment."""
    chosen = table[(table["sample"] == row) & (table.side == side) & (table.method == method)]
    groups = chosen[chosen.layer == layer].groupby("moment", sort=False)
    return {moment: group.sort_values("place").value.to_numpy() for moment, group in groups}


def patch_maps(table: pd.DataFrame, row: int, columns: dict[str, tuple]) -> dict[str, dict[str, np.ndarray]]:
    """Maps over patches by moment and title; ``columns`` maps titles to (method, layer)."""
    found = {title: map_of(table, row, "patches", *what) for title, what in columns.items()}
    return {moment: {title: by[moment] for title, by in found.items()} for moment in ("trained", "untrained")}


def drawn(maps: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """Maps over patches, as :func:`vilbert_lib.figures.overlays` draws them, one row a patch."""
    frames = [
        pd.DataFrame({"row": row, "column": column, "patch": range(len(values)), "value": values})
        for row, of_row in maps.items()
        for column, values in of_row.items()
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["row", "column", "patch"])


def brightest(maps: dict[str, np.ndarray]) -> str:
    """Where each of ``maps`` over square patches is largest, as a sentence."""
    places = []
    for name, values in maps.items():
        side, place = round(len(values) ** 0.5), int(np.argmax(values))
        where = f"row {place // side + 1}, column {place % side + 1}" if values.max() > 0 else "nowhere"
        places.append(f"{name}: {where}")
    return f"The most relevant patch by {'; '.join(places)}."


def by_head(looks: pd.DataFrame, kind: str, length: int | None = None) -> dict[tuple[int, int], np.ndarray]:
    """Attention over places by block and head, of one direction of :func:`of_runs.looks`."""
    table = looks[looks.kind == kind].sort_values("place")
    return {key: group.value.to_numpy()[:length] for key, group in table.groupby(["index", "head"])}


def of_methods(table: pd.DataFrame) -> Iterator[dict]:
    """Findings on the tests that each method must pass, one row a method and side: its weakest test.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of :func:`vilbert_lib.attribution.trust`.
    """
    for (side, method), rows in table.groupby(["side", "method"], sort=False):
        weakest = rows.loc[rows.low.idxmin()]
        yield findings.finding(
            f"{side}: does {METHODS[method]} pass all {len(rows)} tests of faithfulness?",
            f"On {side}, {METHODS[method]} passes {int(rows.passed.sum())} of {len(rows)} tests; the weakest,"
            f" {TESTS[weakest.test]}, is {{}}.",
            weakest["mean"],
            weakest.low,
            weakest.high,
            direction="positive",
            n=weakest.models,
        )


def of_focus(table: pd.DataFrame, near: pd.DataFrame) -> Iterator[dict]:
    """Findings on the normalised entropy of co-attention less that of self-attention.

    Parameters
    ----------
    table, near : pandas.DataFrame
        Rows by ``moment`` with ``mean``, ``low``, ``high``, ``p``, ``clusters``: against all self-attention, and
        against self-attention next to the blocks.
    """
    moments = {"trained": "after training", "untrained": "before training", "learned": "by training"}
    cases = [("self-attention", table, moment) for moment in moments]
    for what, rows, moment in [*cases, ("self-attention next to the blocks", near, "trained")]:
        row = rows.set_index("moment").loc[moment]
        yield findings.finding(
            f"Is co-attention more focused than {what} {moments[moment]}?",
            f"The normalised entropy of co-attention differs from that of {what} {moments[moment]} by {{}}.",
            row["mean"],
            row.low,
            row.high,
            direction="negative",
            margin=0.02,
            p=row.get("p"),
            n=row.get("clusters"),
        )
