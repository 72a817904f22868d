"""Many workers on one PostgreSQL: what they find is what one process finds, though one of them is killed."""

import signal
import time

import pandas as pd
import pytest
from interrupted import started
from optuna.trial import TrialState
from postgres import programs, server
from search_workers import killed_in, small_profile, work_on

from vilbert_lib import paths, search

pytestmark = pytest.mark.slow  # a database server and four processes

pytest.importorskip("psycopg", reason="psycopg, the driver of PostgreSQL, is not installed")

PLAN = search.Search(name="many", objectives=("hateful_memes.val_loss",), batch=4, startup=3)
TRIALS = 10


@pytest.fixture(scope="module")
def database():
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with server() as address:
        yield address


def test_four_workers_lose_no_trial_and_train_none_twice_when_one_is_killed(database, tiny_root, tiny_profile):
    scale = small_profile(tiny_profile)
    record = search.start(PLAN, scale, tiny_root, storage=database, heartbeat=1)
    epochs = paths.data() / "epochs"
    arguments = (PLAN, scale, tiny_root, TRIALS, str(epochs), database)
    victim = started(killed_in, "checkpoint.pt", 2, *arguments, 1)
    while not epochs.is_file():
        time.sleep(0.05)
    others = [started(work_on, *arguments, 1) for _ in range(3)]
    for process in (victim, *others):
        process.join()
    assert [process.exitcode for process in (victim, *others)] == [-signal.SIGKILL, 0, 0, 0]

    attempts = record.study.get_trials()
    failed = [t for t in attempts if t.state == TrialState.FAIL]
    complete = [t for t in attempts if t.state == TrialState.COMPLETE]
    assert sorted(t.user_attrs["slot"] for t in complete) == list(range(TRIALS))
    assert len(failed) >= 1 and len(attempts) == len(failed) + TRIALS
    taken_up = failed[0].user_attrs["slot"]
    assert failed[0].params == next(t for t in complete if t.user_attrs["slot"] == taken_up).params

    table = search.trials(record)
    assert all((paths.runs() / run_id / "summary.json").is_file() for [run_id] in table.runs)
    written = epochs.read_text().split()
    assert len(written) == len(set(written)) == table.architecture.nunique() * (scale.finetune.epochs + 1)

    alone = search.start(PLAN, scale, tiny_root)
    search.work(alone, TRIALS)
    pd.testing.assert_frame_equal(search.trials(alone), table)
