"""Results of finished runs, without their weights, in few files that are kept with the code.

A study whose runs are all in the archive is made again without training. For each name there are
``<name>.runs.jsonl``, a line a run with its configuration, environment, summary and epochs,
``<name>.training_alignment.parquet`` with the alignment that was logged during training, a file for each table
that was measured on the models (``Run.alignment``, ``Run.table``), and ``<name>.digests.json``, which lists these
files with the SHA-256 of each. It is written last; a file that it does not list, or lists otherwise, is not used.
"""

import io
import json
import tempfile
from functools import cache
from pathlib import Path

import pandas as pd

from vilbert_lib import paths
from vilbert_lib.files import version
from vilbert_lib.training import checkpoint

DIGITS = 4  # of an alignment, after the point: far below what seeds and samples change


def find(run_id: str) -> dict | None:
    """What is kept of a run: ``config``, ``env``, ``summary`` and ``metrics``; None where it is not there."""
    name = _name_of(run_id)
    return _entries(name)[run_id] if name else None


def ids(name: str) -> list[str]:
    """The ids of the runs that are kept under ``name``."""
    return list(_entries(name)) if name in _names() else []


def every_id() -> list[str]:
    """The ids of all runs that are kept."""
    return [run_id for name in _names() for run_id in _entries(name)]


def table(run_id: str, key: str) -> pd.DataFrame | None:
    """The table ``training_alignment`` of a run, or one that was measured, by key; None where there is none."""
    name = _name_of(run_id)
    if not name or f"{name}.{key}.parquet" not in _digests(name):
        return None
    found = _tables(name, key).get(run_id)
    return None if found is None else found.copy()


def tables(run_id: str) -> dict[str, pd.DataFrame]:
    """All tables that were measured on a run, by key."""
    if not (name := _name_of(run_id)):
        return {}
    files = (file.removeprefix(f"{name}.") for file in _digests(name) if file.endswith(".parquet"))
    found = {file.removesuffix(".parquet"): table(run_id, file.removesuffix(".parquet")) for file in files}
    return {key: frame for key, frame in found.items() if key != "training_alignment" and frame is not None}


def write(name: str, entries: dict[str, dict], tables: dict[str, dict[str, pd.DataFrame]]) -> list[Path]:
    """Keep the results of runs under ``name``; what was kept there before is replaced.

    ``entries`` are by the runs' ids, ``tables`` by key and then id. Every run must have a ``training_alignment``.
    Nothing is replaced before all files are written: first the tables, then the runs, the digests last.
    """
    if lacking := sorted(set(entries) ^ set(tables["training_alignment"])):
        raise ValueError(f"runs {lacking} have an entry or a training_alignment, not both")
    folder = paths.archive()
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.{key}.parquet": key for key in sorted(tables)}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as place:
        unfinished = Path(place)
        for file, key in files.items():
            packed = _packed(tables[key], DIGITS if "alignment" in key else None)
            checkpoint.write(
                unfinished / file, lambda p, packed=packed: packed.to_parquet(p, index=False, compression="zstd")
            )
        index, digests = f"{name}.runs.jsonl", f"{name}.digests.json"
        checkpoint.write_json_lines(unfinished / index, [{"id": i} | entries[i] for i in sorted(entries)])
        listed = {file: checkpoint.digest(unfinished / file) for file in (*files, index)}
        checkpoint.write_json(unfinished / digests, {"files": listed, "sha256": checkpoint.digest_of(listed)})
        for file in (*files, index, digests):
            (unfinished / file).replace(folder / file)
    return [folder / file for file in (index, *files, digests)]


def _packed(tables: dict[str, pd.DataFrame], digits: int | None) -> pd.DataFrame:
    packed = pd.concat([tables[run_id].assign(run=run_id) for run_id in sorted(tables)], ignore_index=True)
    return _as_types(packed if digits is None else packed.round(digits), "float32", "int32")


def _names() -> list[str]:
    return sorted(path.name.removesuffix(".digests.json") for path in paths.archive().glob("*.digests.json"))


def _name_of(run_id: str) -> str:
    """The name under which the run is kept; empty where it is not."""
    return next((name for name in _names() if run_id in _entries(name)), "")


def _digests(name: str) -> dict[str, str]:
    path = paths.archive() / f"{name}.digests.json"
    return _parsed_digests(path, _version(path))


def _entries(name: str) -> dict[str, dict]:
    return _parsed_entries(*_listed(name, "runs.jsonl"))


def _tables(name: str, key: str) -> dict[str, pd.DataFrame]:
    return _parsed_tables(*_listed(name, f"{key}.parquet"))


def _listed(name: str, ending: str) -> tuple[Path, str, tuple[int, ...]]:
    """A file of the archive, its recorded SHA-256, and its version, with which it is read once a process."""
    path = paths.archive() / f"{name}.{ending}"
    return path, _digests(name)[path.name], _version(path)


def _version(path: Path) -> tuple[int, ...]:
    if not path.is_file():
        raise _damaged(path, "it is missing")
    return version(path)


def _damaged(path: Path, why) -> ValueError:
    return ValueError(f"{path} is damaged: {why}; restore the files of this folder, which are kept with the code")


def _content(path: Path, sha256: str) -> bytes:
    if checkpoint.digest(path) != sha256:
        raise _damaged(path, "its SHA-256 is not the one that the archive lists")
    return path.read_bytes()


@cache
def _parsed_digests(path: Path, _: tuple[int, ...]) -> dict[str, str]:
    try:
        values = json.loads(path.read_bytes())
        if values["sha256"] != checkpoint.digest_of(values["files"]):
            raise ValueError("its own SHA-256 is another")
        if path.name.replace(".digests.json", ".runs.jsonl") not in values["files"]:
            raise ValueError("it lists the files of another name")
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error
    return values["files"]


@cache
def _parsed_entries(path: Path, sha256: str, _: tuple[int, ...]) -> dict[str, dict]:
    rows = map(json.loads, _content(path, sha256).splitlines())
    return {row.pop("id"): row for row in rows}


@cache
def _parsed_tables(path: Path, sha256: str, _: tuple[int, ...]) -> dict[str, pd.DataFrame]:
    packed = _as_types(pd.read_parquet(io.BytesIO(_content(path, sha256))), "float64", "int64")
    groups = packed.groupby("run", sort=False)
    return {run_id: rows.drop(columns="run").reset_index(drop=True) for run_id, rows in groups}


def _as_types(frame: pd.DataFrame, real: str, whole: str) -> pd.DataFrame:
    """``frame`` with all real numbers of the type ``real`` and all whole ones of the type ``whole``."""
    kinds = {"float": real, "integer": whole}
    return frame.astype({name: kind for group, kind in kinds.items() for name in frame.select_dtypes(group)})
