"""Many trainings at once, in processes of their own, and one progress bar for all."""

import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for

from tqdm import tqdm

_reports = None  # in a worker: the queue to the bar


def progress_bar(title: str, epochs: int, hidden: bool = False) -> tqdm:
    """A bar that counts epochs and shows the last loss and the time left."""
    layout = "{desc}: {percentage:3.0f}%|{bar:20}| {n:.1f}/{total} epochs, {remaining} left{postfix}"
    return tqdm(total=epochs, desc=title, bar_format=layout, mininterval=2, disable=hidden)


def show(bar: tqdm, share: float, loss: float) -> None:
    """Move ``bar`` on by a share of an epoch; a loss that is not known is NaN."""
    if loss == loss:
        bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
    bar.update(min(share, bar.total - bar.n))


def train_all(work: Callable, items: dict[str, tuple], jobs: int, bar: tqdm) -> None:
    """Call ``work(*item, report)`` for every item, up to ``jobs`` at once; ``items`` are by the ids of their runs.

    The first error of an item is raised here at once and names the run. Items that have not begun are left out,
    those under way are ended: when they are asked for again, they resume from their last checkpoint.
    """
    if jobs == 1:
        for run_id, item in items.items():
            try:
                work(*item, lambda share, loss: show(bar, share, loss))
            except Exception as error:
                _name(error, run_id)
                raise
        return
    # Forks of this process would copy torch's threads half alive. A server that has imported all and done nothing
    # is forked instead, so that only the first trainings wait for the imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vilbert_lib.runs"])
    reports, done = context.Queue(), threading.Event()
    stop, stopping = context.Pipe(duplex=False)  # unlike an event it does not wait for workers that were killed

    def listen() -> None:
        while not done.is_set():
            with contextlib.suppress(queue.Empty):
                show(bar, *reports.get(timeout=0.5))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(jobs, context, _start, (reports, stop, dict(os.environ), os.getcwd())) as pool:
            futures = {pool.submit(_call, work, item): run_id for run_id, item in items.items()}
            try:
                for future in as_completed(futures):
                    _check(future, futures, jobs)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                stopping.send_bytes(b"stop")
                raise
    finally:
        done.set()
        listener.join(timeout=5)  # a process that was ended in the middle of a report leaves half of it


def _check(future: Future, futures: dict[Future, str], jobs: int) -> None:
    """Raise the error of ``future``, if it has one; the message names the run."""
    try:
        future.result()
    except BrokenProcessPool as error:
        wait(futures)
        lost = [run_id for other, run_id in futures.items() if isinstance(other.exception(), BrokenProcessPool)]
        raise BrokenProcessPool(
            "a training process ended without an error, as when memory runs out. Under way were"
            f" {', '.join(lost[:jobs])}: start again with fewer jobs, they resume from their last checkpoint"
        ) from error
    except Exception as error:
        _name(error, futures[future])
        raise


def _name(error: Exception, run_id: str) -> None:
    """Put the run into the message of ``error``, which may be all that is shown of it."""
    if run_id in str(error):
        return
    if isinstance(error, OSError) and error.strerror:
        error.strerror = f"run {run_id}: {error.strerror}"
    else:
        error.args = (f"run {run_id}: {error}",)


def _start(reports, stop: Connection, environment: dict[str, str], folder: str) -> None:
    """What the server was started with may be another environment than that of the process that asks now."""
    global _reports
    _reports = reports
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


def _end_with_parent(stop: Connection) -> None:
    """End when the process that asked says so or has ended, however it did: the training can be resumed."""
    wait_for([multiprocessing.parent_process().sentinel, stop])
    os._exit(1)


def _call(work: Callable, item: tuple) -> None:
    # What a training leaves is on disk: nothing is sent back.
    work(*item, lambda share, loss: _reports.put((share, loss)))
