"""Findings of ``07_attribution``: which methods to trust, and whether co-attention is more focused."""

from collections.abc import Iterator

import pandas as pd

from vilbert_lib.attribution.methods import METHODS
from vilbert_lib.stats import findings

TESTS = {
    "deletion": "deletion, beyond a random order",
    "insertion": "insertion, beyond a random order",
    "evidence": "share of relevance on the evidence, beyond chance",
    "first": "how often the most relevant place is evidence, beyond chance",
    "learned": "the same, beyond the untrained model",
}


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
