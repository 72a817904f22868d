"""What interrupts a training loses nothing: a run killed at any moment ends in the bits of an unbroken one."""

import os
import signal
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from filelock import FileLock, Timeout
from interrupted import PROCESSES, small_run, started, train, train_until_stage, what_is_left

from vilbert_lib import runs
from vilbert_lib.config import RunConfig

pytestmark = pytest.mark.slow  # processes are killed

EVERYTHING = pytest.mark.parametrize(
    "objectives", [(), ("mlm", "ap", "mim")], ids=["finetune", "pretrain"], scope="module"
)


@dataclass
class Unbroken:
    """A run that nothing interrupted: what it left, how many seconds it took, how many stages its writes had."""

    config: RunConfig
    left: dict
    seconds: float
    stages: int


@pytest.fixture(scope="module")
def unbroken(request, tiny_root, tiny_profile, tmp_path_factory):
    """The run of the test's ``objectives``, trained in a process of its own."""
    config = small_run(tiny_profile, tiny_root, request.getfixturevalue("objectives"))
    seen = PROCESSES.Value("i", 0)
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):  # the first one fills the caches
            patch.setenv("VILBERT_RUNS", str(tmp_path_factory.mktemp("unbroken")))
            begun = PROCESSES.Event()
            process = started(train, config, tiny_root, begun)
            begun.wait()
            begin = time.monotonic()
            process.join()
            seconds = time.monotonic() - begin
        left = what_is_left(runs.Run(config))
        patch.setenv("VILBERT_RUNS", str(tmp_path_factory.mktemp("counted")))
        process = started(train_until_stage, config, tiny_root, sys.maxsize, None, seen)
        process.join()
        assert process.exitcode == 0 and what_is_left(runs.Run(config)) == left
    return Unbroken(config, left, seconds, seen.value)


def unfinished(run: runs.Run) -> int:
    return len(list(run.folder.glob(".*.unfinished")))


@EVERYTHING
@pytest.mark.parametrize("moment", range(5))
def test_a_run_killed_at_a_random_time_ends_in_the_same_bits(store, tiny_root, objectives, unbroken, moment):
    """The moments are spread over the time of the unbroken run: one at random in each fifth of it."""
    share = (moment + np.random.default_rng([moment, len(objectives)]).random()) / 5
    begun = PROCESSES.Event()
    process = started(train, unbroken.config, tiny_root, begun)
    begun.wait()
    time.sleep(share * unbroken.seconds)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL or share > 0.5  # a quicker machine may have come to the end
    assert what_is_left(runs.train(unbroken.config, tiny_root, checkpoint_seconds=0.0)) == unbroken.left


@EVERYTHING
@pytest.mark.parametrize("moment", range(5))
def test_a_run_killed_between_the_stages_of_a_write_ends_in_the_same_bits(
    store, tiny_root, objectives, unbroken, moment
):
    """The moments are spread over the stages of all writes of the unbroken run: one at random in each fifth."""
    random = np.random.default_rng([moment, len(objectives), 1])
    stage = int((moment + random.random()) / 5 * unbroken.stages)
    process = started(train_until_stage, unbroken.config, tiny_root, stage)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run = runs.Run(unbroken.config)
    assert not run.folder.exists() or unfinished(run) <= 1
    assert what_is_left(runs.train(unbroken.config, tiny_root, checkpoint_seconds=0.0)) == unbroken.left


@EVERYTHING
def test_killed_again_and_again_in_the_middle_of_files_a_run_ends_in_the_same_bits(
    store, tiny_root, objectives, unbroken
):
    """Each attempt is let go on for a random number of stages; the next file is cut at a random byte."""
    random = np.random.default_rng([len(objectives), 2])
    run = runs.Run(unbroken.config)
    for _ in range(4):
        stage, cut = int(random.integers(unbroken.stages // 4)), int(random.integers(1, 5000))
        process = started(train_until_stage, unbroken.config, tiny_root, stage, cut)
        process.join()
        assert process.exitcode == -signal.SIGXFSZ
        assert unfinished(run) == 1, "what the attempt before left is removed"
        [folder] = run.folder.glob(".*.unfinished")
        assert [path.stat().st_size for path in folder.iterdir()] == [cut]
    assert what_is_left(runs.train(unbroken.config, tiny_root, checkpoint_seconds=0.0)) == unbroken.left


@EVERYTHING
def test_a_file_that_was_not_finished_is_never_read(store, tiny_root, objectives, unbroken):
    folder = runs.Run(unbroken.config).folder
    for name in ("checkpoint.pt", "metrics.jsonl", "alignment.parquet", "model.safetensors", "summary.json"):
        left = folder / f".{name}.1.unfinished"
        left.mkdir(parents=True)
        (left / name).write_bytes(b"half")
    assert not runs.Run(unbroken.config).finished
    assert what_is_left(runs.train(unbroken.config, tiny_root)) == unbroken.left


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")  # on a machine of fewer cores
@EVERYTHING
def test_workers_change_no_bit(store, tiny_root, objectives, unbroken):
    shares = []
    run = runs.train(
        unbroken.config, tiny_root, lambda share, loss: shares.append(share), checkpoint_seconds=0.0, workers=4
    )
    assert what_is_left(run) == unbroken.left and sum(shares) == pytest.approx(2)


@EVERYTHING
def test_a_run_goes_on_with_another_number_of_workers(store, tiny_root, objectives, unbroken):
    class Enough(Exception):
        pass

    def stop(share, loss):
        stop.steps += 1
        with pytest.raises(Timeout), FileLock(runs.Run(unbroken.config).lock, timeout=0):
            pass  # workers that end do not give back the lock of the run
        if stop.steps == 5:
            raise Enough

    stop.steps = 0
    with pytest.raises(Enough):
        runs.train(unbroken.config, tiny_root, stop, checkpoint_seconds=0.0, workers=2)
    assert what_is_left(runs.train(unbroken.config, tiny_root, checkpoint_seconds=0.0)) == unbroken.left


def hold(config, root, holds) -> None:
    """Train to the third step, and no further."""
    steps = 0

    def report(share, loss):
        nonlocal steps
        steps += 1
        if steps == 3:
            holds.set()
            time.sleep(600)

    runs.train(config, root, report, checkpoint_seconds=0.0)


def wait_and_train(config, root, waits, first) -> None:
    """Train; ``waits`` is set when the lock has been refused, ``first`` is what was done when it was given."""
    asked = 0

    def hook(event, arguments):
        nonlocal asked
        if event == "fcntl.flock":
            asked += 1
            if asked == 2:
                waits.set()

    def report(share, loss):
        if first.value < 0:
            first.value = share

    sys.addaudithook(hook)
    runs.train(config, root, report, checkpoint_seconds=0.0)


@pytest.mark.parametrize("objectives", [()], ids=["finetune"], scope="module")
def test_a_process_that_waits_goes_on_where_a_killed_one_was(store, tiny_root, objectives, unbroken):
    holds, waits, first = PROCESSES.Event(), PROCESSES.Event(), PROCESSES.Value("d", -1.0)
    holder = started(hold, unbroken.config, tiny_root, holds)
    assert holds.wait(120)
    waiter = started(wait_and_train, unbroken.config, tiny_root, waits, first)
    assert waits.wait(120) and first.value < 0
    os.kill(holder.pid, signal.SIGKILL)
    waiter.join()
    assert waiter.exitcode == 0
    assert first.value == pytest.approx(2 / 3)  # two of three steps of the first epoch
    assert what_is_left(runs.Run(unbroken.config)) == unbroken.left
