"""Weights of other programs as finished runs: names mapped by patterns, shapes checked, scores measured here."""

import pickle
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from vilbert_lib.config import RunConfig, to_dict
from vilbert_lib.data import formats
from vilbert_lib.files import locked
from vilbert_lib.model.heads import Classifier
from vilbert_lib.representations import log_alignment
from vilbert_lib.runs.inputs import dataset
from vilbert_lib.runs.machine import environment
from vilbert_lib.runs.store import FILES, IMPORTED, Run, new_model
from vilbert_lib.training import checkpoint, processes
from vilbert_lib.training.finetune import evaluate

CONTAINERS = ("state_dict", "model_state_dict", "model")  # keys under which training programs store the weights
PREFIXES = ("module.", "_orig_mod.")  # of models that were wrapped for several GPUs, or compiled


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or of a checkpoint of torch, by name; no code of the file is run."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _torch_file(path)
    except Exception as error:  # libraries raise errors of many types for damaged files
        raise ValueError(f"{path} cannot be read as weights: {error}") from error
    while not all(isinstance(value, Tensor) for value in found.values()):
        inner = [found[key] for key in CONTAINERS if isinstance(found.get(key), Mapping)]
        if not inner:
            raise ValueError(
                f"{path} holds {', '.join(map(str, list(found)[:5]))}: none of {', '.join(CONTAINERS)}"
            )
        found = inner[0]
    while found and any(all(name.startswith(prefix) for name in found) for prefix in PREFIXES):
        found = {name.partition(".")[2]: value for name, value in found.items()}
    return dict(found)


def _torch_file(path: Path) -> dict:
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise ValueError("not a checkpoint of tensors and plain values: save its state_dict() alone") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__} instead of a state dict")
    return dict(content)


def mapped(
    weights: Mapping[str, Tensor], rules: Mapping[str, object], model: torch.nn.Module
) -> dict[str, Tensor]:
    """The weights under the names of ``model``.

    Parameters
    ----------
    weights : mapping
        Tensors by their own names.
    rules : mapping
        ``rename``: list of pairs (regular expression, replacement), of which the first that matches at the
        beginning of a name is used; ``ignore``: expressions for names that are left out; ``keep``: expressions
        for names of ``model`` that may be missing, and keep the values of the seed.
    model : torch.nn.Module
        The model that is to have them.

    Raises
    ------
    ValueError
        That lists names that are missing, not known, given twice, or of another shape.
    """
    if unknown := sorted(set(rules) - {"rename", "ignore", "keep"}):
        raise ValueError(f"the map holds {unknown[0]!r}; known: rename, ignore, keep")
    own, found, problems = model.state_dict(), {}, []
    for name, value in weights.items():
        if any(re.match(pattern, name) for pattern in rules.get("ignore") or ()):
            continue
        target = name
        for pattern, replacement in rules.get("rename") or ():
            if re.match(pattern, name):
                target = re.sub(pattern, replacement, name, count=1)
                break
        if target not in own:
            problems.append(f"{name} (as {target}) is not known")
        elif target in found:
            problems.append(f"{name} is a second {target}")
        elif own[target].shape != value.shape:
            problems.append(f"{name} has shape {tuple(value.shape)}, {target} {tuple(own[target].shape)}")
        else:
            found[target] = value
    for name in own:
        if name not in found and not any(re.match(pattern, name) for pattern in rules.get("keep") or ()):
            problems.append(f"{name} is missing")
    if problems:
        more = f", and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"the weights do not fit the model: {'; '.join(problems[:10])}{more}")
    return found


def import_weights(path: Path, config: RunConfig, data_root: Path, map_file: Path | None = None) -> Run:
    """Make a finished run of the weights in ``path``, with scores on the data of ``config``.

    The run's id depends on the content of the file. It has no epochs but one, and no untrained model. A run that
    was imported before is returned as it is.
    """
    rules = yaml.safe_load(map_file.read_text(encoding="utf-8")) if map_file else {}
    config = replace(config, start_from=f"{IMPORTED}{checkpoint.digest(path)[:16]}")
    run = Run(config)
    if run.trained:
        return run
    model = new_model(config, data_root)
    model.load_state_dict(mapped(read_state_dict(path), rules or {}, model), strict=False)
    run.folder.mkdir(parents=True, exist_ok=True)
    with locked(run.lock, f"importing {config.id}"):
        summary = _evaluated(model, config, data_root, run.folder)
        checkpoint.write_json(run.folder / "config.json", to_dict(config))
        checkpoint.write_json(run.folder / "env.json", environment())
        checkpoint.write_weights(run.folder / "model.safetensors", model)
        checkpoint.write_summary(run.folder / "summary.json", summary | {"imported": path.name}, config.id, FILES)
    return run


def _evaluated(model: Classifier, config: RunConfig, data_root: Path, folder: Path) -> dict:
    task = formats.task(config.task, data_root)
    model = model.to(processes.device()).eval()
    data = {split: dataset(config, data_root, split) for split in ("train", "val", "test")}
    values = evaluate(model, data["val"], kind=task.kind, prefix="val", n=config.train.n_eval)
    checkpoint.record_metrics(folder, 0, values)
    checkpoint.record_alignment(folder, 0, log_alignment(model.vilbert, data["test"], epoch=0, split="test"))
    return {
        "best_epoch": 0,
        "select": "none",
        **{name: value for name, value in values.items() if name != "val_loss"},
        **evaluate(model, data["test"], kind=task.kind, prefix="test"),
        **{f"n_{split}": len(pairs) for split, pairs in data.items()},
        "skipped": sum(len(pairs.problems) for pairs in data.values()),
        "seconds": 0.0,
    }
