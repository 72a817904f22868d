"""Two runs that end at once each have a page of the log."""

import threading
from pathlib import Path

import pytest

from vilbert_lib import notebooks, pages


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """Notebooks are executed by name only; a page holds which of them it was."""
    monkeypatch.setenv("VILBERT_BOOK", str(tmp_path / "book"))

    def execute(arguments, source):
        partial = tmp_path / f"partial-{arguments[0]}.ipynb"
        partial.write_text(arguments[0])
        return partial, ""

    monkeypatch.setattr(notebooks, "_execute", execute)
    return tmp_path


def test_pages_that_are_written_at_the_same_time_have_names_of_their_own(executed, monkeypatch):
    both = threading.Barrier(2)

    def publish(partial, page, **about):
        both.wait(60)  # both have chosen a name
        page.write_text(partial.read_text())

    monkeypatch.setattr(pages, "publish", publish)
    source, found = Path("09_example.ipynb"), []
    threads = [
        threading.Thread(target=lambda name=name: found.append(notebooks.add_to_log([name], source)))
        for name in ("first", "second")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2 and {page.read_text() for page in found} == {"first", "second"}


def test_a_page_that_cannot_be_published_leaves_no_empty_one(executed, monkeypatch):
    def publish(*_, **__):
        raise OSError("no room")

    monkeypatch.setattr(pages, "publish", publish)
    with pytest.raises(OSError, match="no room"):
        notebooks.add_to_log(["first"], Path("09_example.ipynb"))
    assert list((executed / "book" / "log").iterdir()) == []
    assert (executed / "partial-first.ipynb").is_file()
