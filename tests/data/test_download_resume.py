"""A download goes on from wherever it was stopped: by its end, a kill, a full disk, a dying decoder."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from downloads import HASTE, run, wait_until, write_list
from hostile_server import after, picture, whole

from vilbert_lib.paths import REPOSITORY

SCRIPT = """
import sys
from pathlib import Path
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
sys.path.insert(0, "tests/data")
from downloads import run
print(run(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_a_second_call_asks_only_for_what_may_pass(server, tmp_path):
    server.answers |= {"/ok": whole(picture()), "/500": whole(status="500 Oh"), "/text": whole(b"text")}
    urls = [server.url(path) for path in ("/ok", "/404", "/500", "/text")] + [server.url("/ok", "127.0.0.2")]
    captions = write_list(tmp_path / "train.tsv", urls)
    captions.write_bytes(captions.read_bytes() + b"broken\n")
    ended = {"ok": 1, "http 404": 1, "http 500": 1, "not an image": 1, "private address": 1, "broken line": 1}
    assert run(captions, tmp_path / "out") == ended
    assert server.asked() == {"/ok": 1, "/404": 1, "/text": 1, "/500": 2}
    assert run(captions, tmp_path / "out") == ended
    assert server.asked() == {"/ok": 1, "/404": 1, "/text": 1, "/500": 4}
    server.answers |= {"/500": whole(picture()), "/404": whole(picture())}
    ended = {"ok": 3, "not an image": 1, "private address": 1, "broken line": 1}
    assert run(captions, tmp_path / "out", retry_failed=True) == ended
    assert server.asked() == {"/ok": 1, "/404": 2, "/text": 2, "/500": 5}
    assert run(captions, tmp_path / "out") == ended
    assert sum(server.asked().values()) == 10
    assert len([entry for entry in whole_entries(tmp_path / "out") if entry["status"] == "broken line"]) == 1


def test_start_and_limit_choose_lines_and_ten_thousand_share_a_folder(server, tmp_path):
    server.answers["/ok"] = whole(picture())
    captions = write_list(tmp_path / "train.tsv", [server.url("/ok")] * 10_005)
    assert run(captions, tmp_path / "out", start=9_998, limit=4) == {"ok": 4, "not tried": 10_001}
    images = sorted(str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("*.jpg"))
    assert images == [f"train/{i // 10_000:04d}/{i:08d}.jpg" for i in range(9_998, 10_002)]
    assert run(captions, tmp_path / "out", start=10_005) == {"ok": 4, "not tried": 10_001}
    assert run(captions, tmp_path / "out", limit=0) == {"ok": 4, "not tried": 10_001}
    for wrong in ({"start": -1}, {"start": 10_006}, {"limit": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            run(captions, tmp_path / "out", **wrong)


# Stopped from outside


def start(captions: Path, out: Path, largest_file: int = 10**9) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(captions), str(out), str(largest_file)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole_entries(out: Path) -> list[dict]:
    path = out / "train" / "fetched.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def assert_kept(out: Path) -> list[int]:
    """The lines that are recorded as fetched, each once, each with its image."""
    fetched = {entry["line"]: entry["sha256"] for entry in whole_entries(out) if entry["status"] == "ok"}
    assert len(fetched) == len(whole_entries(out))
    for line, digest in fetched.items():
        image = out / "train" / "0000" / f"{line:08d}.jpg"
        assert hashlib.sha256(image.read_bytes()).hexdigest() == digest
    return sorted(fetched)


def children(pid: int) -> list[int]:
    return [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]


@pytest.fixture
def sixty(server, tmp_path):
    """A list of sixty lines, each with an address of its own, that takes a while."""
    server.answers |= {f"/{i}": after(0.1, whole(picture(size=(300, 200), seed=i))) for i in range(60)}
    return write_list(tmp_path / "train.tsv", [server.url(f"/{i}") for i in range(60)])


def test_a_kill_at_any_moment_loses_nothing(server, sixty, tmp_path):
    kept = []
    for enough in (1, 30):
        process = start(sixty, tmp_path / "out")
        wait_until(lambda enough=enough: len(whole_entries(tmp_path / "out")) >= enough)
        decoders = children(process.pid)
        process.kill()
        process.communicate()
        assert decoders
        wait_until(lambda decoders=decoders: not any(Path(f"/proc/{pid}/cwd").exists() for pid in decoders))
        kept.append(assert_kept(tmp_path / "out"))
        asked = server.asked()
    assert 0 < len(kept[0]) < len(kept[-1]) < 60
    assert run(sixty, tmp_path / "out") == {"ok": 60}
    assert assert_kept(tmp_path / "out") == list(range(60))
    assert all(server.asked()[f"/{line}"] == asked[f"/{line}"] for line in kept[-1])


@pytest.mark.parametrize("largest", [5_000, 2_500])
def test_a_disk_that_takes_no_more_stops_it_and_keeps_what_is_there(sixty, tmp_path, largest):
    """A limit to the length of files stands for the disk: the record comes up against it, or an image."""
    process = start(sixty, tmp_path / "out", largest)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    last = stderr.strip().splitlines()[-1]
    assert last.startswith("OSError: ") and str(tmp_path / "out") in last and "File too large" in last
    kept = assert_kept(tmp_path / "out")
    assert run(sixty, tmp_path / "out") == {"ok": 60}
    assert set(kept) <= set(assert_kept(tmp_path / "out"))


def sends(number: signal.Signals):
    """A good answer, before which the decoders of this process get a signal."""

    async def answer(visit):
        for pid in children(os.getpid()):
            if b"anyio.to_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, number)
        await whole(picture())(visit)

    return answer


def test_a_decoder_that_dies_takes_no_other_image_with_it(server, tmp_path):
    answers = (whole(picture()), sends(signal.SIGKILL))
    server.answers |= {f"/{i}": answers[i % 8 == 3] for i in range(24)}
    captions = write_list(tmp_path / "train.tsv", [server.url(f"/{i}") for i in range(24)])
    assert run(captions, tmp_path, options=replace(HASTE, workers=4, tries=9)) == {"ok": 24}


def test_a_decoder_that_is_never_done_is_replaced(server, tmp_path):
    server.answers |= {"/stop": sends(signal.SIGSTOP), "/ok": whole(picture())}
    captions = write_list(tmp_path / "train.tsv", [server.url("/stop"), *[server.url("/ok")] * 3])
    options = replace(HASTE, workers=1, per_host=1, decode_timeout=3.0)
    assert run(captions, tmp_path, options=options) == {"decoder failed": 1, "ok": 3}
    server.answers["/stop"] = whole(picture())
    assert run(captions, tmp_path) == {"ok": 4}
