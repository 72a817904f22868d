"""The command: what it prints, how it exits, and that it lets no private machine in."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest
from downloads import entries, run, wait_until, write_list
from hostile_server import after, picture, whole

from vilbert_lib import __main__ as commands
from vilbert_lib.data.fetch_options import FetchOptions
from vilbert_lib.paths import REPOSITORY


@pytest.fixture
def command(monkeypatch):
    """Calls ``fetch-captions`` with some arguments."""

    def call(*arguments) -> None:
        monkeypatch.setattr(sys, "argv", ["vilbert_lib", "data", "fetch-captions", *map(str, arguments)])
        commands.main()

    return call


def test_dead_links_are_no_error_and_the_server_next_door_is_not_asked(server, command, tmp_path, capfd):
    captions = write_list(tmp_path / "train.tsv", [server.url("/good.jpg")] * 3 + ["ftp://a/b"])
    captions.write_bytes(captions.read_bytes() + b"broken\n")
    for _ in range(2):
        command(captions, "--out", tmp_path / "out", "--decoders", 1)
        out = capfd.readouterr().out
        assert out.splitlines() == [
            f"{captions}: 5 lines",
            "        3   60.00%  private address",
            "        1   20.00%  bad url",
            "        1   20.00%  broken line",
            "broken lines, counted from 0: 4",
            f"what became of each: {tmp_path / 'out' / 'train' / 'fetched.jsonl'}",
        ]
    assert not server.visits
    assert len(entries(tmp_path / "out")) == 5


def test_progress_is_shown(server, command, tmp_path, capfd):
    captions = write_list(tmp_path / "list.tsv", ["nonsense"] * 3)
    command(captions, "--out", tmp_path / "out", "--part", "validation", "--limit", 2, "--decoders", 1)
    out, err = capfd.readouterr()
    assert "2/2" in err and "line/s" in err and "validation" in err
    assert "        1   33.33%  not tried" in out


def test_every_option_is_an_option_of_the_command(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        command("--help")
    shown = capsys.readouterr().out
    assert all(f"--{option.name.replace('_', '-')} " in shown for option in dataclasses.fields(FetchOptions))
    assert "private" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing/train.tsv",), "missing"),
        (("{list}",), "name the part"),
        (("{list}", "--part", "test"), "unknown part 'test'"),
        (("{list}", "--part", "train", "--start", 3), "start 3"),
        (("{list}", "--part", "train", "--limit", -1), "limit -1"),
        (("{list}", "--part", "train", "--workers", 0), "workers 0"),
        (("{list}", "--part", "train", "--timeout", "inf"), "timeout inf"),
        (("{list}", "--part", "train", "--backoff", "nan"), "backoff nan"),
        (("{list}", "--part", "train", "--user-agent", "a\r\nHost: b"), "user_agent"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(command, tmp_path, arguments, message):
    captions = write_list(tmp_path / "list.tsv", ["http://a/1", "http://a/2"])
    with pytest.raises(SystemExit) as stopped:
        command(*(str(argument).format(list=captions) for argument in arguments), "--out", tmp_path / "out")
    assert isinstance(stopped.value.code, str) and message in stopped.value.code and "\n" not in stopped.value.code


def test_a_folder_that_cannot_be_made_is_an_error(command, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SystemExit, match="out"):
        command(write_list(tmp_path / "train.tsv", ["http://a/1"]), "--out", tmp_path / "out")


@pytest.mark.parametrize("arguments", [("--allow-private",), ("--workers", "many")])
def test_what_the_command_does_not_know_is_refused(command, tmp_path, arguments):
    with pytest.raises(SystemExit, match="2"):
        command("train.tsv", "--out", tmp_path, *arguments)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children ignore it
sys.path.insert(0, "tests/data")
from downloads import allowed
from vilbert_lib import __main__ as commands
from vilbert_lib.data import download
download.fetch.__kwdefaults__["allowed"] = allowed
commands.main()
"""


def test_an_interrupt_ends_with_the_summary_so_far(server, tmp_path):
    server.answers |= {"/ok": whole(picture()), "/slow": after(60, whole())}
    urls = [server.url("/ok"), *[server.url("/slow")] * 2]
    captions, out = write_list(tmp_path / "train.tsv", urls), tmp_path / "out"
    arguments = ["data", "fetch-captions", str(captions), "--out", str(out), "--decoders", "1", "--timeout", "99"]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        **{"cwd": REPOSITORY, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        start_new_session=True,
    )
    record = out / "train" / "fetched.jsonl"
    wait_until(lambda: record.exists() and record.stat().st_size)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the decoders get it too
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "1   33.33%  ok" in stdout and "2   66.67%  not tried" in stdout
    assert "goes on from here" in stderr
    assert not any(noise in stderr for noise in ("Traceback", "never retrieved", "Unclosed"))
    assert not (out / "train" / ".unfinished").exists()
    assert run(captions, out, limit=1) == {"ok": 1, "not tried": 2}
    assert server.asked()["/ok"] == 1
