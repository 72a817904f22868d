"""Figures of finished runs, without their weights, in few files that are kept with the code.

A study whose runs are all in the archive is made again without training. For each name there are
``<name>.runs.jsonl``, a line a run with its configuration, environment, summary and epochs,
``<name>.alignment.parquet`` with what was measured between the layers of each, and a file a further
table that studies measured on the models (``Run.table``).
"""

import json
from functools import cache
from pathlib import Path

import pandas as pd

from vilbert_lib import paths
from vilbert_lib.training import checkpoint

DIGITS = 4  # of an alignment, after the point: far below what seeds and samples change


def find(run_id: str) -> dict | None:
    """What is kept of a run: ``config``, ``env``, ``summary`` and ``metrics``; None where it is not there."""
    for path in _indices():
        if entry := _entries(path, path.stat().st_mtime_ns).get(run_id):
            return entry
    return None


def ids(name: str) -> list[str]:
    """The ids of the runs that are kept under ``name``."""
    path = paths.archive() / f"{name}.runs.jsonl"
    return list(_entries(path, path.stat().st_mtime_ns)) if path.is_file() else []


def table(run_id: str, key: str) -> pd.DataFrame | None:
    """A table of a run: ``alignment``, or another that was kept by its key; None where it is not there."""
    for path in _files(run_id):
        if _key(path) == key and run_id in (found := _tables(path, path.stat().st_mtime_ns)):
            return found[run_id].copy()
    return None


def tables(run_id: str) -> dict[str, pd.DataFrame]:
    """All tables of a run but ``alignment``, by key."""
    found = {_key(path): table(run_id, _key(path)) for path in _files(run_id)}
    return {key: frame for key, frame in found.items() if key != "alignment" and frame is not None}


def write(name: str, entries: dict[str, dict], tables: dict[str, dict[str, pd.DataFrame]]) -> list[Path]:
    """Keep the figures of runs under ``name``; what was kept there before is replaced.

    ``entries`` are by the runs' ids, ``tables`` by key and then id. Every run must have the table ``alignment``.
    """
    if set(entries) != set(tables["alignment"]):
        lacking = sorted(set(entries) ^ set(tables["alignment"]))
        raise ValueError(f"runs {lacking} have an entry or alignments, not both")
    folder = paths.archive()
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / f"{name}.runs.jsonl"
    checkpoint.write_json_lines(index, [{"id": run_id} | entries[run_id] for run_id in sorted(entries)])
    written = [index]
    for key in sorted(tables):
        written.append(folder / f"{name}.{key}.parquet")
        packed = _packed(tables[key], DIGITS if key == "alignment" else None)
        checkpoint.write(
            written[-1], lambda p, packed=packed: packed.to_parquet(p, index=False, compression="zstd")
        )
    return written


def _packed(tables: dict[str, pd.DataFrame], digits: int | None) -> pd.DataFrame:
    packed = pd.concat([tables[run_id].assign(run=run_id) for run_id in sorted(tables)], ignore_index=True)
    numbers = packed.select_dtypes("float").columns
    packed[numbers] = (packed[numbers] if digits is None else packed[numbers].round(digits)).astype("float32")
    whole = packed.select_dtypes("integer").columns
    packed[whole] = packed[whole].astype("int32")
    return packed


def _indices() -> list[Path]:
    return sorted(paths.archive().glob("*.runs.jsonl"))


def _files(run_id: str) -> list[Path]:
    """The files of tables beside the index that lists the run."""
    for path in _indices():
        if run_id in _entries(path, path.stat().st_mtime_ns):
            return sorted(path.parent.glob(f"{path.name.removesuffix('.runs.jsonl')}.*.parquet"))
    return []


def _key(path: Path) -> str:
    return path.name.removesuffix(".parquet").split(".", 1)[1]


@cache
def _entries(path: Path, changed: int) -> dict[str, dict]:
    entries = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            entries[row.pop("id")] = row
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} line {number} is damaged: {error!r}") from error
    return entries


@cache
def _tables(path: Path, changed: int) -> dict[str, pd.DataFrame]:
    try:
        packed = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    numbers = packed.select_dtypes("float").columns
    packed[numbers] = packed[numbers].astype("float64")
    whole = packed.select_dtypes("integer").columns
    packed[whole] = packed[whole].astype("int64")
    return {
        run_id: rows.drop(columns="run").reset_index(drop=True)
        for run_id, rows in packed.groupby("run", sort=False)
    }
