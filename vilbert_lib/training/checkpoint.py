"""Files that appear whole or not at all, and the state from which a run goes on."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn


def write(path: Path, save: Callable[[Path], None]) -> None:
    """Let ``save`` write beside ``path``, then move the file into its place.

    A process that is killed, or a disk that is full, leaves the old file as it was.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        save(unfinished)
        with open(unfinished, "rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, values) -> None:
    """Write ``values`` as indented JSON."""
    write(path, lambda p: p.write_text(json.dumps(values, indent=1) + "\n"))


def write_json_lines(path: Path, rows: list[dict]) -> None:
    """Write one JSON value a line."""
    write(path, lambda p: p.write_text("".join(json.dumps(row) + "\n" for row in rows)))


def read_json_lines(path: Path) -> list[dict]:
    """Read a file of :func:`write_json_lines`; no file is no rows."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a tidy frame as parquet."""
    write(path, lambda p: frame.to_parquet(p, index=False))


def write_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights as safetensors."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write(path, lambda p: save_file(weights, p))


def read_weights(path: Path, model: nn.Module) -> None:
    """Load the weights of :func:`write_weights`; a ValueError lists what does not fit."""
    try:
        model.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        raise ValueError(f"{path} holds another architecture than the model: {error}") from error


def write_state(path: Path, state: dict) -> None:
    """Write a training state (tensors and plain values)."""
    write(path, lambda p: torch.save(state, p))


def read_state(path: Path) -> dict | None:
    """Read a training state; None: training starts afresh."""
    return torch.load(path, weights_only=True, map_location="cpu") if path.is_file() else None
