"""Layers and pairs side by side, one thread each."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


@cache
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def each(function: Callable, items: Iterable, device: torch.device) -> list:
    """``[function(item) for item in items]``, on as many threads as torch may use.

    Each call has one thread for its linear algebra: matrices of a few hundred rows gain little
    from several, while whole layers do not wait for one another. It also makes the bits of a
    result independent of the number of threads. On a GPU the calls come one after the other.
    """
    if device.type != "cpu":
        return [function(item) for item in items]
    threads = torch.get_num_threads()
    with _linear_algebra().limit(limits=1):
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            return list(pool.map(function, items))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # new threads start from what was set last
