"""Figures of finished runs, without their weights, in few files that are kept with the code.

A study whose runs are all in the archive is made again without training. For each name there are
``<name>.runs.jsonl``, a line a run with its configuration, environment, summary and epochs, and
``<name>.alignment.parquet`` with what was measured between the layers of each.
"""

import json
from functools import cache
from pathlib import Path

import pandas as pd

from vilbert_lib import paths
from vilbert_lib.training import checkpoint

DIGITS = 5  # of an alignment, after the point: far below what seeds and samples change


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


def alignment(run_id: str) -> pd.DataFrame:
    """What was measured between the layers of a run; a KeyError where it is not there."""
    for path in _indices():
        if run_id in _entries(path, path.stat().st_mtime_ns):
            frames = path.with_name(path.name.removesuffix(".runs.jsonl") + ".alignment.parquet")
            return _alignments(frames, frames.stat().st_mtime_ns)[run_id].copy()
    raise KeyError(run_id)


def write(name: str, entries: dict[str, dict], alignments: dict[str, pd.DataFrame]) -> list[Path]:
    """Keep the figures of runs, by their ids, under ``name``; what was kept there before is replaced."""
    if set(entries) != set(alignments):
        raise ValueError(f"runs {sorted(set(entries) ^ set(alignments))} have an entry or alignments, not both")
    folder = paths.archive()
    folder.mkdir(parents=True, exist_ok=True)
    index, frames = folder / f"{name}.runs.jsonl", folder / f"{name}.alignment.parquet"
    order = sorted(entries)
    checkpoint.write_json_lines(index, [{"id": run_id} | entries[run_id] for run_id in order])
    packed = pd.concat([alignments[run_id].assign(run=run_id) for run_id in order], ignore_index=True)
    numbers = packed.select_dtypes("float").columns
    packed[numbers] = packed[numbers].round(DIGITS).astype("float32")
    whole = packed.select_dtypes("integer").columns
    packed[whole] = packed[whole].astype("int16")
    checkpoint.write(frames, lambda p: packed.to_parquet(p, index=False, compression="zstd"))
    return [index, frames]


def _indices() -> list[Path]:
    return sorted(paths.archive().glob("*.runs.jsonl"))


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
def _alignments(path: Path, changed: int) -> dict[str, pd.DataFrame]:
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
