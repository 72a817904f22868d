"""Work on a search: take what nobody has taken, train its runs, write down what came of it."""

import time

from optuna.exceptions import TrialPruned
from optuna.trial import FrozenTrial, TrialState

from vilbert_lib import runs
from vilbert_lib.config import RunConfig
from vilbert_lib.runs import Run
from vilbert_lib.search.plan import configure, ends_early, values_of
from vilbert_lib.search.record import Record


def work(
    record: Record,
    n_trials: int,
    *,
    at_once: int = 0,
    jobs: int | None = None,
    pause: float = 1.0,
    **loop_options,
) -> None:
    """Come back when ``n_trials`` of the search are settled, by this process or by others that work on it.

    This process takes ``at_once`` trials at a time (0: a whole batch) and trains ``jobs`` runs at once, by default
    as many as cores allow (of a search that prunes, one). Results depend on neither. A run that was trained before
    is not trained again; a killed process' trial is taken up by others, and its runs go on from their
    checkpoints. A trial whose loss is no number is settled with its error, and no proposal knows of it.
    ``pause`` seconds pass between two looks for work; ``loop_options`` are those of
    :func:`vilbert_lib.runs.ensure`.
    """
    if n_trials < 1:
        raise ValueError(f"n_trials {n_trials} must be at least 1")
    size = record.search.batch
    while True:
        record.fail_the_dead()
        known = record.slots()
        unsettled = [slot for slot in range(n_trials) if not (slot in known and known[slot].state.is_finished())]
        if not unsettled:
            return
        first = unsettled[0] // size * size
        slots = range(first, min(first + size, n_trials))
        record.write_down(slots)
        if mine := record.claim(slots, at_once or size):
            _settle(record, mine, [known[slot] for slot in range(first)], jobs, loop_options)
        else:
            time.sleep(pause)


def trained(record: Record) -> list[Run]:
    """The runs of all complete trials, trained again where they were removed."""
    attempts = [trial for _, trial in sorted(record.slots().items()) if trial.state == TrialState.COMPLETE]
    configs = [configure(record.search, record.profile, record.root, trial.params) for trial in attempts]
    return runs.ensure(list(dict.fromkeys(config for of_trial in configs for config in of_trial)), record.root)


def _settle(
    record: Record, mine: list[FrozenTrial], before: list[FrozenTrial], jobs: int | None, loop_options: dict
) -> None:
    try:
        with record.alive(mine):
            configs = [configure(record.search, record.profile, record.root, trial.params) for trial in mine]
            for trial, of_trial in zip(mine, configs, strict=True):
                record.note(trial, architecture=of_trial[0].architecture, runs=[config.id for config in of_trial])
            if not record.search.prune:
                _train_all([config for of_trial in configs for config in of_trial], record, jobs, loop_options)
            for trial, of_trial in zip(mine, configs, strict=True):
                _settle_one(record, trial, of_trial, before, loop_options)
    except BaseException:
        for trial in mine:
            record.end(trial, TrialState.FAIL)  # nobody has to wait until it counts as dead
        raise


def _train_all(configs: list[RunConfig], record: Record, jobs: int | None, loop_options: dict) -> None:
    """Train ``configs`` at once, those that diverge left out: their trials are settled by :func:`_settle_one`."""
    while configs:
        try:
            runs.ensure(configs, record.root, jobs, **loop_options)
            return
        except FloatingPointError as error:
            rest = [config for config in configs if config.id not in str(error)]
            configs = rest if len(rest) < len(configs) else []


def _settle_one(
    record: Record, trial: FrozenTrial, configs: list[RunConfig], before: list[FrozenTrial], loop_options: dict
) -> None:
    try:
        if record.search.prune:
            trained = [_train_watched(record, trial, configs[0], before, loop_options)]
        else:
            trained = runs.ensure(configs, record.root, **loop_options)
        values = values_of(record.search, trained, record.root)
    except FloatingPointError as error:
        record.note(trial, error=str(error))
        record.end(trial, TrialState.FAIL)
    except TrialPruned as pruned:
        record.end(trial, TrialState.PRUNED, list(pruned.args))
    else:
        record.end(trial, TrialState.COMPLETE, values)


def _train_watched(
    record: Record, trial: FrozenTrial, config: RunConfig, before: list[FrozenTrial], loop_options: dict
) -> Run:
    """Train the run of a trial until it is done or ends early: a TrialPruned with the last epoch's figure.

    A run that is there ends where it would have. One that ends early is left unfinished, and goes on from
    there if it is ever asked for.
    """
    figure, so_far, done = record.search.figures[0][1], {}, 0.0

    def look(epochs: int) -> None:
        rows = Run(config).metrics.set_index("epoch")
        for epoch in range(len(so_far) + 1, epochs + 1):
            so_far[epoch] = float(rows.loc[epoch, figure])
            record.report(trial, epoch, so_far[epoch])
            if epoch < config.train.epochs and ends_early(record.search, before, trial, so_far):
                raise TrialPruned(so_far[epoch])

    def report(share: float, loss: float) -> None:
        nonlocal done
        done += share
        whole = int(done - 1e-6)  # an epoch's figures are there when the next has begun
        if whole > len(so_far):
            look(whole)

    if not Run(config).finished:
        runs.train(config, record.root, report, **loop_options)
    look(config.train.epochs)
    return Run(config)
