"""The record of a search: an optuna study in a database, which many processes share.

A search has *slots*, numbered from 0: what is proposed for a slot is tried until it is settled. A trial of the
database is an attempt at a slot. Of several attempts the first that did not fail counts: an attempt fails with the
process that made it, and two processes may by chance write down the same proposal.
"""

import dataclasses
import hashlib
import json
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from vilbert_lib import paths
from vilbert_lib.config import Profile, from_dict, to_dict
from vilbert_lib.search.plan import Search, configure, propose
from vilbert_lib.search.space import ranges

GRACE = 3  # heartbeats that a trial may miss before its process counts as dead


@dataclass(frozen=True, kw_only=True)
class Record:
    """A search that is written down; ``root`` and ``profile`` are None where it is only read."""

    search: Search
    study: optuna.Study
    storage: RDBStorage
    space: dict[str, BaseDistribution]
    profile: Profile | None = None
    root: Path | None = None

    def slots(self) -> dict[int, FrozenTrial]:
        """The attempt that counts, for every slot that has one that did not fail."""
        found: dict[int, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):  # by number
            if trial.state != TrialState.FAIL or "error" in trial.user_attrs:
                found.setdefault(trial.user_attrs["slot"], trial)
        return found

    def fail_the_dead(self) -> None:
        """Give back what processes had taken that show no sign of life."""
        with _no_warning():
            fail_stale_trials(self.study)

    def write_down(self, slots: range) -> None:
        """Propose what is tried in the batch of ``slots``, where nobody has done so, or all who did are dead."""
        with FileLock(paths.studies() / f"{self.search.name}.lock"):  # of two proposals one would be in vain
            known = self.slots()
            missing = [slot for slot in slots if slot not in known]
            if not missing:
                return
            first = slots[0] // self.search.batch * self.search.batch
            proposals = propose(self.search, self.space, [known[slot] for slot in range(first)])
            for slot in missing:
                trial = optuna.trial.create_trial(
                    state=TrialState.WAITING,
                    params=proposals[slot - first],
                    distributions=self.space,
                    user_attrs={"slot": slot},
                )
                self.study.add_trial(trial)

    def claim(self, slots: range, most: int) -> list[FrozenTrial]:
        """Up to ``most`` attempts at ``slots`` that nobody makes, which this process has to make."""
        mine: list[FrozenTrial] = []
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if len(mine) == most or trial.user_attrs["slot"] not in slots:
                continue
            self.storage.record_heartbeat(trial._trial_id)  # first: one that runs has had a heartbeat
            with suppress(UpdateFinishedTrialError):
                if self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                    mine.append(trial)
        known = self.slots()
        for trial in mine:
            if known[trial.user_attrs["slot"]].number != trial.number:
                self.end(trial, TrialState.FAIL)  # another process wrote the same down a moment earlier
        return [trial for trial in mine if known[trial.user_attrs["slot"]].number == trial.number]

    def note(self, trial: FrozenTrial, **attributes) -> None:
        """Write down what a trial is, such as the ids of its runs."""
        for name, value in attributes.items():
            with suppress(UpdateFinishedTrialError):
                self.storage.set_trial_user_attr(trial._trial_id, name, value)

    def report(self, trial: FrozenTrial, epoch: int, value: float) -> None:
        """Write down a figure of an epoch."""
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)

    def end(self, trial: FrozenTrial, state: TrialState, values: list[float] | None = None) -> None:
        """Settle an attempt, unless this process was taken for dead and another one makes it anew."""
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_state_values(trial._trial_id, state, values)

    @contextmanager
    def alive(self, trials: list[FrozenTrial]) -> Iterator[None]:
        """Record heartbeats of ``trials`` as long as this process lives."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self.storage.heartbeat_interval):
                for trial in trials:
                    with suppress(StorageInternalError):  # a database that is away for a moment
                        self.storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def start(search: Search, profile: Profile, root: Path, *, storage: str = "", heartbeat: int = 20) -> Record:
    """Begin a search, or go on with it where it is known.

    ``storage`` is the address of a database, such as ``postgresql+psycopg://...``; left out, a file of
    SQLite below ``data/studies``. A process that shows no sign of life for three times ``heartbeat``
    seconds counts as dead. A ValueError where the search was begun with other settings, scale or data.
    """
    space = ranges(search.space, profile)
    lowest = {name: values.to_external_repr(getattr(values, "low", 0)) for name, values in space.items()}
    configs = configure(search, profile, root, lowest)  # an error, if it is one, before anything is written
    settings = {
        "search": to_dict(search),
        "profile": {name: value for name, value in to_dict(profile).items() if name != "pretrain"},
        "data": {config.task: config.data for config in configs},
        "space": {name: json.loads(distribution_to_json(values)) for name, values in space.items()},
    }
    if not search.name:
        canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        search = dataclasses.replace(search, name=f"search-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}")
        settings["search"] = to_dict(search)
    paths.studies().mkdir(parents=True, exist_ok=True)
    with FileLock(paths.studies() / f"{search.name}.lock"), _named_errors(search.name, storage):
        database = _open(storage or _file(search.name), heartbeat)
        study = optuna.create_study(
            storage=database, study_name=search.name, directions=search.directions, load_if_exists=True
        )
        if "settings" not in study.user_attrs:
            if study.get_trials():
                raise ValueError(f"{search.name!r} is the name of another study in this database")
            study.set_user_attr("settings", settings)
    if differing := _differing(study.user_attrs["settings"], settings):
        raise ValueError(f"search {search.name!r} was begun with other settings: {', '.join(differing)} differ")
    return Record(search=search, study=study, storage=database, space=space, profile=profile, root=Path(root))


def read(name: str, *, storage: str = "") -> Record:
    """The record of the search ``name``, to be looked at; a FileNotFoundError where there is none."""
    if not storage and not (paths.studies() / f"{name}.db").is_file():
        raise FileNotFoundError(f"search {name!r} does not exist below {paths.studies()}")
    try:
        with _named_errors(name, storage):
            database = _open(storage or _file(name), 20)
            study = optuna.load_study(study_name=name, storage=database)
    except KeyError:
        raise FileNotFoundError(f"search {name!r} does not exist in its database") from None
    search = from_dict(Search, study.user_attrs["settings"]["search"])
    space = {
        name: optuna.distributions.json_to_distribution(json.dumps(values))
        for name, values in study.user_attrs["settings"]["space"].items()
    }
    return Record(search=search, study=study, storage=database, space=space)


def _file(name: str) -> str:
    """The address of the search's file, in which a path may hold any character, such as ``?``."""
    return f"sqlite:///file:{quote(os.fsencode(paths.studies() / f'{name}.db'))}?uri=true"


def _open(address: str, heartbeat: int) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    patient = {"connect_args": {"timeout": 100}} if address.startswith("sqlite") else {"pool_pre_ping": True}
    with _no_warning():
        return RDBStorage(
            address, engine_kwargs=patient, heartbeat_interval=heartbeat, grace_period=GRACE * heartbeat
        )


@contextmanager
def _named_errors(name: str, storage: str) -> Iterator[None]:
    """Errors of the database as an OSError that names the search, and the file if it is one."""
    where = "" if storage else f" {paths.studies() / name}.db"  # an address may hold a password
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        found = error.__cause__ if isinstance(error, StorageInternalError) else error
        why = str(getattr(found, "orig", None) or found).splitlines()[0]
        raise OSError(f"search {name!r}: its database{where} cannot be used: {why}") from error


@contextmanager
def _no_warning() -> Iterator[None]:
    """Optuna's heartbeats are experimental, which users of a search need not be told at every step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _differing(known: dict, asked: dict) -> list[str]:
    """The names of the settings, group and name, in which two searches differ."""
    return [
        f"{group} {name}"
        for group in asked
        for name in sorted({*known[group], *asked[group]})
        if known[group].get(name) != asked[group].get(name)
    ]
