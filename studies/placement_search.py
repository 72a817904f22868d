"""Findings of ``06_placement_search``: what searches find, and TPE against random search."""

from collections.abc import Iterator

import optuna
import pandas as pd

from studies import placement_effects
from vilbert_lib import config, search
from vilbert_lib import stats as statistics
from vilbert_lib.config import Profile
from vilbert_lib.search import space
from vilbert_lib.stats import findings


def replay(
    table: pd.DataFrame, scale: Profile, *, searches: int, trials: int = 40, startup: int = 10
) -> pd.DataFrame:
    """Replay searches from the placement table, which trains nothing.

    A proposal is answered by the placement of the table whose number, centres and spreads of blocks are nearest,
    each in its standard deviations. The search sees the score of that placement's first seed; the placement that
    it would choose is judged by the other seeds, which no search has seen.

    Parameters
    ----------
    table : pandas.DataFrame
        The runs of one task of :func:`studies.placement_table.read`.
    scale : Profile
        Whose search space is searched.
    searches : int
        Searches of each sampler, with seeds from 0 on; of one seed both draw the same ``startup`` trials.

    Returns
    -------
    pandas.DataFrame
        A row a ``sampler``, ``seed`` and ``trial`` from 1 on: ``value`` that the search saw, ``judged`` of the
        best it has seen so far, and ``regret``, what that lacks of the largest mean of a placement over all seeds.
    """
    names = dict.fromkeys(table.architecture)
    places = placement_effects.places({name: config.placement(name) for name in names}).set_index("architecture")
    scores = table.pivot(index="architecture", columns="seed", values="score").loc[places.index].dropna(axis=1)
    deviations = places.std()
    seen, judged = scores.iloc[:, 0].to_numpy(), scores.iloc[:, 1:].mean(axis=1).to_numpy()
    ranges = space.ranges(("placement",), scale)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    for seed in range(searches):
        for name, sampler in _samplers(seed, startup).items():
            study, best = optuna.create_study(sampler=sampler, direction="maximize"), None
            for trial in range(1, trials + 1):
                asked = study.ask(ranges)
                layers = space.layers_of(asked.params, scale.model.num_layers)
                wanted = placement_effects.places({"wanted": layers}).set_index("architecture").loc["wanted"]
                nearest = int((((places - wanted) / deviations) ** 2).sum(axis=1).to_numpy().argmin())
                study.tell(asked, seen[nearest])
                best = nearest if best is None or seen[nearest] > seen[best] else best
                named = {"sampler": name, "seed": seed, "trial": trial, "value": seen[nearest]}
                rows.append(named | {"judged": judged[best], "regret": scores.mean(axis=1).max() - judged[best]})
    return pd.DataFrame(rows)


def _samplers(seed: int, startup: int) -> dict[str, optuna.samplers.BaseSampler]:
    tpe = optuna.samplers.TPESampler(n_startup_trials=startup, multivariate=True, seed=seed)
    return {"tpe": tpe, "random": optuna.samplers.RandomSampler(seed)}


def by_budget(replayed: pd.DataFrame) -> pd.DataFrame:
    """Mean regret of each sampler after every trial, with Student's 95 % interval over searches."""
    rows = []
    for (sampler, trial), group in replayed.groupby(["sampler", "trial"], sort=False):
        low, high = statistics.seed_interval(group.regret, strict=False)
        rows.append({"sampler": sampler, "trial": trial, "regret": group.regret.mean(), "low": low, "high": high})
    return pd.DataFrame(rows)


def of_replay(replayed: pd.DataFrame, task: str, startup: int) -> Iterator[dict]:
    """Compare TPE and random search at the end of :func:`replay`, paired by their seeds: a finding."""
    ends = replayed[replayed.trial == replayed.trial.max()].pivot(index="seed", columns="sampler", values="judged")
    leads = 100 * (ends.tpe - ends.random)
    low, high = statistics.seed_interval(leads, strict=False)
    yield findings.finding(
        f"{task}, replayed: does TPE choose a better placement than random search?",
        f"On {task}, after {replayed.trial.max()} trials, {startup} of them random, TPE's choice scores {{}} more"
        " than that of random search, on seeds that no search has seen.",
        leads.mean(),
        low,
        high,
        direction="positive",
        margin=1.0,
        unit="points",
        n=len(leads),
        digits=2,
    )


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
