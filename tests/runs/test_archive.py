"""Figures of runs that are kept with the code: what is written comes back, and damage is named."""

import numpy as np
import pandas as pd
import pytest

from vilbert_lib.runs import archive
from vilbert_lib.training import checkpoint


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
    archive.write(
        "small", entries, {"training_alignment": {"a/run": measured(0.123456789), "b/run": measured(0.5)}}
    )
    archive.write("other", {"c/run": {"summary": {}}}, {"training_alignment": {"c/run": measured(0.25)}})
    assert archive.find("a/run") == entries["a/run"] and archive.find("b/run") == entries["b/run"]
    found = archive.table("a/run", "training_alignment")
    pd.testing.assert_frame_equal(found, measured(0.1235), atol=1e-7)
    assert archive.table("c/run", "training_alignment").value[0] == 0.25
    assert archive.find("d/run") is None
    assert archive.table("d/run", "training_alignment") is None


def test_what_is_written_anew_is_read_anew():
    archive.write("small", {"a/run": {"summary": 1}}, {"training_alignment": {"a/run": measured(0.5)}})
    assert archive.find("a/run") == {"summary": 1}
    archive.write("small", {"a/run": {"summary": 2}}, {"training_alignment": {"a/run": measured(0.75)}})
    assert (
        archive.find("a/run") == {"summary": 2} and archive.table("a/run", "training_alignment").value[0] == 0.75
    )


def test_the_same_runs_in_another_order_are_the_same_bytes(folder):
    entries, frames = {"a/run": {"n": 1}, "b/run": {"n": 2}}, {"a/run": measured(0.1), "b/run": measured(0.2)}
    first = [path.read_bytes() for path in archive.write("small", entries, {"training_alignment": frames})]
    turned = dict(reversed(entries.items())), {"training_alignment": dict(reversed(frames.items()))}
    assert [path.read_bytes() for path in archive.write("small", *turned)] == first


@pytest.mark.parametrize("name", ["small.runs.jsonl", "small.training_alignment.parquet", "small.digests.json"])
def test_a_flipped_bit_is_named_or_changes_nothing(folder, name):
    """Of the file of digests spaces may be other spaces."""
    archive.write("small", {"a/run": {"summary": {"loss": 0.5}}}, {"training_alignment": {"a/run": measured(0.1)}})
    right, path, harmless = archive.table("a/run", "training_alignment"), folder / name, 0
    content, random = path.read_bytes(), np.random.default_rng(0)
    for place in random.integers(8 * len(content), size=60):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            assert archive.find("a/run") == {"summary": {"loss": 0.5}}
            pd.testing.assert_frame_equal(archive.table("a/run", "training_alignment"), right)
            harmless += 1
        except ValueError as error:
            assert f"{name} is damaged" in str(error) and "restore" in str(error)
    assert harmless <= (10 if name == "small.digests.json" else 0)


def test_a_file_that_is_missing_or_another_one_is_named(folder):
    tables = {"training_alignment": {"a/run": measured(0.5)}, "norms-01234567": {"a/run": measured(0.25)}}
    archive.write("small", {"a/run": {}}, tables)
    (folder / "small.norms-01234567.parquet").unlink()
    with pytest.raises(ValueError, match=r"small\.norms-01234567\.parquet is damaged: it is missing; restore"):
        archive.tables("a/run")
    archive.write("other", {"b/run": {}}, {"training_alignment": {"b/run": measured(0.75)}})
    own = (folder / "small.digests.json").read_bytes()
    (folder / "small.digests.json").write_bytes((folder / "other.digests.json").read_bytes())
    with pytest.raises(ValueError, match=r"small\.digests\.json is damaged: it lists the files of another name"):
        archive.find("a/run")
    (folder / "small.digests.json").write_bytes(own)
    (folder / "other.training_alignment.parquet").replace(folder / "small.training_alignment.parquet")
    with pytest.raises(ValueError, match=r"small\.training_alignment\.parquet is damaged: its SHA-256"):
        archive.table("a/run", "training_alignment")


def test_a_write_that_fails_leaves_what_was_kept(folder, monkeypatch):
    archive.write("small", {"a/run": {"n": 1}}, {"training_alignment": {"a/run": measured(0.5)}})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(checkpoint, "write_json_lines", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        archive.write("small", {"a/run": {"n": 2}}, {"training_alignment": {"a/run": measured(0.75)}})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_tables_are_kept_as_they_are_by_their_key():
    tiny = pd.DataFrame({"stream": ["text", "vision"], "ratio": [1.25e-9, None], "layer": [-1, 40_000]})
    entries = {"a/run": {}, "b/run": {}}
    alignments = {"a/run": measured(0.5), "b/run": measured(0.25)}
    archive.write("small", entries, {"training_alignment": alignments, "pulls-0a1b2c3d": {"b/run": tiny}})
    assert archive.tables("a/run") == {} and archive.tables("nobody/run") == {}
    [(key, found)] = archive.tables("b/run").items()
    assert key == "pulls-0a1b2c3d"
    pd.testing.assert_frame_equal(found, tiny, rtol=1e-6)
