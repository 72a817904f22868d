"""A whole grid of layers against layers, each layer's own work done once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from vilbert_lib.metrics import calibration
from vilbert_lib.metrics.layers import Layers, Settings
from vilbert_lib.metrics.registry import MEASURES, Measure

STACK_BYTES = 2**31  # what the matrices of all layers may take at once; beyond it layers go block by block


def alignment_grid(
    features: Mapping[str, object],
    measures: Iterable[str] = ("cka", "unbiased_cka", "mknn"),
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    null: str | None = None,
    permutations: int = 200,
    blocks=None,
    alpha: float = 0.05,
    seed: int = 0,
    masks: Mapping[str, object] | None = None,
    device: str | torch.device | None = None,
    **settings,
) -> pd.DataFrame:
    """Measure the alignment between layers.

    ``features`` maps the name of each layer to its (n, d) array or tensor; rows are the same
    samples in all, widths may differ. ``pairs`` names the layer pairs to measure, in order; by
    default every unordered pair. ``masks`` says which tokens of (n, tokens, d) features count.
    ``settings`` are those of :class:`vilbert_lib.metrics.layers.Settings`: ``k``, ``q`` and so on.
    The work is done on ``device``, by default that of the first layer.

    Returns one row a pair and measure, with columns ``x``, ``y``, ``measure`` and ``value``. With a
    ``null`` the chance level stands beside each value:

    ``"exact"``
        ``chance``, ``chance_sd``, ``p`` and ``calibrated`` from moments in closed form
        (:func:`vilbert_lib.metrics.calibration.by_moments`).
    ``"permutation"``
        the same from ``permutations`` orders of the samples of one side, drawn with ``seed`` and shared
        by all pairs, whole ``blocks`` at a time where given; and the same once more, ending in
        ``_max``, for the best of all pairs (:func:`vilbert_lib.metrics.calibration.by_permutation`).

    Features that all are float32 give values within 1e-5 of the float64 definition, neighbour
    measures exactly; float64 features give the definition.

    Raises ValueError for an unknown measure, layer or null, k outside 1..n-1 where a measure uses
    k, widths that differ where a measure needs equal ones, and features that no measure can take
    (:func:`vilbert_lib.metrics.layers.checked`).
    """
    chosen = _known(measures, null)
    if null == "permutation" and (not isinstance(permutations, (int, np.integer)) or permutations < 2):
        raise ValueError(f"permutations={permutations!r} must be a whole number from 2 on: one has no deviation")
    if blocks is not None and null != "permutation":
        raise ValueError(f"blocks are kept together by null='permutation', not by null={null!r}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha} must lie in (0, 1)")
    layers = Layers(features, Settings(**settings), masks=masks, device=device)
    pairs = list(combinations(layers.names, 2)) if pairs is None else list(pairs)
    if not pairs:
        raise ValueError("pairs is empty: nothing to measure")
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"pairs holds {pair!r}: two names of layers are needed")
    position = {name: i for i, name in enumerate(layers.names)}
    for name in {name for pair in pairs for name in pair} - set(position):
        raise ValueError(f"unknown layer {name!r}; known: {', '.join(layers.names)}")
    places = torch.tensor([(position[a], position[b]) for a, b in pairs], device=layers.device)
    orders = None
    if null == "permutation":
        orders = list(calibration.permutations(layers.n, permutations, seed, blocks))

    values = {measure.name: {} for measure in chosen}
    for part, rows, local in _blocks(layers, places):
        for measure, columns in _of_block(chosen, part, local, null, orders):
            for name, column in columns.items():
                whole = values[measure.name].setdefault(name, np.empty((*column.shape[:-1], len(places))))
                whole[..., rows] = column
    x, y = ([pair[side] for pair in pairs] for side in (0, 1))
    frames = []
    for measure in chosen:
        columns = _calibrated(measure, values[measure.name], alpha)
        frames.append(pd.DataFrame({"x": x, "y": y, "measure": measure.name} | columns))
    return pd.concat(frames, ignore_index=True)


def _known(measures: Iterable[str], null: str | None) -> list[Measure]:
    measures = list(measures)
    if not measures:
        raise ValueError("measures is empty: nothing to measure")
    if null not in (None, "exact", "permutation"):
        raise ValueError(f"unknown null {null!r}; known: None, 'exact', 'permutation'")
    for name in measures:
        if name not in MEASURES:
            raise ValueError(f"unknown measure {name!r}; known: {', '.join(MEASURES)}")
        if null == "exact" and MEASURES[name].moments is None:
            known = ", ".join(m.name for m in MEASURES.values() if m.moments)
            raise ValueError(f"null='exact': {name} has no closed form; those that have one: {known}")
        if null == "permutation" and not MEASURES[name].paired:
            raise ValueError(f"null='permutation': {name} does not depend on which samples belong together")
    return [MEASURES[name] for name in measures]


def _blocks(layers: Layers, places: Tensor) -> Iterator[tuple[Layers, np.ndarray, Tensor]]:
    """Parts of the layers whose n x n matrices fit in ``STACK_BYTES``, with the pairs within each part.

    Gives the layers of the part, which rows of ``places`` (P, 2) it answers, and those in its own numbers.
    """
    fit = max(2, STACK_BYTES // (layers.dtype.itemsize * layers.n**2))  # two stacks of half a matrix
    if len(layers) <= fit:
        yield layers, np.arange(len(places)), places
        return
    group = places // (fit // 2)
    for first, second in group.sort(dim=1).values.unique(dim=0).tolist():
        within = (
            ((group == first) | (group == second)).all(1) & (group.amin(1) == first) & (group.amax(1) == second)
        )
        members, local = places[within].unique(return_inverse=True)
        yield layers.some(members.tolist()), torch.nonzero(within)[:, 0].cpu().numpy(), local


def _of_block(
    chosen: list[Measure], layers: Layers, places: Tensor, null: str | None, orders: list[Tensor] | None
) -> Iterator[tuple[Measure, dict[str, np.ndarray]]]:
    """For every measure ``value`` (P,), and what the null needs; a symmetric measure does each pair once."""
    prepared: dict[Callable, list[Measure]] = {}
    for measure in chosen:
        prepared.setdefault(measure.prepare, []).append(measure)
    for prepare, measures in prepared.items():
        state = prepare(layers)
        sides, back = zip(*(_each_pair_once(measure, places) for measure in measures), strict=True)
        columns = [{"value": value} for value in _compare(measures, state, state, sides)]
        if null == "exact":
            for measure, side, column in zip(measures, sides, columns, strict=True):
                column["mean"], column["deviation"] = measure.moments(state, state, *side.T)
        elif null == "permutation":  # the other order is made once for all of them: ties make it dear
            names = ", ".join(measure.name for measure in measures)
            shown = tqdm(orders, desc=f"{names}: permutations", leave=False, disable=None)
            drawn = [_compare(measures, state, state.permuted(o.to(layers.device)), sides) for o in shown]
            for column, values in zip(columns, zip(*drawn, strict=True), strict=True):
                column["null"] = torch.stack(values)
        for measure, column, place in zip(measures, columns, back, strict=True):
            yield measure, {name: values[..., place].cpu().numpy() for name, values in column.items()}


def _each_pair_once(measure: Measure, places: Tensor) -> tuple[Tensor, Tensor]:
    """The different pairs (U, 2) of ``places`` (P, 2), and for each of ``places`` which of them it is."""
    return (places.sort(dim=1).values if measure.symmetric else places).unique(dim=0, return_inverse=True)


def _compare(measures: list[Measure], left, right, sides: tuple[Tensor, ...]) -> list[Tensor]:
    return [measure.compare(left, right, *pairs.T) for measure, pairs in zip(measures, sides, strict=True)]


def _calibrated(measure: Measure, columns: dict[str, np.ndarray], alpha: float) -> dict[str, np.ndarray]:
    values = columns["value"]
    against = {"best": measure.best, "distance": measure.direction == "distance", "alpha": alpha}
    if "null" in columns:
        return {"value": values} | calibration.by_permutation(values, columns["null"], **against)
    if "mean" in columns:
        return {"value": values} | calibration.by_moments(values, columns["mean"], columns["deviation"], **against)
    return {"value": values}
