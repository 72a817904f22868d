"""Work on many files: in order, all of it, and stopped by the first error."""

import threading

import pytest

from vilbert_lib.data import chunks
from vilbert_lib.data.chunks import CHUNK, each_chunk


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK])
def test_every_item_comes_once_in_order(count):
    found = list(each_chunk(lambda first, items: (first, list(items)), range(count), "counting"))
    assert [item for _, items in found for item in items] == list(range(count))
    assert all(items[0] == first and len(items) <= CHUNK for first, items in found)


def test_after_an_error_the_rest_is_left_out(monkeypatch):
    monkeypatch.setattr(chunks, "cores", lambda: 1)
    begun, told = [], threading.Event()

    def work(first, items):
        begun.append(first)
        if first == CHUNK:
            raise ValueError("broken")
        told.wait(0.2)  # the error is seen while the next chunk is under way

    with pytest.raises(ValueError, match="broken"):
        list(each_chunk(work, range(20 * CHUNK), "counting"))
    assert len(begun) < 10
