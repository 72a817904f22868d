"""Files that appear whole or not at all and are verified when they are read, and the state to resume from."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vilbert_lib.config import to_dict
from vilbert_lib.model.heads import Classifier, PretrainingModel

DIGEST_BYTES = 32  # of the SHA-256 at the beginning of a training state


def write(path: Path, save: Callable[[Path], None]) -> None:
    """Let ``save`` write beside ``path``, then move the file into its place.

    A process that is killed, or a disk that is full, leaves the old file as it was. Raises OSError,
    which names ``path``, whatever the library that writes raises.
    """
    # A folder, as some libraries write under names of their own beside the one that they are given.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(exist_ok=True)
        save(unfinished / path.name)
        with open(unfinished / path.name, "rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished / path.name, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise OSError(f"{path} could not be written: {_cause(error)}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _cause(error: BaseException) -> BaseException:
    """The error of the disk from which ``error`` came, if there is one: torch tells of its positions only."""
    found = error
    while found is not None and not isinstance(found, OSError):
        found = found.__context__
    return found or error


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of :func:`write`; nobody may be writing in ``folder``."""
    for path in folder.glob(".*.unfinished"):
        shutil.rmtree(path, ignore_errors=True)


def damaged(path: Path, why) -> ValueError:
    """The error for a file of a run that cannot be used as it is."""
    return ValueError(f"{path} is damaged: {why}; remove {path.parent}, and the run is trained anew")


def digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(values) -> str:
    """The SHA-256 of plain JSON values, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def verify(path: Path, sha256: str) -> None:
    """Raise ValueError unless the file ``path`` has the digest that was recorded when it was written."""
    if not path.is_file():
        raise damaged(path, "the file is missing")
    if digest(path) != sha256:
        raise damaged(path, "its content is not what the run recorded")


def write_json(path: Path, values) -> None:
    """Write ``values`` as indented JSON."""
    write(path, lambda p: p.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8"))


def read_json(path: Path, sha256: str = ""):
    """Read a file of :func:`write_json`, after a check of its digest where one is given."""
    content = _content(path, sha256)
    try:
        return json.loads(content)
    except ValueError as error:
        raise damaged(path, error) from error


def write_summary(path: Path, summary: dict, run: str, names: tuple[str, ...]) -> None:
    """Write the summary of ``run`` with the digests of the files ``names`` of its folder, and of itself."""
    record = {"run": run, "files": {name: digest(path.with_name(name)) for name in names}}
    write_json(path, summary | {"record": record | {"sha256": digest_of([summary, record])}})


def read_summary(path: Path, run: str) -> tuple[dict, dict[str, str]]:
    """The summary of ``run`` and the digests of its files; ValueError where it is damaged or of another run."""
    summary = read_json(path)
    try:
        record = summary.pop("record")
        sha256 = record.pop("sha256")
        found, files = record["run"], record["files"]
    except (AttributeError, KeyError, TypeError) as error:
        raise damaged(path, f"it holds no digests ({error!r})") from error
    if digest_of([summary, record]) != sha256:
        raise damaged(path, "its content is not what the run recorded")
    if found != run:
        raise damaged(path, f"it belongs to run {found}")
    return summary, files


def write_json_lines(path: Path, rows: list[dict]) -> None:
    """Write one JSON value a line."""
    write(path, lambda p: p.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"))


def read_json_lines(path: Path, sha256: str = "") -> list[dict]:
    """Read a file of :func:`write_json_lines`; without a digest, no file is no rows.

    A ValueError names a broken line.
    """
    rows = []
    lines = _content(path, sha256).splitlines() if sha256 or path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"{line[:40]!r} is no row")
            rows.append(row)
        except ValueError as error:
            raise damaged(path, f"line {number}, {error}") from error
    return rows


def _content(path: Path, sha256: str) -> bytes:
    if sha256:
        verify(path, sha256)
    return path.read_bytes()


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a tidy frame as parquet."""
    write(path, lambda p: frame.to_parquet(p, index=False))


def read_frame(path: Path, sha256: str = "") -> pd.DataFrame:
    """Read a file of :func:`write_frame`, after a check of its digest where one is given."""
    content = _content(path, sha256)
    try:
        return pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # of damaged bytes pyarrow and pandas raise errors of many types
        raise damaged(path, error) from error


def write_table(folder: Path, run: str, key: str, frame: pd.DataFrame) -> None:
    """Write the table ``key`` that was derived from ``run``; its file's name ends in the digest of its content."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    content = buffer.getvalue()
    name = f"{key}.{_table_digest(run, key, content)}.parquet"
    write(folder / name, lambda p: p.write_bytes(content))
    for earlier in folder.glob(f"{key}.*parquet"):
        if earlier.name != name:
            earlier.unlink(missing_ok=True)


def read_tables(folder: Path, run: str, key: str = "*") -> dict[str, pd.DataFrame]:
    """The tables of :func:`write_table` by key; a ValueError names one that is damaged or of another run."""
    tables = {}
    for path in sorted(folder.glob(f"{key}-*.parquet" if key == "*" else f"{key}.*parquet")):
        name, _, recorded = path.name.removesuffix(".parquet").partition(".")
        content = path.read_bytes()
        if recorded != _table_digest(run, name, content):
            raise ValueError(f"{path} is damaged or of another run: remove this file, and the table is made anew")
        tables[name] = pd.read_parquet(io.BytesIO(content))
    return tables


def _table_digest(run: str, key: str, content: bytes) -> str:
    return hashlib.sha256(f"{run} {key}\n".encode() + content).hexdigest()[:16]


def write_weights(
    path: Path, model: Classifier | PretrainingModel, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write a model's weights, or ``weights`` it had before, as safetensors with the model's configuration."""
    found = (model.state_dict() if weights is None else weights).items()
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in found}
    described = {"model": json.dumps(to_dict(model.vilbert.config))}
    write(path, lambda p: save_file(weights, p, metadata=described))


def read_weights(path: Path, model: Classifier | PretrainingModel) -> None:
    """Load the weights of :func:`write_weights`; a ValueError lists what does not fit.

    Models whose co-attention lies elsewhere have tensors of the same names and shapes: the
    configurations are compared as well.
    """
    try:
        with safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {}).get("model", "{}"))
        weights = load_file(path)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise damaged(path, error) from error
    own = to_dict(model.vilbert.config)
    if differing := [name for name in own if found and found.get(name) != own[name]]:
        raise ValueError(f"{path} holds another architecture than the model: {', '.join(differing)} differ")
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ValueError(f"{path} holds another architecture than the model: {error}") from error


def write_state(path: Path, state: dict) -> None:
    """Write a training state (tensors and plain values) after the digest of its bytes."""

    def save(unfinished: Path) -> None:
        with open(unfinished, "w+b") as file:  # given a path, torch does not tell why it cannot write
            file.write(bytes(DIGEST_BYTES))
            torch.save(state, file)
            file.seek(DIGEST_BYTES)
            sha256 = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            file.write(sha256)

    write(path, save)


def read_state(path: Path) -> dict | None:
    """Read a training state; None: training starts afresh."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
        raise ValueError(
            f"{path} is damaged: its content is not what was written;"
            " remove it, and the run starts from its beginning"
        )
    return torch.load(io.BytesIO(content[DIGEST_BYTES:]), weights_only=True, map_location="cpu")


# What is recorded of every epoch: metrics in ``metrics.jsonl``, alignments in ``alignment.parquet``.


def record_metrics(folder: Path, epoch: int, metrics: dict[str, float]) -> None:
    """Put ``metrics`` (those of ``epoch``) in place of what was known of it and after."""
    rows = [*metrics_before(folder, epoch), {"epoch": epoch, **metrics}]
    write_json_lines(folder / "metrics.jsonl", rows)


def metrics_before(folder: Path, epoch: int) -> list[dict]:
    """What was recorded of the epochs before ``epoch``; a ValueError where one is missing."""
    path = folder / "metrics.jsonl"
    rows = [row for row in read_json_lines(path) if row.get("epoch", epoch) < epoch]
    if [row["epoch"] for row in rows] != list(range(epoch)):
        raise _incomplete(path, epoch)
    return rows


def record_alignment(folder: Path, epoch: int, frame: pd.DataFrame) -> None:
    """Put ``frame`` (the alignments of ``epoch``) in place of what was known of it and after."""
    path = folder / "alignment.parquet"
    if epoch:
        known = read_frame(path)
        known = known[known.epoch < epoch]
        if set(known.epoch) != set(range(epoch)):
            raise _incomplete(path, epoch)
        frame = pd.concat([known, frame], ignore_index=True)
    write_frame(path, frame)


def digests_before(folder: Path, epoch: int) -> dict[str, str]:
    """A digest of what each file has recorded of the epochs before ``epoch``."""
    known = read_frame(folder / "alignment.parquet")
    known = known[known.epoch < epoch]
    kinds = [f"{name} {kind}" for name, kind in known.dtypes.items()]
    rows = pd.util.hash_pandas_object(known, index=False).tolist()
    return {
        "metrics.jsonl": digest_of(metrics_before(folder, epoch)),
        "alignment.parquet": digest_of([kinds, rows]),
    }


def _incomplete(path: Path, epoch: int) -> ValueError:
    return damaged(path, f"not all of the epochs 0..{epoch - 1} are in it")
