"""Conceptual Captions from their addresses: lines of a list in, small images and a record out."""

import asyncio
import os
import shutil
from collections.abc import Callable
from functools import partial
from random import Random

import anyio
from anyio import to_process
from tqdm import tqdm

from vilbert_lib.data import fetched, shrink
from vilbert_lib.data.addresses import Address, is_public
from vilbert_lib.data.caption_lists import Part, read_line
from vilbert_lib.data.fetch_options import FetchOptions
from vilbert_lib.data.web import Failure, Web

# Lines that may wait for their hosts, for each that is being downloaded.
_AHEAD = 32


def fetch(
    part: Part,
    *,
    start: int = 0,
    limit: int | None = None,
    retry_failed: bool = False,
    options: FetchOptions | None = None,
    allowed: Callable[[Address], bool] = is_public,
    progress: bool = True,
) -> None:
    """Fetch what is due of ``limit`` lines (by default all) from line ``start`` (from 0) on.

    What became of each goes into ``part.record``; a second call goes on where the first stopped.
    ``allowed`` decides which machines may be asked. A script that calls this does so below
    ``if __name__ == "__main__"``, as decoding is done in processes that read the script again.
    Raises ValueError for lines that are not there, OSError where the disk takes no more.
    """
    if not 0 <= start <= len(part.record):
        raise ValueError(f"start {start}: {part.captions} has {len(part.record)} lines")
    if limit is not None and limit < 0:
        raise ValueError(f"limit {limit} must be at least 0")
    stop = len(part.record) if limit is None else min(start + limit, len(part.record))
    due = [part.record.is_due(line, retry_failed) for line in range(stop)]
    due[:start] = [False] * start
    if not any(due):
        return
    shutil.rmtree(part.unfinished, ignore_errors=True)
    part.unfinished.mkdir()
    try:
        with tqdm(total=sum(due), desc=part.name, unit="line", disable=not progress) as bar:
            asyncio.run(_Download(part, options or FetchOptions(), bar).all(due, allowed))
    except BaseExceptionGroup as group:
        first = group.exceptions[0]
        if isinstance(first, OSError):
            raise OSError(f"{part.out}: {first}; what was fetched is kept") from first
        raise first from None
    finally:
        shutil.rmtree(part.unfinished, ignore_errors=True)


class _Download:
    def __init__(self, part: Part, options: FetchOptions, bar: tqdm):
        self.part, self.options, self.bar = part, options, bar

    async def all(self, due: list[bool], allowed: Callable[[Address], bool]) -> None:
        """Fetch each line that is due; what is no fault of the web ends it all."""
        self.decoding = anyio.CapacityLimiter(self.options.decoders)
        ahead = asyncio.Semaphore(self.options.workers * _AHEAD)
        try:
            await to_process.run_sync(os.getpid)
        except anyio.BrokenWorkerProcess as error:
            raise OSError(f"processes for decoding cannot be started: {error.__cause__ or error}") from error
        async with Web(self.options, allowed) as self.web, asyncio.TaskGroup() as group:
            with open(self.part.captions, "rb") as file:
                for line, (raw, is_due) in enumerate(zip(file, due, strict=False)):
                    if line % 1000 == 0:
                        await asyncio.sleep(0)  # many lines that are not due must not hold up the others
                    if is_due:
                        await ahead.acquire()
                        task = group.create_task(self._one(line, raw))
                        task.add_done_callback(lambda _: ahead.release())

    async def _one(self, line: int, raw: bytes) -> None:
        """Fetch one line and write down what became of it."""
        address = ""
        try:
            address = _address(raw)
            jitter = Random(f"{self.options.seed}-{line}")
            stored, tries = await self.web.fetch(address, partial(self._store, line), jitter)
        except Failure as failure:
            self.part.record.add(line, address, failure.status, failure.detail, tries=failure.tries)
        else:
            self.part.record.add(line, address, fetched.OK, tries=tries, stored=stored)
        self.bar.update()

    async def _store(self, line: int, body: bytes) -> shrink.Stored:
        """Decode and keep in another process, which bytes that are made for it may crash or hold up."""
        places = self.part.image(line), self.part.unfinished / f"{line:08d}"
        work = (shrink.store, body, *places, self.options.size, self.options.max_pixels)
        try:
            async with self.decoding:
                with anyio.fail_after(self.options.decode_timeout):
                    return await to_process.run_sync(*work, cancellable=True, limiter=anyio.CapacityLimiter(1))
        except shrink.TooManyPixels as error:
            raise Failure("too many pixels", error) from error
        except shrink.NotAnImage as error:
            raise Failure("html page" if _is_html(body) else "not an image", error) from error
        except anyio.BrokenWorkerProcess as error:
            raise Failure("decoder failed", error, again=True) from error
        except TimeoutError as error:
            raise Failure("decoder failed", f"not done after {self.options.decode_timeout} seconds") from error


def _address(raw: bytes) -> str:
    try:
        return read_line(raw)[1]
    except ValueError as error:
        raise Failure(fetched.BROKEN_LINE, error) from error


def _is_html(body: bytes) -> bool:
    head = body[:2048].lower()
    return b"<html" in head or b"<!doctype html" in head
