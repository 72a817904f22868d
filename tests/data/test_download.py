"""A whole download against a server that behaves in every way that servers do."""

import hashlib
import io
import socket
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from downloads import HASTE, entries, phone_book, run, write_list
from hostile_server import Server, after, in_turn, picture, whole
from hostile_web import PHONE_BOOK
from hostile_web import everything as hostile
from PIL import Image

from vilbert_lib.data import caption_lists


@pytest.fixture
def phone(monkeypatch):
    """Host names and their addresses, to be filled."""
    known = {}
    monkeypatch.setattr(socket, "getaddrinfo", phone_book(known))
    return known


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """One download of all that is hostile: the server, what is expected, the folder, what became of it."""
    out = tmp_path_factory.mktemp("hostile")
    with Server() as server:
        expected = hostile(server)
        captions = write_list(out / "train.tsv", list(expected))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", phone_book(PHONE_BOOK))
            counts = run(captions, out / "out")
    return server, expected, out / "out", counts


def test_every_line_ends_as_it_must(everything):
    _, expected, out, counts = everything
    outcomes = {entry["url"]: (entry["status"], entry["tries"]) for entry in entries(out)}
    assert outcomes == expected
    assert counts == Counter(status for status, _ in expected.values())


def test_the_record_has_one_entry_a_line(everything):
    _, expected, out, _ = everything
    assert sorted(entry["line"] for entry in entries(out)) == list(range(len(expected)))


def test_every_image_is_there_as_it_is_told_and_nothing_else(everything):
    _, _, out, _ = everything
    stored = [entry for entry in entries(out) if entry["status"] == "ok"]
    for entry in stored:
        content = (out / "train" / "0000" / f"{entry['line']:08d}.jpg").read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (entry["width"], entry["height"]))
    lists = [caption_lists.LISTS["train"], "train/fetched.jsonl", "train/fetched.lock"]
    images = [f"train/0000/{entry['line']:08d}.jpg" for entry in stored]
    files = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(lists + images)
    failed = [entry for entry in entries(out) if entry["status"] != "ok"]
    assert all(entry[name] is None for entry in failed for name in ("bytes", "width", "height", "sha256"))


def test_images_come_small_and_upright(everything):
    server, _, out, _ = everything
    sides = {entry["url"]: (entry["width"], entry["height"]) for entry in entries(out)}
    assert sides[server.url("/large.jpg")] == (384, 256)
    assert sides[server.url("/turned.jpg")] == (40, 60)
    assert sides[server.url("/good.jpg")] == (40, 30)


def test_no_secret_is_sent_and_no_other_machine_is_asked(everything):
    server, _, _, _ = everything
    assert server.asked()["/secret.jpg"] == 3
    assert not [visit for visit in server.visits if "authorization" in visit.head.lower()]
    assert {visit.machine for visit in server.visits} == {"127.0.0.1"}


def test_no_more_is_asked_than_the_tries(everything):
    server, _, _, _ = everything
    asked = server.asked()
    assert (asked["/404"], asked["/500"], asked["/drops"], asked["/wait-long"]) == (1, 2, 2, 1)


# Manners


def test_a_host_is_not_asked_for_more_at_once_and_keeps_nobody_else_waiting(server, phone, tmp_path):
    phone |= {"slow.example": ["127.0.0.1"], "quick.example": ["127.0.0.1"]}
    server.answers |= {"/slow": after(0.1, whole(picture())), "/quick": whole(picture())}
    urls = [server.url("/slow", "slow.example")] * 12 + [server.url("/quick", "quick.example")] * 6
    run(write_list(tmp_path / "train.tsv", urls), tmp_path, options=replace(HASTE, workers=4, per_host=2))
    assert server.at_once["slow.example"] == 2
    order = [entry["line"] for entry in entries(tmp_path)]
    assert len(order) == 18 and order[-1] < 12 and max(order.index(line) for line in range(12, 18)) < 12


def test_all_hosts_together_are_not_asked_for_more_at_once_than_there_are_workers(server, phone, tmp_path):
    phone |= {f"{i}.example": ["127.0.0.1"] for i in range(6)}
    server.answers["/slow"] = after(0.05, whole(picture()))
    urls = [server.url("/slow", f"{i % 6}.example") for i in range(18)]
    run(write_list(tmp_path / "train.tsv", urls), tmp_path, options=replace(HASTE, workers=3))
    assert server.at_once[""] == 3


def test_a_host_that_asks_for_a_pause_is_left_alone_with_all_its_lines(server, tmp_path):
    async def slowly(visit):
        moment = datetime.now(UTC) + timedelta(seconds=2)  # whole seconds: at least one from now
        await whole(status="429 Slowly", Retry_After=format_datetime(moment, usegmt=True))(visit)

    server.answers["/0"] = in_turn(slowly, whole(picture()))
    server.answers |= {f"/{i}": whole(picture()) for i in (1, 2, 3)}
    captions = write_list(tmp_path / "train.tsv", [server.url(f"/{i}") for i in range(4)])
    assert run(captions, tmp_path, options=replace(HASTE, per_host=1, patience=3.0)) == {"ok": 4}
    first, *others = (visit.time for visit in server.visits)
    assert len(others) == 4 and min(others) - first > 0.8


def test_pauses_between_tries_grow(server, tmp_path):
    server.answers["/500"] = whole(status="500 Oh")
    options = replace(HASTE, tries=4, backoff=0.1)
    assert run(write_list(tmp_path / "train.tsv", [server.url("/500")]), tmp_path, options=options) == {
        "http 500": 1
    }
    times = [visit.time for visit in server.visits]
    assert len(times) == 4
    least = [0.1 * 2**i * 0.5 for i in range(3)]
    assert all(b - a > 0.95 * pause for a, b, pause in zip(times, times[1:], least, strict=False))


def test_a_name_is_connected_to_the_address_that_was_checked(server, phone, tmp_path):
    """The name means a private machine whenever it is asked about once more."""
    asked = []

    def rebound() -> list[str]:
        asked.append(1)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    phone["rebound.example"] = rebound
    server.answers["/one"] = whole(picture())
    captions = write_list(tmp_path / "train.tsv", [server.url("/one", "rebound.example")])
    assert run(captions, tmp_path) == {"ok": 1}
    assert len(asked) == 1
    (tmp_path / "train" / "0000" / "00000000.jpg").unlink()
    assert run(captions, tmp_path) == {"private address": 1}
    assert {visit.machine for visit in server.visits} == {"127.0.0.1"}
