"""What the study of attributions measures on runs: made once a run, and kept beside it."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vilbert_lib import representations, runs
from vilbert_lib.attribution import entropy, faithfulness, methods, passes
from vilbert_lib.attribution.passes import Relevance
from vilbert_lib.data import formats
from vilbert_lib.data.datasets import Batch, PairDataset, batches
from vilbert_lib.model.attention import Attention, recording
from vilbert_lib.synthetic import evidence

BATCH = 32
WHOLE = -2  # in the column of layers: of all layers together


def entropies(run: runs.Run, data_root: Path, n: int, *, trained: bool) -> pd.DataFrame:
    """:func:`entropy.entropies` on ``n`` test samples, at the best epoch or before the first one.

    ``layer`` is where a co-attention block stands beside the self-attention: before the layer of that number.
    """

    def make() -> pd.DataFrame:
        model = _model(run, data_root, trained)
        parts = [entropy.entropies(model, part) for part in _parts(run, data_root, n)]
        return _numbered(parts)

    table = _named(run, _kept(run, "attention_entropy", make, n=n, trained=trained))
    ids = {"text asks": run.config.model.t_biattention_ids, "vision asks": run.config.model.v_biattention_ids}
    places = zip(table.kind, table["index"], strict=True)
    layers = [ids[kind][index] if kind in ids else index for kind, index in places]
    return table.assign(layer=layers, moment="trained" if trained else "untrained")


def curves(run: runs.Run, data_root: Path, n: int, levels: int) -> pd.DataFrame:
    """:func:`faithfulness.curves` of all methods on ``n`` test samples, for the class that the model takes.

    ``right`` says whether that is the sample's label, ``target`` which class it is.
    """

    def make() -> pd.DataFrame:
        model, several = run.model(data_root), _several(run, data_root)
        parts = []
        for part, found in zip(_parts(run, data_root, n), _attributed(run, data_root, n), strict=True):
            table = faithfulness.curves(model, part, found.relevance, several=several, levels=levels)
            parts.append(table.assign(**_answers(found, table["sample"])))
        return _numbered(parts)

    return _named(run, _kept(run, "faithfulness", make, n=n, levels=levels))


def pointing(run: runs.Run, data_root: Path, n: int, *, trained: bool = True) -> pd.DataFrame:
    """:func:`faithfulness.pointing` of all methods on the samples of :func:`curves`: synthetic data only.

    The classes that are explained are those that the trained model takes, before training too.
    """

    def make() -> pd.DataFrame:
        data, rows = _samples(run, data_root, n)
        boxes, task = evidence.boxes(data_root, run.config.task), run.config.task
        parts = []
        for start, part, found in zip(
            range(0, len(rows), BATCH),
            _parts(run, data_root, n),
            _attributed(run, data_root, n, trained),
            strict=True,
        ):
            records = [data.records[row] for row in rows[start : start + BATCH]]
            spans = [evidence.deciding_words(task, record.text) for record in records]
            deciding = data.tokenizer.covering([r.text for r in records], spans, run.config.model.max_tokens)
            patches = next(iter(found.relevance.values())).patches.shape[1]
            table = faithfulness.pointing(
                found.relevance,
                faithfulness.inside([boxes[record.img] for record in records], patches),
                deciding,
                passes.words_of(part["attention_mask"]).numpy(),
            )
            parts.append(table.assign(**_answers(found, table["sample"])))
        return _numbered(parts)

    return _named(run, _kept(run, "pointing", make, n=n, trained=trained))


def maps(run: runs.Run, data_root: Path, rows: list[int], *, trained: bool) -> pd.DataFrame:
    """Relevance of the true class of the test samples ``rows``, by every method, and by Grad-CAM layer by layer.

    Columns ``sample``, ``method``, ``layer`` (-1: embedding, ``WHOLE``: all), ``side``, ``place``, ``value``.
    """

    def make() -> pd.DataFrame:
        data, model = runs.dataset(run.config, data_root, "test"), _model(run, data_root, trained)
        several = _several(run, data_root)
        batch = next(batches(data, np.asarray(rows), len(rows)))
        target = None if several else batch["label"]
        found = methods.attribute(model, batch, data.tokenizer.mask_id, target, several=several)
        layers = methods.grad_cam_layers(passes.run_pass(model, batch, target, several=several))
        frames = [_long(whole, rows, method, WHOLE) for method, whole in found.items()]
        frames += [_long(layer, rows, "grad_cam", i) for i, layer in enumerate(layers, start=-1)]
        return pd.concat(frames, ignore_index=True)

    return _kept(run, "relevance_maps", make, rows=list(map(int, rows)), trained=trained)


def between(run: runs.Run, data_root: Path, rows: list[int]) -> pd.DataFrame:
    """By Chefer's rules what each word owes to each patch, and each patch to each word, for the true class.

    Columns ``sample``, ``side`` of those who owe, ``asker``, ``place`` of what it is owed to, ``value``.
    """

    def make() -> pd.DataFrame:
        data, model = runs.dataset(run.config, data_root, "test"), run.model(data_root)
        several = _several(run, data_root)
        batch = next(batches(data, np.asarray(rows), len(rows)))
        seen = passes.run_pass(model, batch, None if several else batch["label"], several=several)
        sides = zip(("words", "patches"), methods.chefer_between(seen), strict=True)
        frames = [
            _grid(values[i], ("asker", "place")).assign(side=side, sample=int(row))
            for side, values in sides
            for i, row in enumerate(rows)
        ]
        return pd.concat(frames, ignore_index=True)

    return _kept(run, "relevance_between", make, rows=list(map(int, rows)))


@torch.no_grad()
def looks(run: runs.Run, data_root: Path, rows: list[int], *, trained: bool = True) -> pd.DataFrame:
    """What every head of every attention looks at in the test samples ``rows``, mean over the asking tokens.

    Columns ``sample``, ``kind``, ``index``, ``head``, ``side`` of the keys, ``place``, ``value``; first tokens and
    padding are left out, so that values sum to less than 1.
    """

    def make() -> pd.DataFrame:
        data, model = runs.dataset(run.config, data_root, "test"), _model(run, data_root, trained)
        frames = []
        for row in rows:
            batch = data[int(row)]
            inputs = [batch[name][None] for name in ("input_ids", "attention_mask", "pixel_values")]
            with recording(model) as record:
                model(*inputs)
            words = passes.words_of(inputs[1])[0]
            frames += [frame.assign(sample=int(row)) for a in record for frame in _looked(a, words)]
        return pd.concat(frames, ignore_index=True)

    return _kept(run, "heads", make, rows=list(map(int, rows)), trained=trained)


def _looked(a: Attention, words: Tensor) -> list[pd.DataFrame]:
    seen, t = a.probabilities[0].mean(1), len(words)  # (heads, keys)
    match a.kind:
        case "text" | "vision asks":
            sides = {"words": seen * words}
        case "vision" | "text asks":
            sides = {"patches": seen[:, 1:]}
        case _:
            sides = {"words": seen[:, :t] * words, "patches": seen[:, t + 1 :]}
    return [
        _grid(values.numpy(), ("head", "place")).assign(kind=a.kind, index=a.index, side=side)
        for side, values in sides.items()
    ]


# What the tables share


class _Found(NamedTuple):
    """Relevances of a batch with the classes that they explain, and whether these are the labels."""

    relevance: dict[str, Relevance]
    target: np.ndarray
    right: np.ndarray


@lru_cache(maxsize=8)
def _attributed(run: runs.Run, data_root: Path, n: int, trained: bool = True) -> list[_Found]:
    model, several = run.model(data_root), _several(run, data_root)
    explained = model if trained else _model(run, data_root, trained)
    mask_id = runs.dataset(run.config, data_root, "test", analysis=True).tokenizer.mask_id
    found = []
    for part in _parts(run, data_root, n):
        with torch.no_grad():
            target = model(*passes.inputs_of(part, torch.device("cpu")))[0].argmax(1)
        label = part["label"]
        right = label.gather(1, target[:, None])[:, 0] == 1 if several else label == target
        by_method = methods.attribute(explained, part, mask_id, target, several=several)
        found.append(_Found(by_method, target.numpy(), right.numpy()))
    return found


def _kept(run: runs.Run, name: str, make: Callable[[], pd.DataFrame], **settings) -> pd.DataFrame:
    """The run's table, made with as many threads as the run was trained: small models lose time with more."""

    def measured() -> pd.DataFrame:
        threads = torch.get_num_threads()
        torch.set_num_threads(run.config.train.threads)
        try:
            return make()
        finally:
            torch.set_num_threads(threads)

    return run.table(name, measured, **settings)


def _answers(found: _Found, samples: pd.Series) -> dict[str, np.ndarray]:
    return {"target": found.target[samples], "right": found.right[samples]}


def _model(run: runs.Run, data_root: Path, trained: bool) -> nn.Module:
    return run.model(data_root) if trained else runs.build_model(run.config, data_root).eval()


def _several(run: runs.Run, data_root: Path) -> bool:
    return formats.task(run.config.task, data_root).kind == "multilabel"


def _samples(run: runs.Run, data_root: Path, n: int) -> tuple[PairDataset, np.ndarray]:
    data = runs.dataset(run.config, data_root, "test", analysis=True)
    return data, representations.sample_rows(data, n)


def _parts(run: runs.Run, data_root: Path, n: int) -> list[Batch]:
    data, rows = _samples(run, data_root, n)
    return list(batches(data, rows, BATCH))


def _numbered(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables of batches below one another, their samples counted on."""
    frames = [part.assign(sample=part["sample"] + i * BATCH) for i, part in enumerate(parts)]
    return pd.concat(frames, ignore_index=True)


def _named(run: runs.Run, table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(model=run.config.id, architecture=run.config.architecture, seed=run.config.seed)


def _long(relevance: Relevance, rows: list[int], method: str, layer: int) -> pd.DataFrame:
    frames = [
        _grid(values, ("sample", "place")).assign(side=side)
        for side, values in (("words", relevance.text), ("patches", relevance.patches))
    ]
    table = pd.concat(frames, ignore_index=True).assign(method=method, layer=layer)
    return table.assign(sample=np.asarray(rows, dtype=int)[table["sample"]])


def _grid(values: np.ndarray, names: tuple[str, str]) -> pd.DataFrame:
    """A matrix as a row an entry: where it stands, and its ``value``."""
    first, second = np.indices(values.shape)
    return pd.DataFrame({names[0]: first.ravel(), names[1]: second.ravel(), "value": values.astype(float).ravel()})
