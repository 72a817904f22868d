"""Findings of ``04_correlation``: alignment against performance, and what blocks do to alignment."""

from collections.abc import Iterator

import pandas as pd

from studies.performance import LEARNED, MIXED, UNTRAINED
from vilbert_lib.metrics import MEASURES
from vilbert_lib.stats import findings

RELEVANT = 0.3  # a correlation that is smaller in size is of no interest
SAME = 0.9  # two aggregates that correlate more closely cannot be distinguished
CONDITIONS = {
    UNTRAINED: "alignment before training",
    LEARNED: "what training adds to alignment",
    MIXED: "the number of layers after the first block",
}


def of_correlations(
    adjusted: pd.DataFrame,
    declared: pd.DataFrame,
    together: dict[str, float],
    beside: pd.DataFrame,
    measure: str,
    target: str,
) -> Iterator[dict]:
    """Findings on alignment and performance between architectures.

    Parameters
    ----------
    adjusted, declared, together, beside
        Results of :func:`studies.performance.adjusted`, :func:`studies.performance.declared`,
        :func:`vilbert_lib.stats.together` and the correlations of confounders, by task and source.
    measure, target : str
        What was declared. Of a loss, as the target's name ends, lower is better, of a distance more alike.
    """
    expected = {"direction": _expected(measure, target), "margin": RELEVANT, "unit": "(r)", "digits": 2}
    for row in adjusted.itertuples():
        primary = row.Index == 0
        yield findings.finding(
            f"{row.task}: do {measure} and {target} go together once the blocks' places are adjusted for?"
            + (" (declared)" if primary else ""),
            f"Adjusted for blocks, layers after the first and alignment before training, {measure} and {target}"
            f" correlate by {{}} on {row.task}.",
            row.r,
            row.low,
            row.high,
            p=row.p if primary else row.p_holm,
            n=row.clusters,
            **expected,
        )
    if together["tasks"] > 1:
        yield findings.finding(
            f"Across placements and all {together['tasks']} tasks: do {measure} and {target} go together?",
            f"Between architectures {measure} and {target} correlate by {{}} on average over tasks.",
            together["r"],
            together["low"],
            together["high"],
            p=together["p"],
            n=together["clusters"],
            **expected,
        )
        for source, row in beside[beside.task == "all tasks"].set_index("source").iterrows():
            if source in CONDITIONS:
                yield findings.finding(
                    f"The same for {CONDITIONS[source]}?",
                    f"{CONDITIONS[source].capitalize()} correlates with {target} by {{}}.",
                    row.r,
                    row.low,
                    row.high,
                    p=row.p,
                    n=together["clusters"],
                    **expected,
                )
    for row in declared.itertuples():
        yield findings.finding(
            f"{row.task}, across placements: do {measure} and {target} go together?",
            f"On {row.task}, between architectures, {measure} and {target} correlate by {{}}.",
            row.between,
            row.between_low,
            row.between_high,
            p=row.between_holm,
            n=together["clusters"],
            **expected,
        )
        yield findings.finding(
            f"{row.task}, between seeds of a placement: do {measure} and {target} go together?",
            f"On {row.task}, within architectures, {measure} and {target} correlate by {{}}.",
            row.within,
            row.within_low,
            row.within_high,
            p=row.within_p,
            n=row.dof,
            **expected,
        )


def _expected(measure: str, target: str) -> str:
    """The sign of a correlation between being alike and doing well."""
    return "negative" if target.endswith("loss") == (MEASURES[measure].sign > 0) else "positive"


def of_layers(together: pd.DataFrame, layers: pd.DataFrame, measure: str, target: str) -> Iterator[dict]:
    """Findings on H2: whether the layer of highest alignment predicts performance better than the last one.

    ``together`` is the result of :func:`studies.performance.most_and_last_together`, ``layers`` that of
    :func:`studies.performance.last_against_most` for the same measure.
    """
    close = together.set_index("task").r
    for row in layers.itertuples():
        alike = close.get(row.task, float("nan"))
        sentence = f"On {row.task} the two correlations with {target} differ by {{}} (highest less last layer)."
        if alike > SAME:
            sentence += f" Both layers go together by r = {alike:.2f}: these models cannot distinguish them."
        yield findings.finding(
            f"H2, {row.task}: is the highest layer's {measure} more related to {target} than the last layer's?",
            sentence,
            row.difference,
            row.low,
            row.high,
            direction=_expected(measure, target),
            margin=0.1,
            unit="(r)",
            p=row.p,
            digits=2,
            decided="inconclusive" if alike > SAME else "",
        )


def of_blocks(rises: pd.DataFrame, measure: str) -> Iterator[dict]:
    """Findings on H3: whether alignment rises over a co-attention block, before training, after it, and by it."""
    moments = {"best": "after training", "untrained": "before training", "learned": "by training"}
    for moment, when in moments.items():
        row = rises.loc[measure, moment]
        yield findings.finding(
            f"H3: does {measure} rise over a co-attention block {when}?",
            f"Over a block {measure} rises {when} by {{}} more than between the same layers without blocks.",
            row["mean"],
            row.low,
            row.high,
            direction="positive",
            margin=0.02,
            p=row.p,
            n=row.clusters,
        )


def of_tasks(orders: pd.DataFrame) -> Iterator[dict]:
    """Findings on H1 between tasks: whether the order of the architectures is the same on two tasks."""
    for row in orders.itertuples():
        yield findings.finding(
            f"H1: do {row.task} and {row.other} order the architectures alike?",
            f"The orders of the architectures on {row.task} and {row.other} correlate by {{}} (Spearman).",
            row.r,
            direction="positive",
            unit="(r)",
            p=row.p_holm,
            n=row.clusters,
            digits=2,
            decided="supported" if row.r > 0 and row.p_holm < 0.05 else "inconclusive",
        )


def notes(groups: pd.Series, choices: pd.DataFrame, four: list[str], explored: pd.DataFrame) -> list[str]:
    """State what the measures have in common, and how many exploratory correlations are significant."""
    found = []
    if len(groups):
        members = groups.groupby(groups).apply(lambda group: ", ".join(group.index))
        found.append(f"Groups of measures whose values go together over runs: {'; '.join(members)}.")
    if len(choices) and set(four) <= set(groups.index):
        wanted = choices[choices.chosen.map(lambda names: set(names.split(", ")) == set(four))]
        found.append(
            f"The thesis' four measures explain {wanted.told.iloc[0]:.0%} of the variance of the others, the best"
            f" four ({choices.chosen[0]}) {choices.told[0]:.0%}."
        )
    known = explored[explored.p.notna()]
    found.append(
        f"Exploratory: of {len(known)} correlations between architectures {(known.p < 0.05).sum()} have p < .05"
        f" (chance: {0.05 * len(known):.0f}), {(known.p_by < 0.05).sum()} after Benjamini and Yekutieli."
    )
    return found
