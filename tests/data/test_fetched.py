"""The record of a download: resumed from any half-written state, and never guessed."""

import json
import re

import pytest

from vilbert_lib.data.fetched import Record
from vilbert_lib.data.shrink import Stored


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "fetched.jsonl", 6, lambda line: tmp_path / f"{line}.jpg")


def fill(record: Record) -> None:
    """Line 0 is there, 1 failed for good, 2 may pass, 3 is broken; 4 and 5 are not tried."""
    record.image(0).write_bytes(b"image")
    record.add(0, "http://a/0", "ok", tries=2, stored=Stored(5, 40, 30, "abc"))
    record.add(1, "http://a/1", "http 404", tries=1)
    record.add(2, "http://a/2", "timeout", "x" * 999, tries=3)
    record.add(3, "", "broken line", "1 columns", tries=0)


def due(record: Record, retry_failed: bool = False) -> list[int]:
    return [line for line in range(len(record)) if record.is_due(line, retry_failed)]


def test_what_is_written_is_read_again(record):
    with record:
        fill(record)
        assert due(record) == [2, 4, 5]
    entries = [json.loads(line) for line in record.path.read_bytes().splitlines()]
    assert [entry["line"] for entry in entries] == [0, 1, 2, 3]
    assert list(entries[0].items())[:-1] == [
        *(("line", 0), ("url", "http://a/0"), ("status", "ok"), ("detail", ""), ("bytes", 5)),
        *(("width", 40), ("height", 30), ("sha256", "abc"), ("tries", 2)),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entries[0]["time"])
    assert entries[1]["sha256"] is None and len(entries[2]["detail"]) == 200
    with Record(record.path, 6, record.image) as again:
        assert due(again) == [2, 4, 5]
        assert due(again, retry_failed=True) == [1, 2, 4, 5]
        assert again.counts() == {"ok": 1, "http 404": 1, "timeout": 1, "broken line": 1, "not tried": 2}
        assert (again.lines("http 404"), again.lines("not tried")) == ([1], [4, 5])


@pytest.mark.parametrize("status", ["timeout", "connection", "no such host", "http 429", "http 503", "http 500"])
def test_what_may_pass_is_due_again(record, status):
    with record:
        record.add(0, "http://a/0", status, tries=3)
        assert record.is_due(0)


@pytest.mark.parametrize("status", ["http 404", "http 410", "not an image", "private address", "bad url"])
def test_what_failed_for_good_is_not(record, status):
    with record:
        record.add(0, "http://a/0", status, tries=1)
        assert not record.is_due(0) and record.is_due(0, retry_failed=True)


def test_the_last_entry_of_a_line_counts(record):
    with record:
        fill(record)
        record.add(1, "http://a/1", "timeout", tries=3)
        record.add(2, "http://a/2", "http 410", tries=1)
    with record:
        assert due(record) == [1, 4, 5]


def test_an_entry_cut_anywhere_is_dropped_and_the_others_stay(record):
    with record:
        fill(record)
    whole = record.path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    near_an_end = {end + step for end in [0, *ends] for step in (-2, -1, 0, 1)}
    for length in sorted({*range(0, len(whole), 9), *near_an_end} & set(range(len(whole) + 1))):
        record.path.write_bytes(whole[:length])
        left = sum(end <= length for end in ends)
        with Record(record.path, 6, record.image) as cut:
            assert sum(cut.counts().values()) - cut.counts()["not tried"] == left
            cut.add(5, "http://a/5", "http 404", tries=1)
        assert len([json.loads(line) for line in record.path.read_bytes().splitlines()]) == left + 1


@pytest.mark.parametrize("content", [None, b"", b"imag"])
def test_an_image_that_is_gone_or_of_another_length_is_due(record, content):
    with record:
        fill(record)
    record.image(0).unlink()
    if content is not None:
        record.image(0).write_bytes(content)
    with record:
        assert 0 in due(record)


@pytest.mark.parametrize(
    "entry",
    [
        b"{",
        b"[]",
        b"\0\0\0",
        b"{}",
        b'{"line": 6, "status": "ok", "bytes": 5}',
        b'{"line": -1, "status": "ok", "bytes": 5}',
        b'{"line": "0", "status": "ok", "bytes": 5}',
        b'{"line": 0, "status": null, "bytes": 5}',
    ],
)
def test_what_is_no_entry_is_named(record, entry):
    with record:
        fill(record)
    whole = record.path.read_bytes()
    record.path.write_bytes(whole + entry + b"\n")
    with pytest.raises(ValueError, match=re.escape(f"{record.path}:5")), record:
        pass
    assert record.path.read_bytes() == whole + entry + b"\n"
