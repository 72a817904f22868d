"""A real PostgreSQL in a folder of its own, which nobody but this machine's processes can reach."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, Debian's or others'; None: there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("postgres"):
        places.insert(0, Path(found).resolve().parent)
    return next(
        (place for place in places if (place / "initdb").is_file() and (place / "postgres").is_file()), None
    )


@contextmanager
def server() -> Iterator[str]:
    """The address of a server that is stopped, and removed with all that it holds, at the end."""
    base = Path(tempfile.mkdtemp(prefix="search-"))  # short: the name of a socket has at most 107 letters
    who = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses to be run by
        nobody = pwd.getpwnam("nobody")
        os.chown(base, nobody.pw_uid, nobody.pw_gid)
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        options = ["-U", "search", "-A", "trust", "--no-sync", "-E", "UTF8"]
        command = [programs() / "initdb", "-D", base / "data", *options]
        subprocess.run(command, check=True, capture_output=True, cwd=base, **who)
        command = [programs() / "postgres", "-D", base / "data", "-k", base, "-c", "listen_addresses=", "-F"]
        with (
            open(base / "log", "wb") as log,
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=base, **who) as process,
        ):
            try:
                _wait(base, process)
                yield f"postgresql+psycopg://search@/postgres?host={base}"
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
    finally:
        shutil.rmtree(base)


def _wait(base: Path, process: subprocess.Popen) -> None:
    for _ in range(600):
        if "ready to accept connections" in (base / "log").read_text():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{(base / 'log').read_text()}")
