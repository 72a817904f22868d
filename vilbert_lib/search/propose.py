"""Which trials come next, and which end early: functions of the trials before, and of nothing else.

A sampler of optuna keeps its random state in memory, and answers by what has arrived in a storage at that moment.
Here a sampler is made anew for every batch, seeded by the number of the batch, and sees exactly the
trials of the batches before. So the same trials come of any number of workers, however often interrupted.
"""

import copy
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from vilbert_lib.search.plan import Search


def propose(search: Search, space: dict[str, BaseDistribution], before: list[FrozenTrial]) -> list[dict[str, Any]]:
    """The parameters of the next batch, where ``before`` are the trials of all batches before it, in order."""
    study = _study(search, before, _sampler(search, len(before) // search.batch))
    return [study.ask(space).params for _ in range(search.batch)]


def ends_early(search: Search, before: list[FrozenTrial], trial: FrozenTrial, so_far: dict[int, float]) -> bool:
    """Whether a trial with the figures ``so_far``, by epoch, is worse than the median of those before.

    Never after its first epoch, which tells too little.
    """
    watched = copy.copy(trial)
    watched.intermediate_values = dict(so_far)
    pruner = MedianPruner(n_startup_trials=search.startup, n_warmup_steps=2)
    return bool(pruner.prune(_study(search, before), watched))


def _study(search: Search, before: list[FrozenTrial], sampler: BaseSampler | None = None) -> optuna.Study:
    study = optuna.create_study(directions=search.directions, sampler=sampler)
    study.add_trials(before)
    return study


def _sampler(search: Search, batch: int) -> BaseSampler:
    seed = int(np.random.SeedSequence([search.seed, batch]).generate_state(1)[0])
    if search.sampler == "random":
        return RandomSampler(seed)
    # The others of a batch count as bad where they are, so that its trials keep apart.
    return TPESampler(n_startup_trials=search.startup, multivariate=True, constant_liar=True, seed=seed)
