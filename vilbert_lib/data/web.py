"""The web as a careless, slow and hostile place: one address in, its bytes or the cause of failure out."""

import asyncio
import errno
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import TypeVar
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from vilbert_lib.data.addresses import Address, PrivateAddress, socket_opener, web_address
from vilbert_lib.data.fetch_options import FetchOptions

T = TypeVar("T")

_REDIRECTS = (301, 302, 303, 307, 308)
_TRY_AGAIN = (408, 425, 429)


class Failure(Exception):
    """Why there are no bytes: a short ``status`` and a ``detail``.

    ``again`` says that another try may help, ``after`` how many seconds the server wants to be
    left alone, ``tries`` how often it was tried.
    """

    def __init__(self, status: str, detail: object = "", *, again: bool = False, after: float = 0.0):
        super().__init__(status)
        self.status, self.detail, self.again, self.after = status, str(detail), again, after
        self.tries = 0


class _Host:
    def __init__(self, places: int):
        self.places = asyncio.Semaphore(places)
        self.opens = 0.0  # the loop's time before which the host wants no request


class Web:
    """Fetches many addresses at once; an async context manager.

    ``allowed`` decides which machines may be asked (see :func:`addresses.is_public`). Proxies,
    cookies, netrc files and passwords in addresses are not used.
    """

    def __init__(self, options: FetchOptions, allowed: Callable[[Address], bool]):
        self.options = options
        self._allowed = allowed
        self._slots = asyncio.Semaphore(options.workers)
        self._hosts: WeakValueDictionary[str, _Host] = WeakValueDictionary()

    async def __aenter__(self) -> "Web":
        # Names are resolved in threads; the default of a handful would be the bottleneck.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(self.options.workers, "resolver"))
        third = self.options.timeout / 3
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the slots are the limit: waiting for one must not count as waiting for the server
                socket_factory=socket_opener(self._allowed),
                keepalive_timeout=2,
            ),
            timeout=aiohttp.ClientTimeout(total=self.options.timeout, sock_connect=third, sock_read=third),
            headers={
                "User-Agent": self.options.user_agent,
                "Accept": "image/jpeg,image/png,image/webp,image/gif,image/*;q=0.8",
                "Accept-Encoding": "identity",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_) -> None:
        await self._session.close()

    async def fetch(self, address: str, use: Callable[[bytes], Awaitable[T]], jitter: Random) -> tuple[T, int]:
        """What ``use`` makes of the bytes at ``address``, and the number of tries.

        ``use`` is awaited while the download still holds its place, so that no more than
        ``workers`` bodies are in memory. Raises :class:`Failure`, as ``use`` may.
        """
        for tried in itertools.count(1):
            try:
                return await self._try(address, use), tried
            except Failure as failure:
                failure.tries = tried
                if not failure.again or tried == self.options.tries or failure.after > self.options.patience:
                    raise
                pause = max(failure.after, self.options.backoff * 2 ** (tried - 1) * jitter.uniform(0.5, 1.5))
            await asyncio.sleep(min(pause, self.options.patience))

    async def _try(self, address: str, use: Callable[[bytes], Awaitable[T]]) -> T:
        url = _parsed(address)
        for _ in range(self.options.redirects + 1):
            async with self._turn(url.host):
                answer = await self._ask(url)
                if isinstance(answer, bytes):
                    return await use(answer)
            url = answer
        raise Failure("too many redirects", f"more than {self.options.redirects}, the last to {url}")

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """A place with the host first, then one of all: who waits for a host keeps nobody else waiting."""
        host = self._hosts.setdefault(name, _Host(self.options.per_host))  # forgotten after its last user
        now = asyncio.get_running_loop().time
        async with host.places:
            while (wait := host.opens - now()) > 0:
                await asyncio.sleep(wait)
            async with self._slots:
                try:
                    yield
                except Failure as failure:
                    if 0 < failure.after <= self.options.patience:
                        host.opens = now() + failure.after
                    raise

    async def _ask(self, url: URL) -> bytes | URL:
        """One request: the body, or where it is said to be."""
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return _parsed(response.headers["Location"], url)
                if response.status != 200:
                    again = response.status in _TRY_AGAIN or response.status >= 500
                    after = _seconds(response.headers.get("Retry-After", "")) if again else 0.0
                    raise Failure(f"http {response.status}", again=again, after=after)
                return await self._body(response)
        except Failure:
            raise
        except Exception as error:
            raise _as_failure(error) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        most = self.options.max_bytes
        if (response.content_length or 0) > most:
            raise Failure("too large", f"{response.content_length} bytes declared")
        body = bytearray()
        async for piece in response.content.iter_chunked(2**16):  # decompressed, where it was compressed
            body += piece
            if len(body) > most:
                raise Failure("too large", f"more than {most} bytes")
        return bytes(body)


def _parsed(text: str, relative_to: URL | None = None) -> URL:
    try:
        return web_address(text, relative_to)
    except ValueError as error:
        raise Failure("bad url", f"redirected to {text}: {error}" if relative_to else error) from error


def _seconds(retry_after: str) -> float:
    """Seconds or a date, as RFC 9110 has it; 0 for anything else."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _as_failure(error: Exception) -> Exception:
    """The cause in our words; what is no fault of the web stays what it is."""
    origin = getattr(error, "os_error", error)
    match error:
        case TimeoutError():
            return Failure("timeout", str(error) or "the request took too long", again=True)
        case aiohttp.ClientSSLError():  # before ValueError, which a certificate's error is
            return Failure("no secure connection", error)
        case ValueError():  # among them aiohttp.InvalidURL, and host names that cannot be encoded
            return Failure("bad url", error)
        case aiohttp.ClientConnectorDNSError():
            return Failure("no such host", error, again=origin.errno == socket.EAI_AGAIN)
        case aiohttp.ClientResponseError():
            return Failure("bad answer", error.message)
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, ContentEncodingError):
            return Failure("bad answer", error.__cause__.message)
        case OSError() if isinstance(origin, PrivateAddress):
            return Failure("private address", origin)
        case OSError() if origin.errno in (errno.EMFILE, errno.ENFILE):
            return OSError(origin.errno, "too many open files: ask with fewer workers")
        case aiohttp.ClientError() | OSError():
            return Failure("connection", f"{type(error).__name__}: {error}", again=True)
    return error
