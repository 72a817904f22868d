"""Measured for the open questions on the model: its residual path, its first tokens, the image passed twice.

Features are those of ``layer_features`` with ``embeddings``: ``t-1`` and ``v-1`` are the embeddings, ``t0`` and
``v0`` follow layer 0. ``pooled`` maps poolings (``cls``, ``mean``, ``full_seq``) to such features of one model.
A layer that is the same for all samples, as the first tokens of the embeddings are, has no alignment: NaN.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vilbert_lib import stats as statistics
from vilbert_lib.representations import measure_pairs, paired_names
from vilbert_lib.stats import findings

Features = Mapping[str, Tensor]

STREAMS = {"t": "text", "v": "vision"}
MODELS = {  # changes of the model by its name in the notebook
    "ours": {},
    "no residual": {"residual": "none"},
    "normed residual": {"residual": "normed"},
    "reads the mean": {"pooling": "mean"},
    "image passed twice": {"vision_passes": 2},
}


def tokens_of(full: Features, widths: tuple[int, int]) -> pd.DataFrame:
    """What the tokens of each state are like, from ``full_seq`` features of streams ``widths`` wide.

    Columns ``stream``, ``layer``, ``norm`` (root mean square over tokens and samples) and ``cosine`` (mean
    between two tokens of one sample).
    """
    rows = []
    for name, flat in full.items():
        tokens = flat.double().unflatten(1, (-1, widths[name[0] == "v"]))
        norms = tokens.norm(dim=-1)
        counts = (norms > 0).sum(1)  # padding is zeros
        directions = tokens / norms.clamp_min(1e-30)[..., None]
        pairs = directions.sum(1).square().sum(-1) - counts
        cosines = (pairs / (counts * (counts - 1)))[counts > 1]
        norm = float((norms.square().sum() / counts.sum()).sqrt())
        rows.append(_place(name) | {"norm": norm, "cosine": float(cosines.mean())})
    return pd.DataFrame(rows)


def origins(full: Features, measure: str, k: int = 10) -> pd.DataFrame:
    """How alike each state is to the embedding of its own stream and to that of the other.

    Columns ``stream``, ``layer``, ``embedding`` (``own`` or ``other``), ``value``.
    """
    asked = [
        (_place(name) | {"embedding": whose}, name, f"{stream}-1")
        for name in full
        for whose, stream in (("own", name[0]), ("other", "v" if name[0] == "t" else "t"))
    ]
    return _alike(full, asked, measure, k)


def first_tokens(cls: Features) -> pd.DataFrame:
    """How much the first token differs between samples, and how far a layer moves it.

    Columns ``stream``, ``layer``, ``spread`` (deviation over samples beside the root mean square norm, 0: the
    same in all samples, at most 1) and ``moved`` (mean length of the step from the state before, beside it).
    """
    rows = []
    for name, x in cls.items():
        before = cls.get(f"{name[0]}{_place(name)['layer'] - 1}")
        step = np.nan if before is None else float(((x - before).norm(dim=1) / before.norm(dim=1)).mean())
        rows.append(_place(name) | {"spread": _spread(x), "moved": step})
    return pd.DataFrame(rows)


def within_streams(pooled: Mapping[str, Features], measure: str, k: int = 10) -> pd.DataFrame:
    """How alike two poolings of the same state are: columns ``stream``, ``layer``, ``pair``, ``value``."""
    features = {f"{how} {name}": x for how, layers in pooled.items() for name, x in layers.items()}
    asked = [
        (_place(name) | {"pair": f"{a} and {b}"}, f"{a} {name}", f"{b} {name}")
        for a, b in combinations(pooled, 2)
        for name in pooled[a]
    ]
    return _alike(features, asked, measure, k)


def across_streams(pooled: Mapping[str, Features], measure: str, k: int = 10) -> pd.DataFrame:
    """Alignment of the text and vision states at the same relative depth, for every pair of poolings.

    Columns ``text_pooling``, ``vision_pooling``, ``layer`` (of the deeper stream, -1: embeddings), ``value``.
    """
    features = {f"{how} {name}": x for how, layers in pooled.items() for name, x in layers.items()}
    names = list(next(iter(pooled.values())))
    pairs = list(enumerate(paired_names(names)))
    if "t-1" in names:
        pairs = [(-1, ("t-1", "v-1")), *pairs]
    asked = [
        ({"text_pooling": a, "vision_pooling": b, "layer": layer}, f"{a} {text}", f"{b} {vision}")
        for a, b in product(pooled, repeat=2)
        for layer, (text, vision) in pairs
    ]
    return _alike(features, asked, measure, k)


def readable(pooled: Mapping[str, Features], labels: np.ndarray) -> pd.DataFrame:
    """How well the label can be read from each state: R2 of a ridge regression on samples left out.

    ``labels`` are (n,) class numbers or (n, classes) zeros and ones. Columns ``pooling``, ``stream``, ``layer``,
    ``value`` (at most 1; 0 and below: no better than the mean). A state that is constant has the value 0.
    A ValueError where a sample has no label.
    """
    if (labels < 0).any():
        raise ValueError(f"{(labels < 0).sum()} of the labels are -1: each sample needs one")
    wanted = np.eye(labels.max() + 1)[labels] if labels.ndim == 1 else labels
    frames = []
    for how, layers in pooled.items():
        asked = [(_place(name) | {"pooling": how}, name, "label") for name in layers]
        features = {**layers, "label": torch.as_tensor(wanted, dtype=torch.float32)}
        frames.append(_alike(features, asked, "r2").fillna({"value": 0.0}))
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def reach(model, batch: Mapping[str, Tensor], patch_size: int) -> pd.DataFrame:
    """Share of the image's tokens that another first patch changes: columns ``layer`` and ``share``.

    ``model`` gives the states of a ``batch``. A patch embedding knows its own patch alone: 1 of the tokens.
    """
    texts, pixels = (batch["input_ids"], batch["attention_mask"]), batch["pixel_values"]
    changed = pixels.clone()
    changed[:, :, :patch_size, :patch_size] += 1
    before, after = (model(*texts, image).vision_states for image in (pixels, changed))
    shares = [float((a != b).any(-1).float().mean()) for a, b in zip(before, after, strict=True)]
    return pd.DataFrame({"layer": range(-1, len(shares) - 1), "share": shares})


def best_poolings(across: pd.DataFrame, first_layer: int = 0) -> pd.DataFrame:
    """Which poolings of the two streams are the most alike, from :func:`across_streams` of every ``seed``.

    One row a pair of poolings: mean over the layers from ``first_layer`` on with Student's interval over seeds,
    and in how many of them (``best in layers``) the pair is the most alike of all, by its mean over seeds. Before
    the streams have met all pairs are alike by chance alone, and which is best means nothing.
    """
    layers, pair = across[across.layer >= first_layer], ["text_pooling", "vision_pooling"]
    by_seed = layers.groupby([*pair, "seed"], sort=False).value.mean().reset_index()
    by_layer = layers.groupby(["layer", *pair], sort=False).value.mean().unstack("layer")
    table = statistics.over_seeds(by_seed, pair, "value").drop(columns="seeds").set_index(pair)
    counts = by_layer.dropna(axis=1, how="all").idxmax().value_counts()
    return table.assign(**{"best in layers": counts.reindex(table.index, fill_value=0)})


def beside(looks: Mapping[str, pd.DataFrame], models: list[str], against: str) -> pd.DataFrame:
    """What several quantities say of ``models`` beside the model ``against``.

    A table of ``looks`` has the columns ``model``, ``seed``, ``value``; several rows of a seed are averaged.
    One row a quantity and model: its ``mean`` over seeds with Student's 95 % interval (``low``, ``high``), its
    mean ``difference`` from ``against`` with the same seed and that one's interval (``from``, ``to``), whether
    the latter excludes zero (``apart``), and with how many of the seeds the difference is positive (``higher``).
    """
    frames = []
    for name, table in looks.items():
        rows = table[table.model.isin([against, *models])]
        means = rows.groupby(["model", "seed"], sort=False).value.mean().reset_index()
        steps = statistics.differences(means, "value", of="model", against=against)
        found, apart = (
            statistics.over_seeds(values, ["model"], "value", within).set_index("model")
            for values, within in (
                (means, statistics.range_of(name)),
                (steps, statistics.range_of(name, difference=True)),
            )
        )
        found[["difference", "from", "to"]] = apart[["mean", "low", "high"]].reindex(found.index)
        found["higher"] = (steps.value > 0).groupby(steps.model).sum().reindex(found.index, fill_value=0)
        frames.append(found.drop(columns="seeds").loc[[against, *models]])
    table = pd.concat(frames, keys=looks, names=["look at"])
    return table.assign(apart=(table["from"] > 0) | (table["to"] < 0))


#: What the columns of :func:`beside` are called in a table.
BESIDE = {
    "difference": "difference from ours",
    "from": "difference: from",
    "to": "difference: to",
    "apart": "interval excludes zero",
    "higher": "seeds above ours",
    "look at": "quantity",
}


def _place(name: str) -> dict[str, object]:
    return {"stream": STREAMS[name[0]], "layer": int(name[1:])}


def _spread(x: Tensor) -> float:
    x = x.double()
    return float((x - x.mean(0)).square().sum(1).mean().sqrt() / x.square().sum(1).mean().sqrt().clamp_min(1e-30))


def _alike(features: Features, asked: list[tuple[dict, str, str]], measure: str, k: int = 10) -> pd.DataFrame:
    """``measure`` of the pairs in ``asked``, (columns, x, y): one row each; NaN where a side is constant."""
    values = measure_pairs(features, [measure], k, [(x, y) for _, x, y in asked]).value
    return pd.DataFrame([columns | {"value": value} for (columns, _, _), value in zip(asked, values, strict=True)])


def of_numbers(table: pd.DataFrame, models: list[str], *, digits: int = 3) -> Iterator[dict]:
    """Findings on how models differ from ours in every quantity of :func:`beside`.

    Parameters
    ----------
    table : pandas.DataFrame
        Result of :func:`beside`, against ``ours``.
    models : list of str
        Those that are reported.
    """
    for (quantity, model), row in table.iterrows():
        if model in models:
            share = quantity == "test accuracy"
            scale = 100 if share else 1
            yield findings.finding(
                f"{model}: does it differ from ours in {quantity or 'alignment'}?",
                f"{model.capitalize()} differs from ours in {quantity or 'alignment'} by {{}}.",
                scale * row.difference,
                scale * row["from"],
                scale * row["to"],
                margin=2 if share else 0.02,
                unit="points" if share else "",
                digits=1 if share else digits,
            )


def of_first_tokens(pairs: pd.DataFrame, layers: int) -> dict:
    """Finding on whether the first tokens are the most aligned poolings, from :func:`best_poolings`."""
    best = int(pairs.loc[("cls", "cls"), "best in layers"])
    leading = pairs["best in layers"].idxmax()
    return findings.finding(
        "Are the two first tokens the most aligned of the nine pairs of poolings?",
        f"They are in {best} of {layers} layers after the first block; the text's {leading[0]} with the image's"
        f" {leading[1]} in {int(pairs['best in layers'].max())}.",
        decided="supported" if best > layers / 2 else "inconclusive",
        n=layers,
    )
