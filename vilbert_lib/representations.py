"""Features of every layer of both streams, and how alike they are."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from vilbert_lib.config import AlignmentConfig, choose
from vilbert_lib.data.datasets import PairDataset, batches, epoch_order
from vilbert_lib.metrics import MEASURES, alignment_grid
from vilbert_lib.model.streams import Streams, pool

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
PERMUTATIONS = 50  # of the samples of one side, for chance levels that have no closed form


def sample_rows(data: PairDataset, n: int) -> np.ndarray:
    """Up to ``n`` samples of ``data``, one an image, the same ones at every call.

    Several texts of one image would make rows that are not exchangeable, and alignment would
    seem to be there by chance.
    """
    order = epoch_order(len(data), 0, 0)
    _, first = np.unique(data.image_of[order], return_index=True)
    return order[np.sort(first)][:n]


@torch.no_grad()
def layer_features(
    model: Streams,
    data: PairDataset,
    rows: np.ndarray,
    pooling: str = "cls",
    batch_size: int = 128,
    *,
    embeddings: bool = False,
) -> dict[str, Tensor]:
    """Features (n, width) of the samples ``rows`` after every layer: ``t0`` ... and ``v0`` ...

    ``pooling`` is ``cls`` (the first token), ``mean`` (over the other tokens, padding left out) or
    ``full_seq`` (all tokens one behind the other, padding as zeros: (n, tokens * width), words in places
    up to ``max_tokens``). Vision features are those before ViT's final LayerNorm. With ``embeddings``
    those of the embeddings stand first, as ``t-1`` and ``v-1``. The model is left in the mode,
    training or not, in which it came.
    """
    choose("pooling", pooling, ("cls", "mean", "full_seq"))
    device, training = next(model.parameters()).device, model.training
    model.eval()
    collected: dict[str, list[Tensor]] = {}
    for batch in batches(data, rows, batch_size):
        mask = batch["attention_mask"].to(device)
        output = model(batch["input_ids"].to(device), mask, batch["pixel_values"].to(device))
        for stream, states, content in (("t", output.text_states, mask), ("v", output.vision_states, None)):
            for layer, state in list(enumerate(states, start=-1))[0 if embeddings else 1 :]:
                if pooling == "full_seq":
                    feature = _in_places(state, content, model.config.max_tokens)
                else:
                    feature = pool(state, content, pooling)
                collected.setdefault(f"{stream}{layer}", []).append(feature.float().cpu())
    model.train(training)
    return {name: torch.cat(parts) for name, parts in collected.items()}


def _in_places(state: Tensor, content: Tensor | None, max_tokens: int) -> Tensor:
    """All tokens of ``state`` (B, N, D) in a row; words, that have ``content``, get ``max_tokens`` places."""
    if content is not None:
        state = F.pad(state * content[..., None], (0, 0, 0, max_tokens - state.shape[1]))
    return state.flatten(1)


def measure_alignment(
    model: Streams, data: PairDataset, config: AlignmentConfig, *, epoch: int, split: str, whole_grid: bool
) -> pd.DataFrame:
    """Alignment between the layers of ``model`` on ``data``, a row a pair and measure.

    With ``whole_grid`` every pair of layers: ``kind`` is ``tt``, ``vv`` or ``tv``; otherwise the
    text and vision layers of equal number. ``text_layer`` and ``vision_layer`` are given for
    ``tv`` pairs and are -1 elsewhere. With ``whole_grid`` chance stands beside, as in
    :func:`chance_levels`.
    """
    rows = sample_rows(data, config.n_samples)
    features = layer_features(model, data, rows, config.pooling)
    same = [(f"t{i}", f"v{i}") for i in range(len(features)) if f"t{i}" in features and f"v{i}" in features]
    k = min(config.k, len(rows) - 1)
    frame = alignment_grid(features, config.measures, k=k, pairs=None if whole_grid else same)
    if whole_grid:
        frame = frame.merge(chance_levels(features, config.measures, k, same), "left", ["x", "y", "measure"])
    frame["kind"] = frame.x.str[0] + frame.y.str[0]
    across = frame.kind == "tv"
    frame["text_layer"] = np.where(across, frame.x.str[1:].astype(int), -1)
    frame["vision_layer"] = np.where(across, frame.y.str[1:].astype(int), -1)
    uses_k = frame.measure.map({name: measure.uses_k for name, measure in MEASURES.items()})
    frame["k"] = np.where(uses_k, k, 0)
    return frame.assign(epoch=epoch, split=split, n_samples=len(rows)).reindex(columns=COLUMNS)


def chance_levels(
    features: dict[str, Tensor], measures: tuple[str, ...], k: int, same: list[tuple[str, str]]
) -> pd.DataFrame:
    """What the measures give where samples are paired by chance, a row a pair and measure.

    ``chance`` and ``chance_sd`` are mean and standard deviation: in closed form for every pair where
    the measure has one, else by permutation for the pairs ``same`` alone. For these pairs ``p`` is the
    permutation p-value; ``chance_best`` is the mean of the best among them, permuted alike, and ``p_best``
    the p-value against that best. Measures that do not depend on which samples belong together
    have no rows.
    """
    paired = [name for name in measures if MEASURES[name].paired]
    closed = [name for name in paired if MEASURES[name].moments is not None]
    names = ["x", "y", "measure"]
    parts = [pd.DataFrame(columns=[*names, *CHANCE])]
    if closed:
        parts.append(alignment_grid(features, closed, k=k, null="exact")[[*names, "chance", "chance_sd"]])
    if paired and same:
        drawn = alignment_grid(features, paired, k=k, pairs=same, null="permutation", permutations=PERMUTATIONS)
        drawn = drawn.rename(columns={"chance_max": "chance_best", "p_max": "p_best"})
        parts.append(drawn[[*names, *CHANCE]])
    # Of a pair that is there twice, each column's first value: a closed form before a permuted one.
    return pd.concat(parts).groupby(names, sort=False, as_index=False).first()
