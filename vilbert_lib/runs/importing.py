"""Weights of other programs as finished runs: names mapped by patterns, shapes checked, scores measured here."""

import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
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
RULES = ("rename", "ignore", "keep")  # what a map may hold
PREFIXES = ("module.", "_orig_mod.")  # of models that were wrapped for several GPUs, or compiled


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or of a checkpoint of torch, by name; no code of the file is run."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _torch_file(path)
    except Exception as error:  # libraries raise errors of many types for damaged files
        why = (
            error
            if isinstance(error, (ValueError, SafetensorError))
            else f"torch.save did not write it ({error!r})"
        )
        raise ValueError(f"{path} cannot be read as weights: {why}") from error
    while not all(isinstance(value, Tensor) for value in found.values()):
        inner = [found[key] for key in CONTAINERS if isinstance(found.get(key), Mapping)]
        if not inner:
            raise ValueError(
                f"{path} holds {', '.join(map(str, list(found)[:5]))}: none of {', '.join(CONTAINERS)}"
            )
        found = inner[0]
    if not found:
        raise ValueError(f"{path} holds no tensors: save the model's state_dict()")
    if numbered := [name for name in found if not isinstance(name, str)]:
        raise ValueError(f"{path} holds a tensor under {numbered[0]!r}: names are needed, as in a state_dict()")
    while any(all(name.startswith(prefix) for name in found) for prefix in PREFIXES):
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


def read_map(path: Path) -> dict[str, list]:
    """The rules of a map file, see :func:`mapped`; a ValueError names the file and the entry that is wrong."""
    try:
        rules = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}): save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(rules, Mapping):
        raise ValueError(f"{path} holds a {type(rules).__name__}: lists under {', '.join(RULES)} are needed")
    if unknown := sorted(map(str, set(rules) - set(RULES))):
        raise ValueError(f"{path}: the map holds {unknown[0]!r}; known: {', '.join(RULES)}")
    for name, entries in rules.items():
        if not isinstance(entries or [], list):
            raise ValueError(f"{path}: {name} {entries!r} is no list")
        for entry in entries or []:
            _check_rule(path, name, entry)
    return rules


def _check_rule(path: Path, name: str, entry: object) -> None:
    parts = entry if name == "rename" else [entry]
    if (
        not isinstance(parts, list)
        or len(parts) != 1 + (name == "rename")
        or not all(isinstance(p, str) for p in parts)
    ):
        form = "a pair [pattern, replacement]" if name == "rename" else "a pattern"
        raise ValueError(f"{path}: {name} holds {entry!r}: {form} is needed")
    try:
        re.compile(parts[0])
    except re.error as error:
        raise ValueError(f"{path}: {name} {parts[0]!r} is no regular expression: {error}") from error


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
    own, found, problems, named = model.state_dict(), {}, [], set()
    for name, value in weights.items():
        if any(re.match(pattern, name) for pattern in rules.get("ignore") or ()):
            continue
        target = _renamed(name, rules.get("rename") or ())
        said = name if target == name else f"{name} (as {target})"
        if target not in own:
            problems.append(f"{said} is not known")
        elif target in named:
            problems.append(f"{name} is a second {target}")
        elif own[target].shape != value.shape:
            problems.append(f"{said} has shape {tuple(value.shape)} instead of {tuple(own[target].shape)}")
        elif own[target].is_floating_point() and not (value.is_floating_point() and value.isfinite().all()):
            problems.append(f"{said} holds {value.dtype} that are not all finite real numbers")
        else:
            found[target] = value
        named.add(target)
    for name in own:
        if name not in named and not any(re.match(pattern, name) for pattern in rules.get("keep") or ()):
            problems.append(f"{name} is missing")
    if problems:
        more = f", and {len(problems) - 10} more" if len(problems) > 10 else ""
        hint = "" if rules else ". --map names a file with rename, ignore and keep"
        raise ValueError(f"the weights do not fit the model: {'; '.join(problems[:10])}{more}{hint}")
    return found


def _renamed(name: str, rename: Iterable[tuple[str, str]]) -> str:
    """``name`` as the first pair that matches its beginning makes it."""
    for pattern, replacement in rename:
        if re.match(pattern, name):
            try:
                return re.sub(pattern, replacement, name, count=1)
            except re.error as error:
                raise ValueError(f"rename {pattern!r}: {replacement!r} cannot be used: {error}") from error
    return name


def import_weights(path: Path, config: RunConfig, data_root: Path, map_file: Path | None = None) -> Run:
    """Make a finished run of the weights in ``path``, with scores on the data of ``config``.

    The run's id depends on the content of the file. It has no epochs but one, and no untrained model. A run that
    was imported before is returned as it is.
    """
    rules = read_map(map_file) if map_file else {}
    weights = read_state_dict(path)
    config = replace(config, start_from=f"{IMPORTED}{checkpoint.digest(path)[:16]}")
    run = Run(config)
    if run.trained:
        return run
    model = new_model(config, data_root)
    model.load_state_dict(mapped(weights, rules, model), strict=False)
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
