"""What is searched for: the settings of a search, its trials' runs and values, and which trials come next.

A sampler of optuna keeps its random state in memory, and answers by what has arrived in a storage at that moment.
Here a sampler is made anew for every batch, seeded by the number of the batch, and sees exactly the
trials of the batches before. So the same trials come of any number of workers, however often interrupted.
"""

import copy
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from vilbert_lib import runs
from vilbert_lib.config import AlignmentConfig, Profile, RunConfig, choose
from vilbert_lib.config.fields import at_least, distinct, settle
from vilbert_lib.runs import Run
from vilbert_lib.search.space import Part, settings_of
from vilbert_lib.stats import alignment

#: What a trial can be judged by, and which way is better. None is a figure of the test labels.
FIGURES = {"val_loss": "minimize", "val_accuracy": "maximize", "alignment": "maximize", "-alignment": "minimize"}


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search, by all that its trials depend on but the scale and the data.

    Without a ``name`` it is called by these, so that other settings are another search.

    ``objectives`` are ``<task>.<figure>``: ``val_loss`` or ``val_accuracy`` of the best epoch by validation
    accuracy, ``alignment`` (to be raised) or ``-alignment`` (to be lowered), which is ``measure``, put together
    over layers by ``aggregate``, above chance, on test images whose labels it does not use. With
    several ``run_seeds`` a value is the mean over them.

    Trials are proposed ``batch`` by batch; a proposal knows the results of the batches before its own. The first
    ``startup`` trials are drawn at random, and with ``sampler`` ``random`` the others too. ``seed`` is that of
    the proposals. With ``prune`` (one objective, a validation figure, one run a trial) a trial ends after an
    epoch, not the first, when its best is worse than the median of the batches before, once these have
    ``startup`` whole trials. ``architecture`` is that of a space without placement.
    """

    name: str = ""
    objectives: tuple[str, ...]
    space: tuple[Part, ...] = ("placement",)
    sampler: Literal["tpe", "random"] = "tpe"
    seed: int = 0
    run_seeds: tuple[int, ...] = (0,)
    batch: int = 4
    startup: int = 10
    prune: bool = False
    architecture: str = "middle_fusion"
    measure: str = "unbiased_cka"
    aggregate: Literal["mean", "last", "max"] = "mean"

    def __post_init__(self):
        settle(self)
        if not re.fullmatch(r"(\w[\w.-]*)?", self.name):
            raise ValueError(f"name {self.name!r} must be made of letters, digits, points and dashes")
        for kind, values in (("objective", self.objectives), ("space", self.space), ("run_seed", self.run_seeds)):
            if not values:
                raise ValueError(f"{kind}: at least one is needed")
            distinct(kind, values)
        for objective in self.objectives:
            task, point, figure = objective.rpartition(".")
            if not (task and point):
                raise ValueError(f"objective {objective!r} is not of the form <task>.<figure>")
            choose("figure", figure, FIGURES)
        at_least(self, 0, "seed")
        at_least(self, 1, "batch", "startup")
        alignment.declare("measure", self.measure)
        self._refuse_pruning_of_many()

    def _refuse_pruning_of_many(self) -> None:
        watched = self.figures[0][1] in ("val_loss", "val_accuracy")
        if self.prune and not (len(self.objectives) == len(self.run_seeds) == 1 and watched):
            raise ValueError("prune: only a search of one validation figure and one run_seed can end trials early")

    @property
    def figures(self) -> list[tuple[str, str]]:
        """Task and figure of every objective."""
        return [tuple(objective.rpartition(".")[::2]) for objective in self.objectives]

    @property
    def directions(self) -> list[str]:
        """``minimize`` or ``maximize``, for every objective."""
        return [FIGURES[figure] for _, figure in self.figures]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks of all objectives."""
        return list(dict.fromkeys(task for task, _ in self.figures))


def configure(search: Search, profile: Profile, root: Path, parameters: dict[str, Any]) -> list[RunConfig]:
    """The runs of one trial: one a task and seed. A ValueError says what is wrong with any of them."""
    if search.measure not in profile.alignment.measures:
        raise ValueError(f"measure {search.measure!r} is not recorded at profile {profile.name!r}")
    settings = settings_of(parameters, profile, search.architecture)
    return [
        runs.configure(profile, root, seed=seed, task=t, **settings)
        for t in search.tasks
        for seed in search.run_seeds
    ]


def values_of(search: Search, trained: list[Run], root: Path) -> list[float]:
    """The value of each objective in a trial with these runs; a FloatingPointError where one is not finite."""
    values = []
    for task, figure in search.figures:
        name = figure.removeprefix("-")
        of_task = [_figure(search, run, name, root) for run in trained if run.config.task == task]
        values.append(sum(of_task) / len(of_task))
        if not math.isfinite(values[-1]):
            raise FloatingPointError(f"{task}.{figure} is {values[-1]}")
    return values


def _figure(search: Search, run: Run, figure: str, root: Path) -> float:
    if figure != "alignment":
        return float(run.metrics.set_index("epoch").loc[run.summary["best_epoch"], figure])
    measured = runs.alignments([run], AlignmentConfig(measures=(search.measure,)), root, epochs=("best",))
    table = alignment.per_run(measured, search.aggregate, above_chance=True)
    return float(table[search.measure].item())


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
