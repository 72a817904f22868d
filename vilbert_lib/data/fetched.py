"""The record of a download: what became of each line of a list, in a file that only grows."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

OK = "ok"
BROKEN_LINE = "broken line"
NOT_TRIED = "not tried"
_FOR_NOW = {"timeout", "connection", "no such host", "decoder failed", "http 408", "http 425", "http 429"}


def may_pass(status: str) -> bool:
    """Whether a later try may end otherwise: time-outs, lost connections, servers in trouble."""
    return status in _FOR_NOW or status.startswith("http 5")


class Record:
    """What became of the ``lines`` lines of a list; ``image(line)`` is where an image lies.

    The file holds a JSON object a line: ``line`` (from 0), ``url``, ``status`` ("ok" or the
    cause), ``detail``, ``bytes``, ``width``, ``height`` and ``sha256`` of the stored file (null
    without one), ``tries`` and ``time`` (UTC). Where a line of the list was tried again, its last
    entry counts. An entry that was cut by the end of its writer is dropped.

    A context manager; on entry raises ValueError, naming file and line, for what is no such record.
    """

    def __init__(self, path: Path, lines: int, image: Callable[[int], Path]):
        self.path, self.image = path, image
        self._status: list[str | None] = [None] * lines

    def __enter__(self) -> "Record":
        self.path.touch()
        os.truncate(self.path, self._read())
        self._file = open(self.path, "ab", buffering=0)
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._status)

    def _read(self) -> int:
        """Take in what is there; return the length in bytes of the whole entries."""
        length = 0
        with open(self.path, "rb") as file:
            for number, entry in enumerate(file, start=1):
                if not entry.endswith(b"\n"):
                    break
                length += len(entry)
                try:
                    outcome = json.loads(entry)
                    line, status = outcome["line"], sys.intern(outcome["status"])
                    if not 0 <= line < len(self):
                        raise ValueError(f"the list has {len(self)} lines")
                    kept = status != OK or self._holds(line, outcome["bytes"])
                    self._status[line] = status if kept else None
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(f"{self.path}:{number}: not an entry of this record ({error!r})") from error
        return length

    def _holds(self, line: int, size: int) -> bool:
        try:
            return self.image(line).stat().st_size == size
        except FileNotFoundError:
            return False

    def is_due(self, line: int, retry_failed: bool = False) -> bool:
        """Whether ``line`` is to be fetched: not tried, or failed in a way that may pass.

        With ``retry_failed`` every failure is, but for lines that name no address at all.
        """
        status = self._status[line]
        if status is None or status in (OK, BROKEN_LINE):
            return status is None
        return retry_failed or may_pass(status)

    def add(self, line: int, url: str, status: str, detail: str = "", *, tries: int, stored=None) -> None:
        """Write what became of a line; ``stored`` has ``bytes``, ``width``, ``height``, ``sha256``."""
        entry = {
            "line": line,
            "url": url,
            "status": status,
            "detail": detail[:200],
            **{name: getattr(stored, name, None) for name in ("bytes", "width", "height", "sha256")},
            "tries": tries,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        rest = json.dumps(entry).encode() + b"\n"
        while rest:  # a disk that is nearly full takes a part and refuses the next
            rest = rest[self._file.write(rest) :]
        self._status[line] = sys.intern(status)

    def counts(self) -> Counter[str]:
        """How many lines ended how."""
        return Counter(status or NOT_TRIED for status in self._status)

    def lines(self, status: str) -> list[int]:
        """The lines that ended so."""
        return [line for line, ended in enumerate(self._status) if (ended or NOT_TRIED) == status]
