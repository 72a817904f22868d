"""Short downloads, impatient, and with one machine let in besides the internet."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vilbert_lib.data import caption_lists
from vilbert_lib.data.addresses import is_public
from vilbert_lib.data.download import fetch
from vilbert_lib.data.fetch_options import FetchOptions

HASTE = FetchOptions(
    **{"workers": 24, "per_host": 24, "timeout": 2.1, "tries": 2, "backoff": 0.01, "patience": 1.5},
    **{"max_bytes": 100_000, "max_pixels": 10**6, "decoders": 1},
)


def allowed(address) -> bool:
    """The internet, and of all else only the address at which the tests' server listens."""
    return str(address) == "127.0.0.1" or is_public(address)


def write_list(path: Path, urls: list[str]) -> Path:
    path.write_text("".join(f"caption {i}\t{url}\n" for i, url in enumerate(urls)), encoding="utf-8")
    return path


def run(captions: Path, out: Path, **settings) -> Counter[str]:
    """Fetch, and count how the lines ended."""
    with caption_lists.opened(captions, out) as part:
        fetch(part, **{"options": HASTE, "allowed": allowed, "progress": False, **settings})
        return part.record.counts()


def entries(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "train" / "fetched.jsonl").read_bytes().splitlines()]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come about."""
    latest = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.005)


def phone_book(known: dict[str, list[str] | Callable[[], list[str]]]):
    """A ``socket.getaddrinfo`` that knows these names only."""

    def getaddrinfo(host, port, *_, **__):
        host.encode("idna")  # as the real one does
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = known[host]() if callable(known[host]) else known[host]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    return getaddrinfo
