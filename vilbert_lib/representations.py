"""Features of every layer of both streams, and how alike they are."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from vilbert_lib.config import AlignmentConfig, choose
from vilbert_lib.data.datasets import Batch, PairDataset, batches, epoch_order
from vilbert_lib.features import extract
from vilbert_lib.metrics import MEASURES, InfluenceWarning, TiedNeighboursWarning, alignment_grid
from vilbert_lib.model.streams import Output, Streams

CHANCE = ["chance", "chance_sd", "p", "chance_best", "p_best"]
COLUMNS = [
    "epoch",
    "split",
    "text_layer",
    "vision_layer",
    "x",
    "y",
    "kind",
    "measure",
    "k",
    "n_samples",
    "value",
    *CHANCE,
]
LOG_COLUMNS = ["epoch", "split", "text_layer", "vision_layer", "measure", "k", "n_samples", "value"]
LOGGED = AlignmentConfig(measures=("unbiased_cka", "mknn"))  # after every epoch, of the paired layers
PERMUTATIONS = 50  # of the samples of one side, for chance levels that have no closed form
CONSTANT = 1e-6  # share of a layer's root mean square below which what differs between samples is rounding


def sample_rows(data: PairDataset, n: int) -> np.ndarray:
    """Up to ``n`` samples of ``data``, one an image, the same ones at every call.

    Several texts of one image would make rows that are not exchangeable, and alignment would
    seem to be there by chance.
    """
    order = epoch_order(len(data), 0, 0)
    _, first = np.unique(data.image_of[order], return_index=True)
    return order[np.sort(first)][:n]


def layer_features(
    model: Streams,
    data: PairDataset,
    rows: np.ndarray,
    pooling: str = "cls",
    batch_size: int = 128,
    *,
    embeddings: bool = False,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor]:
    """Features (n, width) of the samples ``rows`` after every layer: ``t0`` ... and ``v0`` ...

    ``pooling`` is ``cls`` (the first token), ``mean`` (over the other tokens, padding left out) or
    ``full_seq`` (all tokens one behind the other, padding as zeros: (n, tokens * width), words in places
    up to ``max_tokens``). Vision features are those before ViT's final LayerNorm. With ``embeddings``
    those of the embeddings stand first, as ``t-1`` and ``v-1``. They are collected on ``device``. The model is
    left in the mode, training or not, in which it came.
    """
    choose("pooling", pooling, ("cls", "mean", "full_seq"))

    def states(output: Output, batch: Batch) -> dict[str, tuple[Tensor, Tensor | None]]:
        streams = (("t", output.text_states, batch["attention_mask"]), ("v", output.vision_states, None))
        return {
            f"{stream}{layer}": (state, content)
            for stream, of_layers, content in streams
            for layer, state in list(enumerate(of_layers, start=-1))[0 if embeddings else 1 :]
        }

    def whole_sequence(state: Tensor, content: Tensor | None) -> Tensor:
        return _in_places(state, content, model.config.max_tokens)

    how = whole_sequence if pooling == "full_seq" else pooling
    return extract(model, batches(data, rows, batch_size), states, pool=how, prefix_tokens=1, device=device).layers


def _in_places(state: Tensor, content: Tensor | None, max_tokens: int) -> Tensor:
    """All tokens of ``state`` (B, N, D) in a row; words, that have ``content``, get ``max_tokens`` places."""
    if content is not None:
        state = F.pad(state * content[..., None], (0, 0, 0, max_tokens - state.shape[1]))
    return state.flatten(1)


def paired_layers(text_layers: int, vision_layers: int) -> list[tuple[int, int]]:
    """Pairs of a text and a vision layer at the same relative depth, first to last.

    Every layer of the deeper stream, of N layers, is in one pair: its layer i with layer
    ``max(round((i + 1) * M / N) - 1, 0)`` of the other stream, of M layers, where halves are rounded up. The
    first layers are a pair, and so are the last; streams of equal depth are paired layer by layer.

    Parameters
    ----------
    text_layers, vision_layers : int
        Number of layers of each stream, at least 1.

    Returns
    -------
    list of (text layer, vision layer)
        Layer numbers from 0, one pair for each layer of the deeper stream.

    Examples
    --------
    >>> paired_layers(2, 4)
    [(0, 0), (0, 1), (1, 2), (1, 3)]
    """
    depth = max(text_layers, vision_layers)

    def nearest(layer: int, layers: int) -> int:
        return max((2 * (layer + 1) * layers + depth) // (2 * depth) - 1, 0)

    return [(nearest(i, text_layers), nearest(i, vision_layers)) for i in range(depth)]


def paired_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """The :func:`paired_layers` among ``names`` such as ``t0`` and ``v0``, those of :func:`layer_features`."""
    names = list(names)
    depths = (1 + max(int(name[1:]) for name in names if name[0] == stream) for stream in "tv")
    return [(f"t{text}", f"v{vision}") for text, vision in paired_layers(*depths)]


def is_paired(alignment: pd.DataFrame) -> np.ndarray:
    """Whether each row of one run's ``alignment`` compares :func:`paired_layers`."""
    across = alignment[["text_layer", "vision_layer"]]  # -1 in comparisons within a stream
    return pd.MultiIndex.from_frame(across).isin(paired_layers(*(across.max() + 1)))


def is_constant(features: Tensor) -> bool:
    """Whether features (n, d) are equal in all samples, up to rounding in float32."""
    x = features.double()
    spread = (x - x.mean(0)).square().mean().sqrt()
    return bool(spread <= CONSTANT * x.square().mean().sqrt())


def measure_pairs(
    features: Mapping[str, Tensor], measures: Iterable[str], k: int, pairs: Iterable[tuple[str, str]]
) -> pd.DataFrame:
    """Alignment of ``pairs`` of layers, NaN where one of the two is constant.

    Parameters
    ----------
    features : mapping of str to Tensor
        Features (n, d) of each layer; rows are the same samples in all.
    measures : iterable of str
        Names of :data:`vilbert_lib.metrics.MEASURES`.
    k : int
        Neighbours, for the measures that use them.
    pairs : iterable of (str, str)
        Names of the layers to compare.

    Returns
    -------
    pandas.DataFrame
        Columns ``x``, ``y``, ``measure`` and ``value``, a row a measure and pair.

    Raises
    ------
    ValueError
        Where features are not finite; the layer is named.
    """
    measures, pairs = list(measures), list(pairs)
    varying = {name: x for name, x in features.items() if not is_constant(x)}
    defined = [(x, y) for x, y in pairs if x in varying and y in varying]
    values = {}
    if defined:
        found = alignment_grid(varying, measures, k=k, pairs=defined)
        values = dict(zip(zip(found.measure, found.x, found.y, strict=True), found.value, strict=True))
    rows = [(x, y, name, values.get((name, x, y), np.nan)) for name in measures for x, y in pairs]
    return pd.DataFrame(rows, columns=["x", "y", "measure", "value"])


def measure_alignment(
    model: Streams, data: PairDataset, config: AlignmentConfig, *, epoch: int, split: str
) -> pd.DataFrame:
    """Measure the alignment of every pair of layers of ``model`` on ``data``, and its chance level.

    Parameters
    ----------
    model : Streams
        Its features are taken by :func:`layer_features`, without dropout, and stay on its device.
    data : PairDataset
        Up to ``config.n_samples`` of its samples are used, those of :func:`sample_rows`.
    config : AlignmentConfig
        Measures, number of samples, k and pooling.
    epoch, split : int, str
        Written into the columns of these names.

    Returns
    -------
    pandas.DataFrame
        The columns ``COLUMNS``, a row a pair of layers and measure. ``kind`` is ``tv`` for a text and a vision
        layer, ``tt`` or ``vv`` within a stream; ``text_layer`` and ``vision_layer`` are -1 within a stream.
        A layer that is constant over the samples has ``value`` NaN in all its pairs, and a warning names it.
        Of a trained model (epoch above 0) dominant samples and features, and ties, are warned of.

    Raises
    ------
    ValueError
        Where a layer has features that are not finite, as those of a model that diverged.
    """
    rows = sample_rows(data, config.n_samples)
    features = layer_features(model, data, rows, config.pooling, device=next(model.parameters()).device)
    k = min(config.k, len(rows) - 1)
    quiet = () if epoch else (InfluenceWarning, TiedNeighboursWarning)
    with _without(*quiet):
        frame = measure_pairs(features, config.measures, k, combinations(features, 2))
    constant = _warn_of_constant(features, f"epoch {epoch}", f"{len(rows)} {split} samples")
    varying = {name: x for name, x in features.items() if name not in constant}
    same = [pair for pair in paired_names(features) if not set(pair) & set(constant)]
    with _without(InfluenceWarning, *quiet):  # of these features measure_pairs has warned
        chance = chance_levels(varying, config.measures, k, same)
    frame = _with_layers(frame.merge(chance, "left", ["x", "y", "measure"]), k)
    frame = frame.assign(epoch=epoch, split=split, n_samples=len(rows)).reindex(columns=COLUMNS)
    return frame.astype(dict.fromkeys(CHANCE, "float64"))


def log_alignment(model: Streams, data: PairDataset, *, epoch: int, split: str) -> pd.DataFrame:
    """Alignment of the layers at the same relative depth by the few measures of ``LOGGED``, during training.

    Returns
    -------
    pandas.DataFrame
        The columns ``LOG_COLUMNS``, a row a pair of layers (:func:`paired_layers`) and measure.
    """
    rows = sample_rows(data, LOGGED.n_samples)
    features = layer_features(model, data, rows, LOGGED.pooling, device=next(model.parameters()).device)
    k = min(LOGGED.k, len(rows) - 1)
    with _without(InfluenceWarning, TiedNeighboursWarning):
        frame = measure_pairs(features, LOGGED.measures, k, paired_names(features))
    _warn_of_constant(features, f"epoch {epoch}", f"{len(rows)} {split} samples")
    frame = _with_layers(frame, k).assign(epoch=epoch, split=split, n_samples=len(rows))
    return frame.reindex(columns=LOG_COLUMNS)


def _warn_of_constant(features: Mapping[str, Tensor], when: str, samples: str) -> list[str]:
    constant = [name for name, x in features.items() if is_constant(x)]
    if constant:
        warnings.warn(
            f"{when}: the features of {', '.join(constant)} (t: text layer, v: vision layer) are the same for all"
            f" {samples}; their alignment is recorded as NaN",
            stacklevel=3,
        )
    return constant


def _with_layers(frame: pd.DataFrame, k: int) -> pd.DataFrame:
    """Add ``kind``, ``text_layer``, ``vision_layer`` and ``k`` (0 where a measure does not use it)."""
    kind = frame.x.str[0] + frame.y.str[0]
    layers = {
        name: np.where(kind == "tv", frame[side].str[1:].astype(int), -1)
        for name, side in (("text_layer", "x"), ("vision_layer", "y"))
    }
    uses_k = frame.measure.map({name: measure.uses_k for name, measure in MEASURES.items()})
    return frame.assign(kind=kind, **layers, k=np.where(uses_k, k, 0))


@contextlib.contextmanager
def _without(*categories: type[Warning]) -> Iterator[None]:
    """Ignore warnings of these categories."""
    with warnings.catch_warnings():
        for category in categories:
            warnings.simplefilter("ignore", category)
        yield


def chance_levels(
    features: Mapping[str, Tensor], measures: tuple[str, ...], k: int, same: list[tuple[str, str]]
) -> pd.DataFrame:
    """What the measures give where samples are paired by chance, a row a pair and measure.

    Parameters
    ----------
    features : mapping of str to Tensor
        Features (n, d) of each layer, none of them constant.
    measures : tuple of str
        Names of :data:`vilbert_lib.metrics.MEASURES`. Those that do not depend on which samples belong
        together have no rows.
    k : int
        Neighbours, for the measures that use them.
    same : list of (str, str)
        The pairs of the same relative depth, for which samples are permuted.

    Returns
    -------
    pandas.DataFrame
        ``x``, ``y``, ``measure`` and: ``chance`` and ``chance_sd``, mean and standard deviation, in closed form
        for every pair where the measure has one, else by permutation for the pairs ``same``. For these pairs
        ``p`` is the permutation p-value, ``chance_best`` the mean of the best of them in each permutation, and
        ``p_best`` the p-value against that best.
    """
    paired = [name for name in measures if MEASURES[name].paired]
    closed = [name for name in paired if MEASURES[name].moments is not None]
    names = ["x", "y", "measure"]
    parts = [pd.DataFrame(columns=[*names, *CHANCE])]
    if closed and len(features) > 1:
        parts.append(alignment_grid(features, closed, k=k, null="exact")[[*names, "chance", "chance_sd"]])
    if paired and same:
        drawn = alignment_grid(features, paired, k=k, pairs=same, null="permutation", permutations=PERMUTATIONS)
        drawn = drawn.rename(columns={"chance_max": "chance_best", "p_max": "p_best"})
        parts.append(drawn[[*names, *CHANCE]])
    # Of a pair that is there twice, each column's first value: a closed form before a permuted one.
    return pd.concat(parts).groupby(names, sort=False, as_index=False).first()
