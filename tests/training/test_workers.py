"""Trainings in processes of their own end with the process that asked for them."""

import os
import signal
import subprocess
import sys
import time

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
        train_all(work, [(sys.argv[1], 0), (sys.argv[1], 1)], 2, bar)
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
