"""What the study of attributions found, in sentences that are made from its numbers."""

import pandas as pd

from studies.findings import in_words
from vilbert_lib.attribution.methods import METHODS
from vilbert_lib.attribution.trust import trusted

WHAT = {
    "deletion": "deletion beats a random order by",
    "insertion": "insertion by",
    "evidence": "the share of relevance on the evidence is beyond chance by",
    "first": "the most relevant place is evidence more often than by chance by",
    "learned": "and than before training by",
}


def of_trust(table: pd.DataFrame) -> list[str]:
    """For each side which methods passed every test, and the numbers of the one that passed with the most."""
    good, found = trusted(table), []
    for side in dict.fromkeys(table.side):
        tests = table[table.side == side].test.nunique()
        methods = list(good.get(side, []))
        if not methods:
            passed = table[table.side == side].groupby("method", sort=False).passed.sum()
            most = ", ".join(f"{METHODS[name]} {count}" for name, count in passed.items())
            found.append(
                f"On {side} no method passes all {tests} tests; passed are: {most}. None is to be trusted."
            )
            continue
        rows = table[(table.side == side) & table.method.isin(methods)]
        first = rows[rows.test == "deletion"].set_index("method")["mean"].idxmax()
        numbers = "; ".join(
            f"{WHAT[row.test]} {row['mean']:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
            for _, row in rows[rows.method == first].iterrows()
        )
        names = ", ".join(METHODS[name] for name in methods)
        found.append(f"On {side} all {tests} tests are passed by: {names}. Of {METHODS[first]}, {numbers}.")
    return found


def of_focus(table: pd.DataFrame, near: pd.DataFrame) -> list[str]:
    """Whether co-attention is more focused than self-attention: before, after, and by training."""
    rows, beside = table.set_index("moment"), near.set_index("moment")
    trained = rows.loc["trained"]
    verdict = (
        "is more focused than self-attention"
        if trained.high < 0 and trained.p < 0.05
        else "is less focused than self-attention"
        if trained.low > 0 and trained.p < 0.05
        else "cannot be told to be more focused than self-attention"
    )
    few = (
        ""
        if trained.flipped == "model"
        else " (few models: the signs of samples are turned, which finds too much)"
    )
    return [
        f"After training co-attention {verdict}: normalised entropy less that of self-attention {_step(trained)},"
        f" {in_words(trained.p)} over {int(trained.clusters)} models{few}, d = {trained.d:+.1f}; less that of"
        f" self-attention beside the blocks {_step(beside.loc['trained'])}.",
        f"Before training the difference is {_step(rows.loc['untrained'])}: {_share(rows)} needs no learning."
        f" Training adds {_step(rows.loc['learned'])}, {in_words(rows.loc['learned'].p)}.",
    ]


def _step(row: pd.Series) -> str:
    return f"{row['mean']:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def _share(rows: pd.DataFrame) -> str:
    whole, start = rows.loc["trained"]["mean"], rows.loc["untrained"]["mean"]
    return f"{start / whole:.0%} of the trained one" if 0 < start / whole <= 1 else "that much"
