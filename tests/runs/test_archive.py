"""Figures of runs that are kept with the code: what is written comes back, and damage is named."""

import pandas as pd
import pytest

from vilbert_lib.runs import archive


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_ARCHIVE", str(tmp_path))
    return tmp_path


def measured(value: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"epoch": [0, 1], "x": "t0", "y": "v0", "measure": ["cka", "mknn"], "k": [0, 10], "value": [value, None]}
    )


def test_what_is_kept_comes_back(folder):
    entries = {"b/run": {"summary": {"best_epoch": 3}}, "a/run": {"summary": {"best_epoch": 1}}}
    archive.write("small", entries, {"a/run": measured(0.123456789), "b/run": measured(0.5)})
    archive.write("other", {"c/run": {"summary": {}}}, {"c/run": measured(0.25)})
    assert archive.find("a/run") == entries["a/run"] and archive.find("b/run") == entries["b/run"]
    found = archive.alignment("a/run")
    pd.testing.assert_frame_equal(found, measured(0.12346), atol=1e-7)
    assert archive.alignment("c/run").value[0] == 0.25
    assert archive.find("d/run") is None
    with pytest.raises(KeyError):
        archive.alignment("d/run")


def test_what_is_read_can_be_changed_without_harm():
    archive.write("small", {"a/run": {}}, {"a/run": measured(0.5)})
    frame = archive.alignment("a/run")
    frame["value"] = 7.0
    archive.find("a/run")  # the same files are not read twice
    assert archive.alignment("a/run").value[0] == 0.5


def test_what_is_written_anew_is_read_anew():
    archive.write("small", {"a/run": {"summary": 1}}, {"a/run": measured(0.5)})
    assert archive.find("a/run") == {"summary": 1}
    archive.write("small", {"a/run": {"summary": 2}}, {"a/run": measured(0.75)})
    assert archive.find("a/run") == {"summary": 2} and archive.alignment("a/run").value[0] == 0.75


def test_the_same_runs_in_another_order_are_the_same_bytes(folder):
    entries, frames = {"a/run": {"n": 1}, "b/run": {"n": 2}}, {"a/run": measured(0.1), "b/run": measured(0.2)}
    first = [path.read_bytes() for path in archive.write("small", entries, frames)]
    turned = dict(reversed(entries.items())), dict(reversed(frames.items()))
    assert [path.read_bytes() for path in archive.write("small", *turned)] == first


def test_a_run_without_alignments_is_refused():
    with pytest.raises(ValueError, match=r"'b/run'.*not both"):
        archive.write("small", {"a/run": {}, "b/run": {}}, {"a/run": measured(0.5)})


def test_a_damaged_file_is_named_with_its_line(folder):
    index, frames = archive.write(
        "small", {"a/run": {}, "b/run": {}}, {"a/run": measured(0.1), "b/run": measured(0.2)}
    )
    frames.write_bytes(frames.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"small\.alignment\.parquet is damaged"):
        archive.alignment("a/run")
    index.write_text(index.read_text()[:-5])
    with pytest.raises(ValueError, match=r"small\.runs\.jsonl line 2 is damaged"):
        archive.find("a/run")
