"""Bad input of every kind: what comes back names file and line or argument, and the book says the same."""

import re

import bad_data
import pytest


def attempt(row: bad_data.Row, root, on_error: str) -> str:
    return (row.attempt or bad_data.reading(row.task))(root, on_error)


def matches(text: str, pattern: str, root) -> bool:
    plain = text.replace(f"{root}/", "")
    return re.fullmatch(re.escape(pattern).replace("…", ".*"), plain, re.DOTALL) is not None


@pytest.mark.parametrize("row", bad_data.ROWS, ids=lambda row: f"{row.task}: {row.tried}")
def test_bad_input_comes_back_as_the_table_says(tmp_path, monkeypatch, row):
    monkeypatch.setattr("sys.argv", [])
    row.damage(row.make(tmp_path))
    try:
        said = attempt(row, tmp_path, "raise")
        # What a dataset is known to leave out, and what a check reports, is no error.
        assert said == (row.error or row.skip)
    except (ValueError, OSError) as error:
        assert row.error and matches(str(error), row.error, tmp_path), str(error)
    if row.skip == bad_data.SAME:
        with pytest.raises((ValueError, OSError)) as again:
            attempt(row, tmp_path, "skip")
        assert matches(str(again.value), row.error, tmp_path)
    elif row.skip != "—":
        said = attempt(row, tmp_path, "skip").split("; ")
        assert [part for part in said if "skipped" in part or not row.error] == [row.skip]


def test_the_table_is_long_and_every_row_another():
    assert len(bad_data.ROWS) >= 45
    assert len({(row.task, row.tried) for row in bad_data.ROWS}) == len(bad_data.ROWS)


def test_the_table_of_the_book_is_this_list():
    message = "run: python tests/data/bad_data.py"
    assert bad_data.TABLE.read_text(encoding="utf-8") == bad_data.table(), message
