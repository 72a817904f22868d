"""What searches found, in sentences that are made from their numbers."""

import pandas as pd

from vilbert_lib.search.record import Record
from vilbert_lib.search.tables import pareto, trials


def found(records: list[Record], n_trials: int) -> list[str]:
    """Searches of one objective: what the best trials are, and TPE beside random search, pair by pair of seeds."""
    [objective] = records[0].search.objectives
    tables = {(r.search.sampler, r.search.seed): trials(r) for r in records}
    everything = pd.concat(tables.values())
    rising = records[0].search.directions[0] == "maximize"
    complete = everything.dropna(subset=[objective]).sort_values(objective, ascending=not rising, kind="stable")
    if complete.empty:
        return [f"No trial of {objective} came to its end."]
    top = complete.iloc[0]
    spread = complete[objective].max() - complete[objective].min()
    said = [
        f"Searches for {objective}: {len(records)}, of {n_trials} trials each;"
        f" {everything.architecture.nunique()} distinct placements, {(everything.state != 'complete').sum()}"
        f" trials that did not come to their end. The values lie {spread:.3f} apart.",
        f"The best is {top.architecture}: {top[objective]:.4f}.",
    ]
    ends = {key: (table[objective].max() if rising else table[objective].min()) for key, table in tables.items()}
    leads = [
        (ends["tpe", seed] - ends["random", seed]) * (1 if rising else -1)
        for sampler, seed in ends
        if sampler == "tpe" and ("random", seed) in ends
    ]
    if leads:
        lead = sum(leads) / len(leads)
        told = f"{abs(lead):.4f} {'better' if lead > 0 else 'worse'} than" if lead else "at the value of"
        said.append(
            f"TPE ends {told} random search with as many trials"
            f" (mean; pairs of searches: {len(leads)}, TPE ahead in {sum(lead > 0 for lead in leads)}, equal in"
            f" {sum(lead == 0 for lead in leads)})."
            + (" One pair tells nothing of the next." if len(leads) == 1 else "")
        )
    return said


def found_fronts(records: list[Record]) -> list[str]:
    """Searches of several objectives: whether one trial is best in all, or what one objective costs the other."""
    said = []
    for record in records:
        names, table = list(record.search.objectives), pareto(record)
        front = table[table.best]
        if front.empty:
            said.append(f"{' against '.join(names)}: no trial came to its end.")
        elif len(front.drop_duplicates("architecture")) == 1:
            said.append(
                f"{' against '.join(names)}: {front.architecture.iloc[0]} is best in all, of {len(table)}."
            )
        else:
            ranges = [f"{name} from {front[name].min():.3f} to {front[name].max():.3f}" for name in names]
            said.append(
                f"{' against '.join(names)}: {len(front)} of {len(table)} trials are on the front,"
                f" {' and '.join(ranges)}."
            )
    return said
