"""Files that several processes use: whether one was changed, whose turn it is, where one can be written."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def version(path: Path) -> tuple[int, int, int, int]:
    """Bytes, times of change (mtime and ctime, ns) and inode of ``path``: any change of the file changes one."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path``; who waits for another process longer than a second says ``what`` for, once."""
    from filelock import FileLock, Timeout  # here, as who measures features of his own needs no locks

    lock = FileLock(path)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"{what}: waiting for another process", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write a file beside ``path`` that takes its place when it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        save(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(folder: Path, fix: str = "name another folder") -> None:
    """Raise an OSError that names ``folder`` where nothing can be written into it, nor can it be made.

    Called before the work whose results are to be written there.
    """
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"nothing can be written into {folder}: {error.strerror}; {fix}") from error
