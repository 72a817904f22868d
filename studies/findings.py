"""What a study found, in sentences that are made from its numbers."""

import pandas as pd

from studies.performance import LEARNED, MIXED, UNTRAINED
from vilbert_lib.stats import adjust_known, bracketed, smallest_detectable


def of_performance(
    declared: pd.DataFrame,
    together: dict[str, float],
    beside: pd.DataFrame,
    explored: pd.DataFrame,
    layers: pd.DataFrame,
    measure: str,
    target: str,
) -> list[str]:
    """Alignment against performance: the declared comparison, the family, the choice of layers.

    ``measure`` is a similarity. Of a loss, as the target's name ends, the smaller is the better.
    """
    better = -1 if target.endswith("loss") else 1
    where = beside.set_index(["task", "source"])
    found = []
    if together["tasks"] > 1:
        everywhere = where.loc["all tasks"]
        verdict = _verdict(better, together["r"], together["p"], everywhere)
        if together["p"] >= 0.05:
            verdict += (
                f". The same before training: {_r(everywhere.loc[UNTRAINED])},"
                f" {in_words(everywhere.p[UNTRAINED])}; of what training adds: {_r(everywhere.loc[LEARNED])},"
                f" {in_words(everywhere.p[LEARNED])}"
            )
        found.append(
            f"{measure} against {target}, the {together['tasks']} tasks together: between architectures"
            f" {_r(together)} in the mean, {in_words(together['p'])}, architectures permuted alike on all:"
            f" {verdict}."
        )
    for row in declared.itertuples():
        if pd.isna(row.between):
            found.append(f"{row.task}: {measure} against {target} between architectures is {row.note}.")
            continue
        verdict = _verdict(better, row.between, row.between_holm, where.loc[row.task])
        if row.between_holm >= 0.05 and smallest_detectable(int(together["clusters"])) >= row.kept:
            verdict += (
                ", and hardly could have been: architectures differ so little beside their seeds that of a perfect"
                f" correlation about {row.kept:.2f} would be left"
            )
        corrected = f" (after Holm over tasks {in_words(row.between_holm)})" if len(declared) > 1 else ""
        without = (
            f" Without {row.left_out}, on which most hangs, r = {row.between_without:+.2f},"
            f" {in_words(row.without_p)}."
            if row.left_out
            else ""
        )
        inside = (
            f" Within architectures r = {row.within:+.2f} [{row.within_low:+.2f}, {row.within_high:+.2f}]."
            if pd.notna(row.within)
            else ""
        )
        worth = f"; they are worth {row.effective_n:.0f}" if pd.notna(row.effective_n) else ""
        missing = f" The rest is {row.note}." if row.note else ""
        found.append(
            f"{row.task}: {measure} against {target} between architectures r = {row.between:+.2f}"
            f" [{row.between_low:+.2f}, {row.between_high:+.2f}], {in_words(row.between_p)}{corrected}: {verdict}."
            f"{without}{inside} Taken as independent, {row.n} runs would give {row.pooled:+.2f}{worth}.{missing}"
        )
    return [*found, _of_family(explored), _of_layers(layers, measure, target, better)]


def _r(row) -> str:
    return f"r = {row['r']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def _verdict(better: int, r: float, p: float, where: pd.DataFrame) -> str:
    """Whether the better are more alike, and whether that is learned: ``where`` is one task of ``beside``."""
    if p >= 0.05:
        return "not to be told from chance"
    verdict = f"better architectures are {'more' if better * r > 0 else 'less'} alike"
    untrained, learned, mixed = (where.loc[name] for name in (UNTRAINED, LEARNED, MIXED))
    already = "" if untrained.p < 0.05 and untrained.r * r > 0 else "not shown to be so "
    alone = learned.p < 0.05 and learned.r * r > 0
    return (
        f"{verdict}, {already}before training already ({_r(untrained)}); what training adds"
        f" {'goes' if alone else 'does not go'} along ({_r(learned)}); for the number of layers after the first"
        f" block {_r(mixed)}"
    )


def _of_family(explored: pd.DataFrame) -> str:
    known = explored[explored.p.notna()]
    lost = len(explored) - len(known)
    kept = explored[explored.p_family < 0.05].sort_values("p_family")
    strongest = "; ".join(
        f"{len(rows)} on {task}, most of all {rows.x.iloc[0]} ({rows.r.iloc[0]:+.2f})"
        for task, rows in kept.groupby("task", sort=False)
    )
    return (
        f"Exploratory, {len(known)} correlations between architectures: {(known.p < 0.05).sum()}"
        f" have p < .05 by themselves, of which chance gives {0.05 * len(known):.0f}; {len(kept)} within their"
        f" family{f' ({strongest})' if strongest else ''};"
        f" {(known.p_by < 0.05).sum()} after Benjamini and Yekutieli over all."
        + (f" {lost} more are not estimated: one side is constant or NaN." if lost else "")
    )


def _of_layers(layers: pd.DataFrame, measure: str, target: str, better: int) -> str:
    corrected = layers.assign(holm=adjust_known(layers.p, "holm"))
    said = [
        f"on {row.task} {row.note}"
        if row.note
        else f"on {row.task} {'not shown to go' if row.holm >= 0.05 else 'goes'} with {target}"
        f"{' other' if row.holm >= 0.05 else ' more' if better * row.difference > 0 else ' less'} than the last"
        f" (r = {row.max:+.2f} and {row.last:+.2f}, difference {row.difference:+.2f}"
        f" [{row.low:+.2f}, {row.high:+.2f}])"
        for row in corrected.itertuples()
    ]
    return f"H2, between architectures, the most alike layer by {measure}: {'; '.join(said)}."


def in_words(p: float) -> str:
    """A p-value in a sentence, to three decimals: none is zero."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def _estimate(row: pd.Series) -> str:
    return f"{row['mean']:+.3f} {bracketed(row.low, row.high)}"


def of_placement(rises: pd.DataFrame, measure: str) -> list[str]:
    """H3, for the declared measure, and how many of all measures say the same."""
    trained, untrained, learned = (rises.xs(moment, level="moment") for moment in ("best", "untrained", "learned"))
    own, was, more = (table.loc[measure] for table in (trained, untrained, learned))
    if pd.isna(own.p):
        return [f"H3 for {measure} is {own.note}."]
    verdict = "holds" if own.low > 0 and own.p < 0.05 else "fails" if own.high < 0 else "cannot be told"
    agreeing = trained[(trained.low > 0) & (trained.p < 0.05)]
    few = " (of few architectures single runs' signs are turned, which finds too much)" * (own.flipped == "pair")
    taught = learned[(learned.low > 0) & (learned.p < 0.05)]
    return [
        f"H3 {verdict} for {measure}: over a block alignment rises by {_estimate(own)} more than between the"
        f" same layers without blocks, {in_words(own.p)}{few}. By {len(agreeing)} of {len(trained)} measures"
        " the streams become more alike there.",
        f"Before training it rises there by {_estimate(was)}: blocks mix the streams before anything is learned."
        f" Training adds {_estimate(more)}, {in_words(more.p)}, and by {len(taught)} of {len(learned)} measures"
        " something.",
    ]


def of_families(groups: pd.Series, choices: pd.DataFrame, four: list[str]) -> list[str]:
    """Groups of measures that say the same, and what four of them tell of the others."""
    if groups.empty:
        return []
    members = groups.groupby(groups).apply(lambda group: ", ".join(group.index))
    number = f"{len(members)} group{'s' * (len(members) > 1)}"
    found = [f"The {len(groups)} measures fall into {number}: {' | '.join(members)}."]
    if len(choices) and set(four) <= set(groups.index):
        wanted = choices[choices.chosen.map(lambda names: set(names.split(", ")) == set(four))]
        place = int(wanted.index[0]) + 1
        found.append(
            f"The thesis' four tell {wanted.told.iloc[0]:.0%} of what the others say over runs, the best four"
            f" ({choices.chosen[0]}) {choices.told[0]:.0%}: place {place} of {len(choices)} choices."
        )
    return found


def of_tasks(orders: pd.DataFrame) -> list[str]:
    """H1 between the tasks: is the order of the architectures the same?"""
    if orders.empty:
        return ["H1 between tasks: one task, nothing to compare."]
    known, unknown = orders[orders.note == ""], orders[orders.note != ""]
    lost = [f"H1 between {row.task} and {row.other}: {row.note}." for row in unknown.itertuples()]
    if known.empty:
        return lost
    same = known[(known.p_holm < 0.05) & (known.r > 0)]
    return [
        f"H1 between tasks: of {len(known)} pairs of tasks {len(same)} have the architectures in an order that"
        f" is alike beyond chance (Spearman's r from {known.r.min():+.2f} to {known.r.max():+.2f}, Holm).",
        *lost,
    ]


def of_structure(
    trends: pd.DataFrame, factors: pd.DataFrame, beyond: pd.DataFrame, inside: pd.DataFrame, measure: str
) -> list[str]:
    """H1 on one task at known levels of uniqueness and synergy."""
    if trends.empty:
        return ["H1 at known redundancy, uniqueness and synergy: not run at these parameters."]
    found = []
    for _, row in trends.iterrows():
        reached = row["value"] == "reached"
        what = "what is reached of the best possible accuracy" if reached else f"alignment ({row['value']})"
        verdict = "rises" if row.low > 0 else "falls" if row.high < 0 else "has no trend that is shown"
        if pd.isna(row["mean"]):
            found.append(f"The trend from all redundant to all {row['direction']} of {what} is {row.note}.")
            continue
        found.append(
            f"From all redundant to all {row['direction']}, by a straight line through the levels, {what}"
            f" {verdict}: {_estimate(row)}."
        )
    for row in factors.assign(holm=adjust_known(factors.p_both, "holm")).itertuples():
        if row.note:
            found.append(f"Whether the best placement depends on how much is {row.direction} is {row.note}.")
            continue
        depends = "depends" if row.holm < 0.05 else "is not shown to depend"
        found.append(
            f"Which placement reaches most {depends} on how much is {row.direction}: placements by levels"
            f" F({row.dof}, {row.residual}) = {row.both:.2f}, {in_words(row.p_both)} (after Holm over directions"
            f" {in_words(row.holm)}). The best: {row.best}."
        )
    for direction, rows in beyond.groupby("direction", sort=False):
        listed = "; ".join(
            f"{row.beyond} of {row.runs} at level {row.level:g} ({row.accuracy:.2f} against {row.one_side:.2f})"
            for row in rows.itertuples()
        )
        found.append(
            f"Towards {direction}, runs that know more than either side alone can tell: {listed}."
            + (" Where none does, alignment had nothing to help with." if (rows.beyond == 0).any() else "")
        )
    for direction, rows in inside.groupby("direction", sort=False):
        lost = rows.r.isna().sum()
        if lost == len(rows):
            found.append(f"Within the levels towards {direction}, {measure} against accuracy is not estimated.")
            continue
        clear = rows[(rows.low > 0) | (rows.high < 0)]
        found.append(
            f"Within the levels towards {direction}, {measure} goes with accuracy by r from {rows.r.min():+.2f} to"
            f" {rows.r.max():+.2f}; on {len(clear)} of {len(rows)} levels the interval leaves out zero"
            f"{f', on {lost} r is not estimated' if lost else ''}."
        )
    return found
