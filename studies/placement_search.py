"""Findings of ``06_placement_search``: what searches find, and TPE against random search."""

from collections.abc import Iterator

import pandas as pd

from vilbert_lib import search
from vilbert_lib import stats as statistics
from vilbert_lib.stats import findings


def of_samplers(records: list[search.Record]) -> Iterator[dict]:
    """Compare the ends of TPE and of random search with as many trials: a finding, over pairs with one seed.

    Parameters
    ----------
    records : list of Record
        Searches of one objective; those with one sampler alone give no finding.
    """
    [objective] = records[0].search.objectives
    sign = 1 if records[0].search.directions[0] == "maximize" else -1
    ends = {(r.search.sampler, r.search.seed): (sign * search.trials(r)[objective]).max() for r in records}
    seeds = [seed for sampler, seed in ends if sampler == "tpe" and ("random", seed) in ends]
    if not seeds:
        return
    leads = pd.Series([ends["tpe", seed] - ends["random", seed] for seed in seeds])
    low, high = statistics.seed_interval(leads, strict=False)
    yield findings.finding(
        f"Does TPE end better than random search for {objective} with as many trials?",
        f"For {objective}, TPE ends {{}} better than random search.",
        leads.mean(),
        low,
        high,
        direction="positive",
        n=len(leads),
        digits=4,
    )


def on_the_front(table: pd.DataFrame, objectives: tuple[str, ...]) -> str:
    """Which trials of :func:`vilbert_lib.search.pareto` no other beats, as a sentence with their values."""
    front = table[table.best].drop_duplicates(list(objectives))
    trials = [
        f"{row['number']} ({', '.join(f'{name} {row[name]:.3f}' for name in objectives)})"
        for row in front.to_dict("records")
    ]
    count = f"{len(front)} of {len(table)} trials {'is' if len(front) == 1 else 'are'} on the front"
    return f"{count}: {'; '.join(trials)}." if trials else f"{count}."


def notes(records: list[search.Record], compromises: list[search.Record]) -> list[str]:
    """State the best placements of all searches and the sizes of the fronts of several objectives."""
    [objective] = records[0].search.objectives
    table = pd.concat([search.trials(record) for record in records])
    rising = records[0].search.directions[0] == "maximize"
    best = table.dropna(subset=[objective]).sort_values(objective, ascending=not rising, kind="stable")
    found = [
        f"{len(table)} trials of {len(records)} searches, {table.architecture.nunique()} distinct placements,"
        f" {(table.state != 'complete').sum()} trials without a value."
    ]
    if len(best):
        top, spread = best.iloc[0], best[objective].max() - best[objective].min()
        found.append(f"Best {objective}: {top[objective]:.4f}, {top.architecture}; the values span {spread:.3f}.")
    for record in compromises:
        table = search.pareto(record)
        names = " and ".join(record.search.objectives)
        found.append(f"{names}: {int(table.best.sum())} of {len(table)} trials are on the Pareto front.")
    return found
