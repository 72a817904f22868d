"""Many files at once: chunk by chunk, on all cores, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

CHUNK = 64  # items that one thread takes at a time
LONG = 5000  # items from which on a bar is shown

Result = TypeVar("Result")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each_chunk(work: Callable[[int, Sequence[Any]], Result], items: Sequence[Any], title: str) -> Iterator[Result]:
    """``work(position of the first, up to CHUNK items)`` of all ``items``, in order, a thread a core.

    Threads serve work that lets go of the interpreter: reading, hashing, decoding. After an error
    the chunks that were not begun are left out.
    """
    starts = range(0, len(items), CHUNK)
    with (
        ThreadPoolExecutor(cores()) as pool,
        tqdm(total=len(items), desc=title, unit="image", disable=len(items) < LONG or None) as bar,
    ):
        for result in pool.map(lambda first: work(first, items[first : first + CHUNK]), starts):
            yield result
            bar.update(min(CHUNK, len(items) - bar.n))
