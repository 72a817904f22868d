"""A web server on 127.0.0.1 that answers each path as it was told to, well or badly."""

import asyncio
import contextlib
import io
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import numpy as np
from PIL import Image

Answer = Callable[["Visit"], Awaitable[None]]


def picture(
    kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (40, 30), seed: int = 0, **save
) -> bytes:
    """A picture as a file: coarse noise, which JPEG keeps well."""
    pixels = np.random.default_rng(seed).integers(0, 256, size=(3, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)
    content = io.BytesIO()
    image.save(content, kind, **save)
    return content.getvalue()


def head(status: str = "200 OK", **fields) -> bytes:
    """The head of an answer; underscores in the names of ``fields`` stand for hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def whole(body: bytes = b"", status: str = "200 OK", **fields) -> Answer:
    """An ordinary answer."""
    return raw(head(status, Content_Length=len(body), **fields) + body)


def raw(content: bytes) -> Answer:
    """These very bytes, then the end."""

    async def answer(visit: "Visit") -> None:
        visit.writer.write(content)

    return answer


def redirect(to: str) -> Answer:
    return whole(status="302 Found", Location=to)


def in_turn(*answers: Answer) -> Answer:
    """One after the other, the last for ever."""

    async def answer(visit: "Visit") -> None:
        await answers[min(visit.number, len(answers)) - 1](visit)

    return answer


def pieces(first: bytes, piece: bytes, pause: float) -> Answer:
    """A beginning, then a piece again and again without end."""

    async def answer(visit: "Visit") -> None:
        visit.writer.write(first)
        while True:
            visit.writer.write(piece)
            await visit.writer.drain()
            await asyncio.sleep(pause)

    return answer


def after(seconds: float, then: Answer) -> Answer:
    async def answer(visit: "Visit") -> None:
        await asyncio.sleep(seconds)
        await then(visit)

    return answer


class Visit:
    """One request: its path, its head, the how-manieth it is on that path, when it came, and where to answer."""

    def __init__(self, head: str, before: Counter[str], writer: asyncio.StreamWriter):
        self.path = head.split(" ")[1].partition("?")[0]
        self.host = head.lower().partition("\r\nhost: ")[2].partition("\r\n")[0].rpartition(":")[0]
        self.head, self.number, self.writer = head, before[self.path] + 1, writer
        self.machine = writer.get_extra_info("sockname")[0]
        self.time = time.monotonic()


class Server:
    """Answers in a thread of its own; ``answers`` maps paths, without their query, to answers.

    ``visits`` lists what was asked, ``at_once`` the most requests at the same time by host name,
    under "" those of all. It listens at 127.0.0.2 too, where nobody should come.
    """

    def __init__(self):
        self.answers: dict[str, Answer] = {}
        self.visits: list[Visit] = []
        self.at_once: Counter[str] = Counter()
        self._open: Counter[str] = Counter()

    def __enter__(self) -> "Server":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> int:
        self._servers = [await asyncio.start_server(self._visit, "127.0.0.1", 0)]
        port = self._servers[0].sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # not every system has the second address
            self._servers.append(await asyncio.start_server(self._visit, "127.0.0.2", port))
        return port

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def asked(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(visit.path for visit in self.visits)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            start = await reader.readexactly(4)
            if start == b"GET ":
                start += await reader.readuntil(b"\r\n\r\n")
                await self._answer(Visit(start.decode("latin-1"), self.asked(), writer))
            else:
                writer.write(head("400 No HTTP"))  # among others to whoever wants a secure connection
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _answer(self, visit: Visit) -> None:
        self.visits.append(visit)
        for name in (visit.host, ""):
            self._open[name] += 1
            self.at_once[name] = max(self.at_once[name], self._open[name])
        try:
            await self.answers.get(visit.path, whole(status="404 Not Found"))(visit)
        finally:
            for name in (visit.host, ""):
                self._open[name] -= 1
