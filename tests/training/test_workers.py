"""Trainings in processes of their own end with the process that asked for them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from vilbert_lib.training.workers import progress_bar, train_all

pytestmark = pytest.mark.slow  # processes are killed

SCRIPT = """
import os, sys, time
from pathlib import Path
from vilbert_lib.training.workers import progress_bar, train_all

def work(folder, number, report):
    Path(folder, f"{number}.part").write_text(str(os.getpid()))
    os.replace(Path(folder, f"{number}.part"), Path(folder, f"{number}.pid"))
    time.sleep(600)

if __name__ == "__main__":
    with progress_bar("waiting", 2) as bar:
        train_all(work, {"a": (sys.argv[1], 0), "b": (sys.argv[1], 1)}, 2, bar)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # one that has ended may wait to be asked for
        return file.read().rpartition(")")[2].split()[0] != "Z"


def wait_until(what, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_workers_end_with_the_process_that_was_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    asking = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    workers = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert all(map(is_alive, workers))
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    wait_until(lambda: not any(map(is_alive, workers)), 20)


def sleep(report):
    time.sleep(600)


def die(report):
    os._exit(9)


def test_runs_whose_process_was_killed_are_named():
    items = dict.fromkeys(("task/first-s0-01234567", "task/second-s0-01234567", "task/third-s0-01234567"), ())
    with progress_bar("dying", 3, hidden=True) as bar, pytest.raises(BrokenProcessPool) as caught:
        train_all(die, items, 2, bar)
    assert "task/first-s0-01234567" in str(caught.value) and "third" not in str(caught.value)
    assert "fewer jobs" in str(caught.value)


def fail(report):
    raise FileNotFoundError(2, "No such file or directory", "a.png")


def test_a_failure_is_raised_while_others_are_under_way_and_names_its_run():
    started = time.monotonic()
    with progress_bar("failing", 2, hidden=True) as bar, pytest.raises(FileNotFoundError) as caught:
        train_all(_either, {"task/long-s0-0": (sleep,), "task/bad-s0-0": (fail,)}, 2, bar)
    assert str(caught.value) == "[Errno 2] run task/bad-s0-0: No such file or directory: 'a.png'"
    assert time.monotonic() - started < 300  # the other sleeps for twice that long


def _either(work, report):
    work(report)
