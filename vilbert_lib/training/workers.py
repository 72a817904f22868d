"""Many trainings at once, in processes of their own, and one progress bar for all."""

import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

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


def train_all(work: Callable, items: Iterable[tuple], jobs: int, bar: tqdm) -> None:
    """Call ``work(*item, report)`` for every item, up to ``jobs`` at once.

    The first error that an item raises is raised here, after those under way have ended.
    """
    if jobs == 1:
        for item in items:
            work(*item, lambda share, loss: show(bar, share, loss))
        return
    # Forks of this process would copy torch's threads half alive. A server that has imported all and done nothing
    # is forked instead, so that only the first trainings wait for the imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vilbert_lib.runs"])
    reports, done = context.Queue(), threading.Event()

    def listen() -> None:
        while not done.is_set():
            with contextlib.suppress(queue.Empty):
                show(bar, *reports.get(timeout=0.5))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(jobs, context, _start, (reports, dict(os.environ), os.getcwd())) as pool:
            for future in [pool.submit(_call, work, item) for item in items]:
                future.result()
    finally:
        done.set()
        listener.join()


def _start(reports, environment: dict[str, str], folder: str) -> None:
    """What the server was started with may be another environment than that of the process that asks now."""
    global _reports
    _reports = reports
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the process that asked has ended, however it did: the training can be gone on with."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _call(work: Callable, item: tuple) -> None:
    # What a training leaves is on disk: nothing is sent back.
    work(*item, lambda share, loss: _reports.put((share, loss)))
