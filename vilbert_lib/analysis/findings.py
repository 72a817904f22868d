"""What a study found, in sentences that are made from its numbers."""

import pandas as pd


def of_performance(
    declared: pd.DataFrame,
    together: dict[str, float],
    explored: pd.DataFrame,
    layers: pd.DataFrame,
    measure: str,
    target: str,
) -> list[str]:
    """Alignment against performance: the declared comparison, the family, the choice of layers.

    ``measure`` is a similarity. Of a loss, as the target's name ends, the smaller is the better.
    """
    several = len(declared) > 1
    better = -1 if target.endswith("loss") else 1
    found = []
    for row in declared.itertuples():
        verdict = _verdict(better * row.between, row.between_holm)
        corrected = f" (after Holm over tasks {in_words(row.between_holm)})" if several else ""
        found.append(
            f"{row.task}: {measure} against {target} between architectures r = {row.between:+.2f},"
            f" {in_words(row.between_p)}{corrected}: {verdict}. Without {row.left_out}, on which most hangs,"
            f" r = {row.between_without:+.2f}. Within architectures"
            f" r = {row.within:+.2f} [{row.within_low:+.2f}, {row.within_high:+.2f}]. Taken as independent,"
            f" {row.n} runs would give {row.pooled:+.2f}; they are worth {row.effective_n:.0f}."
        )
    if several:
        verdict = _verdict(better * together["r"], together["p"])
        found.append(
            f"The {together['tasks']} tasks together: between architectures r = {together['r']:+.2f} in the mean,"
            f" {in_words(together['p'])}, architectures permuted alike on all: {verdict}."
        )
    kept = explored[explored.p_family < 0.05]
    names = [f"{row.x} on {row.task} ({row.r:+.2f})" for row in kept.sort_values("p_family").head(4).itertuples()]
    found.append(
        f"Exploratory, {len(explored)} correlations between architectures: {(explored.p < 0.05).sum()}"
        f" have p < .05 by themselves, {len(kept)} within their family"
        + (f" ({'; '.join(names)}{'; ...' if len(kept) > 4 else ''})" if names else "")
        + f", {(explored.p_by < 0.05).sum()} after Benjamini and Yekutieli over all."
    )
    apart = layers[layers.p < 0.05]
    found.append(
        "H2: "
        + (
            "; ".join(
                f"on {row.task} the most alike layer goes with {target}"
                f" {'more' if better * row.difference > 0 else 'less'} than the last"
                f" ({row.max:+.2f} against {row.last:+.2f}, {in_words(row.p)})"
                for row in apart.itertuples()
            )
            if len(apart)
            else f"on no task do the most alike layer and the last differ in how {measure} goes with {target}"
            f" (smallest p {layers.p.min():.2f})"
        )
        + "."
    )
    return found


def in_words(p: float) -> str:
    """A p-value in a sentence, to three decimals: none is zero."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def _verdict(r: float, p: float) -> str:
    if p >= 0.05:
        return "not to be told from chance"
    return f"better architectures are {'more' if r > 0 else 'less'} alike"


def _estimate(row: pd.Series) -> str:
    return f"{row['mean']:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def of_placement(rises: pd.DataFrame, measure: str) -> list[str]:
    """H3, for the declared measure, and how many of all measures say the same."""
    trained, untrained, learned = (rises.xs(moment, level="moment") for moment in ("best", "untrained", "learned"))
    own, was, more = (table.loc[measure] for table in (trained, untrained, learned))
    verdict = "holds" if own.low > 0 and own.p < 0.05 else "fails" if own.high < 0 else "cannot be told"
    agreeing = trained[(trained.low > 0) & (trained.p < 0.05)]
    few = " (of few architectures single runs' signs are turned, which finds too much)" * (own.flipped == "pair")
    return [
        f"H3 {verdict} for {measure}: over a block alignment rises by {_estimate(own)} more than between the"
        f" same layers without blocks, {in_words(own.p)}{few}. By {len(agreeing)} of {len(trained)} measures"
        " the streams become more alike there.",
        f"Before training it rises there by {_estimate(was)}: blocks mix the streams before anything is learned."
        f" Training adds {_estimate(more)}, {in_words(more.p)}.",
    ]


def of_families(groups: pd.Series, choices: pd.DataFrame, four: list[str]) -> list[str]:
    """Groups of measures that say the same, and what four of them tell of the others."""
    members = groups.groupby(groups).apply(lambda group: ", ".join(group.index))
    number = f"{len(members)} group{'s' * (len(members) > 1)}"
    found = [f"The {len(groups)} measures fall into {number}: {' | '.join(members)}."]
    if len(choices):
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
    same = orders[(orders.p_holm < 0.05) & (orders.r > 0)]
    return [
        f"H1 between tasks: of {len(orders)} pairs of tasks {len(same)} have the architectures in an order that"
        f" is alike beyond chance (Spearman's r from {orders.r.min():+.2f} to {orders.r.max():+.2f}, Holm)."
    ]


def of_structure(trends: pd.DataFrame, beyond: pd.DataFrame, inside: pd.DataFrame, measure: str) -> list[str]:
    """H1 on one task at known levels of uniqueness and synergy."""
    if trends.empty:
        return ["H1 at known redundancy, uniqueness and synergy: not run at these parameters."]
    found = []
    for _, row in trends.iterrows():
        reached = row["value"] == "reached"
        what = "what is reached of the best possible accuracy" if reached else f"alignment ({row['value']})"
        verdict = "rises" if row.low > 0 else "falls" if row.high < 0 else "is not shown to change"
        found.append(
            f"From all redundant to all {row['direction']}, by a straight line through the levels, {what}"
            f" {verdict}: {_estimate(row)};"
            f" of the slopes' variance {max(row.icc, 0):.0%} lies between architectures."
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
        clear = rows[(rows.low > 0) | (rows.high < 0)]
        found.append(
            f"Within the levels towards {direction}, {measure} goes with accuracy by r from {rows.r.min():+.2f} to"
            f" {rows.r.max():+.2f}; on {len(clear)} of {len(rows)} levels the interval leaves out zero."
        )
    return found
