"""A headless Chromium without a network, driven over a pair of pipes by the DevTools protocol."""

import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> str | None:
    """Path of Chromium or Chrome, or None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One tab of a headless Chromium; a context manager that ends the program.

    No host name resolves in it, so that whatever a page asks of the network fails.

    Raises
    ------
    FileNotFoundError
        Where no Chromium is on the path.
    """

    def __init__(self):
        program = find()
        if program is None:
            raise FileNotFoundError(f"none of {', '.join(PROGRAMS)} is on the path: install Chromium")
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # The program reads commands from its descriptor 3 and answers on 4: ours must not have these numbers.
        (theirs_in, self._out), (self._in, theirs_out) = _pipe(), _pipe()
        options = [
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={self._folder.name}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--hide-scrollbars",
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", program, *options, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self._unread, self._number, self._session = b"", 0, None
        self.events: list[dict] = []
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        os.close(self._in), os.close(self._out)
        self._folder.cleanup()

    def call(self, method: str, *, seconds: float = 60, **parameters) -> dict:
        """Result of a command within so many seconds; events that come before it are kept in :attr:`events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read(seconds)).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"Chromium refuses {method}: {answer['error']['message']}")
        return answer["result"]

    def evaluate(self, script: str):
        """Value of a JavaScript expression, awaited where it is a promise.

        A page that leads to another may leave while it is asked: then the other is asked.
        """
        for _ in range(20):
            try:
                result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
                break
            except RuntimeError as error:
                if not re.search("context|navigated", str(error)):
                    raise
                time.sleep(0.1)
        else:
            raise RuntimeError(f"the page keeps leaving while it is asked for {script}")
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", script))
        return result["result"].get("value")

    def open(self, page: Path, query: str = "") -> None:
        """Open a file; return when it is loaded and its formulas are set. Clears :attr:`events`."""
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri() + query)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        self.evaluate("window.MathJax?.startup?.promise ?? 0")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page another width in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def complaints(self) -> list[str]:
        """Failed requests, requests to the network, and errors of the console since the page was opened."""
        found = []
        addresses = {}
        for event in self.events:
            of, what = event.get("method"), event.get("params", {})
            if of == "Network.requestWillBeSent":
                addresses[what["requestId"]] = what["request"]["url"]
                if what["request"]["url"].startswith(("http:", "https:", "ws:", "wss:")):
                    found.append(f"asks the network for {what['request']['url']}")
            elif of == "Network.loadingFailed" and not what.get("canceled"):
                found.append(f"{what['errorText']}: {addresses.get(what['requestId'])}")
            elif of == "Runtime.exceptionThrown":
                details = what["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif of == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
                found.append(str([each.get("value", each.get("description")) for each in what["args"]]))
            elif of == "Log.entryAdded" and what["entry"]["level"] == "error":
                found.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        return found

    def _read(self, seconds: float = 60) -> dict:
        end = time.monotonic() + seconds
        while b"\0" not in self._unread:
            if not select.select([self._in], [], [], max(end - time.monotonic(), 0))[0]:
                raise TimeoutError(f"Chromium did not answer within {seconds:.0f} seconds")
            if not (more := os.read(self._in, 1 << 20)):
                raise RuntimeError(f"Chromium ended with status {self._process.wait()}")
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends have numbers from 10 on."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high
