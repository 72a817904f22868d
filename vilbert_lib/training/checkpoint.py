"""Files that appear whole or not at all, and the state from which a run goes on."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from vilbert_lib.config import to_dict
from vilbert_lib.model.heads import Classifier, PretrainingModel


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


def write_json(path: Path, values) -> None:
    """Write ``values`` as indented JSON."""
    write(path, lambda p: p.write_text(json.dumps(values, indent=1) + "\n"))


def read_json(path: Path):
    """Read a file of :func:`write_json`."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise damaged(path, error) from error


def write_json_lines(path: Path, rows: list[dict]) -> None:
    """Write one JSON value a line."""
    write(path, lambda p: p.write_text("".join(json.dumps(row) + "\n" for row in rows)))


def read_json_lines(path: Path) -> list[dict]:
    """Read a file of :func:`write_json_lines`; no file is no rows. A ValueError names a broken line."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines() if path.is_file() else [], start=1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"{line[:40]!r} is no row")
            rows.append(row)
        except ValueError as error:
            raise damaged(path, f"line {number}, {error}") from error
    return rows


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a tidy frame as parquet."""
    write(path, lambda p: frame.to_parquet(p, index=False))


def read_frame(path: Path) -> pd.DataFrame:
    """Read a file of :func:`write_frame`."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def write_weights(path: Path, model: Classifier | PretrainingModel) -> None:
    """Write a model's weights as safetensors, and beside them the configuration of the model."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
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
    """Write a training state (tensors and plain values)."""

    def save(unfinished: Path) -> None:
        with open(unfinished, "wb") as file:  # given a path, torch does not tell why it cannot write
            torch.save(state, file)

    write(path, save)


def read_state(path: Path) -> dict | None:
    """Read a training state; None: training starts afresh."""
    if not path.is_file():
        return None
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, KeyError, ValueError, OSError, pickle.UnpicklingError) as error:
        if getattr(error, "filename", None):  # it cannot be opened
            raise
        why = (str(error) or "it is empty").splitlines()[0]
        raise ValueError(f"{path} is damaged: {why}; remove it, and the run starts from its beginning") from error
