"""A whole grid of layers against layers, each layer's own work done once."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from vilbert_lib.metrics import calibration
from vilbert_lib.metrics.layers import Layers, Settings, check_order
from vilbert_lib.metrics.registry import MEASURES, Measure


class TiedNeighboursWarning(UserWarning):
    """A pair has no exact chance level, as both its layers have tied neighbours."""


def alignment_grid(
    features,
    measures: Iterable[str] = ("cka", "unbiased_cka", "mknn"),
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    null: str | None = None,
    permutations: int = 200,
    blocks=None,
    within=None,
    alpha: float = 0.05,
    seed: int = 0,
    masks: Mapping[str, object] | None = None,
    ids=None,
    align: bool = False,
    subsample: int | None = None,
    device: str | torch.device | None = None,
    **settings,
) -> pd.DataFrame:
    """Measure the alignment between layers.

    Parameters
    ----------
    features : mapping, list of arrays, or array
        The (n, d) array, tensor or DataFrame of each layer by its name. Rows are the same samples in
        all; widths may differ. Layers of a list, or of a stacked (n, layers, d) array or tensor, are
        named ``"0"``, ``"1"``, ...
    measures : iterable of str
        Names of :data:`vilbert_lib.metrics.MEASURES`, each once.
    pairs : iterable of (str, str), optional
        The layer pairs to measure, in order; by default every unordered pair.
    null : {"exact", "permutation"}, optional
        Adds the chance level of each value. ``"exact"``: from moments in closed form
        (:func:`vilbert_lib.metrics.calibration.by_moments`). ``"permutation"``: from random orders of the
        samples of one side, shared by all pairs (:func:`vilbert_lib.metrics.calibration.by_permutation`).
    permutations, seed : int
        How many orders are drawn, and with which seed; the latter is for ``subsample`` as well.
    blocks : array (n,), optional
        Labels of samples that change places together in a permutation. The index of a Series must be the
        ids of the layers, if they have any.
    within : array (n,), optional
        Labels of samples: in a permutation a sample changes places with others of its label only. The null is
        then that the layers share nothing beyond these labels. A Series like ``blocks``.
    alpha : float
        Level of ``threshold`` and ``calibrated``.
    masks : mapping, optional
        Which tokens of (n, tokens, d) features count, (n, tokens) by layer.
    ids : array (n,) or mapping of layer names to such, optional
        Sample ids, of all layers or of each; by default the index of a layer that is a DataFrame. Layers
        with ids must have the same ones row by row.
    align : bool
        Match the rows by id instead: samples that all layers have, in the order of the first layer. A
        warning says how many are left out.
    subsample : int, optional
        Measure so many samples, drawn at random from all, the same in every layer: for measures whose memory or
        time grows with n squared.
    device : str or torch.device, optional
        Where to compute, by default where the first layer is.
    **settings
        Those of :class:`vilbert_lib.metrics.layers.Settings`: ``k``, ``q`` and so on.

    Returns
    -------
    DataFrame
        A row a pair and measure: ``x``, ``y``, ``measure``, ``value``. With a ``null`` also ``chance``,
        ``chance_sd``, ``p``, ``threshold``, the value that chance exceeds with probability ``alpha``, and
        ``calibrated``; with permutations the same ending in ``_max``, for the best of all pairs; exact ones
        also have ``p_bound``.

        ``largest_sample`` and ``largest_feature`` are the largest share of one sample and of
        one feature in the centred sum of squares of either layer (NaN for token states); a warning names
        those above a half. For neighbour measures with tied neighbours in both layers the exact chance
        level is NaN, with a warning.

        Features that all are float32 give values within 1e-5 of the float64 definition, neighbour
        measures exactly; float64 features give the definition.

    Raises
    ------
    ValueError
        For an unknown or repeated measure, an unknown layer or null, k outside 1..n-1 where a measure
        uses k, widths or the order of DataFrame columns that differ where a measure compares feature by
        feature, ids that differ between layers, and features that no measure can take
        (:func:`vilbert_lib.metrics.layers.checked`).
    MemoryError
        Before matrices are made that do not fit into memory.
    """
    grid = _measured(
        features,
        measures,
        pairs=pairs,
        null=null,
        permutations=permutations,
        blocks=blocks,
        within=within,
        alpha=alpha,
        seed=seed,
        masks=masks,
        ids=ids,
        align=align,
        subsample=subsample,
        device=device,
        **settings,
    )
    x, y = ([pair[side] for pair in grid.pairs] for side in (0, 1))
    sample, feature = np.fmax(*grid.influence.swapaxes(0, 1)).T
    influence = {"largest_sample": sample, "largest_feature": feature}
    frames = []
    for measure in grid.measures:
        columns = _calibrated(measure, grid.columns[measure.name], alpha)
        frames.append(pd.DataFrame({"x": x, "y": y, "measure": measure.name} | columns | influence))
    return pd.concat(frames, ignore_index=True)


def alignment_aggregates(
    features,
    measures: Iterable[str] = ("cka", "unbiased_cka", "mknn"),
    aggregates: Iterable[str] = ("max", "row_max", "mean", "top_k"),
    *,
    top: int = 5,
    permutations: int = 200,
    alpha: float = 0.05,
    **options,
) -> pd.DataFrame:
    """Measure the alignment of two models as one number over their layers, beside what chance gives.

    The best of many pairs of layers is large by chance, and the more layers, the larger. Each aggregate is
    therefore set against the same aggregate in every permutation (Groger et al. 2026).

    Parameters
    ----------
    features, measures
        As of :func:`alignment_grid`.
    aggregates : iterable of str
        ``max``, the best pair; ``row_max``, the best pair of every first layer, averaged over first layers;
        ``mean`` of all pairs; ``top_k``, the mean of the ``top`` best pairs. Of distances small ones are best.
    permutations, alpha, **options
        As of :func:`alignment_grid`, ``pairs``, ``blocks``, ``within`` and ``seed`` among them.

    Returns
    -------
    DataFrame
        A row a measure and aggregate: ``measure``, ``aggregate``, ``value``, ``chance``, ``chance_sd``, ``p``,
        ``threshold`` and ``calibrated``.
    """
    aggregates = list(aggregates)
    for name in aggregates:
        if name not in _AGGREGATES:
            raise ValueError(f"unknown aggregate {name!r}; known: {', '.join(_AGGREGATES)}")
    if top < 1:
        raise ValueError(f"top={top} must be at least 1")
    grid = _measured(features, measures, null="permutation", permutations=permutations, alpha=alpha, **options)
    rows_of = pd.factorize(pd.Series([x for x, _ in grid.pairs]))[0]
    rows = []
    for measure in grid.measures:
        columns, sign = grid.columns[measure.name], measure.sign
        both = sign * np.vstack([columns["value"], columns["null"]])  # (1 + K, P), larger is more alike
        for name in aggregates:
            of_all = sign * _AGGREGATES[name](both, rows_of, top)
            against = {"best": measure.best, "distance": measure.direction == "distance", "alpha": alpha}
            found = calibration.by_permutation(of_all[:1], of_all[1:, None], **against)
            kept = {key: float(value[0]) for key, value in found.items() if "_max" not in key}
            rows.append({"measure": measure.name, "aggregate": name, "value": float(of_all[0])} | kept)
    return pd.DataFrame(rows)


def _row_max(values: np.ndarray, rows: np.ndarray, top: int) -> np.ndarray:
    return np.mean([values[:, rows == row].max(1) for row in np.unique(rows)], axis=0)


_AGGREGATES: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "max": lambda values, rows, top: values.max(1),
    "row_max": _row_max,
    "mean": lambda values, rows, top: values.mean(1),
    "top_k": lambda values, rows, top: np.sort(values, axis=1)[:, -top:].mean(1),
}


@dataclass(frozen=True)
class _Grid:
    """What was measured: of each measure ``value`` (P,), and what its null needs."""

    measures: list[Measure]
    pairs: list[tuple[str, str]]
    columns: dict[str, dict[str, np.ndarray]]
    influence: np.ndarray  # largest shares of a sample and a feature in both layers of each pair, (P, 2, 2)


def _measured(
    features,
    measures: Iterable[str],
    *,
    null: str | None,
    pairs: Iterable[tuple[str, str]] | None = None,
    permutations: int = 200,
    blocks=None,
    within=None,
    alpha: float = 0.05,
    seed: int = 0,
    masks: Mapping[str, object] | None = None,
    ids=None,
    align: bool = False,
    subsample: int | None = None,
    device: str | torch.device | None = None,
    **settings,
) -> _Grid:
    chosen = _known(measures, null)
    if null == "permutation" and (not isinstance(permutations, (int, np.integer)) or permutations < 2):
        raise ValueError(f"permutations={permutations!r} must be a whole number from 2 on: one has no deviation")
    for name, labels in (("blocks", blocks), ("within", within)):
        if labels is not None and null != "permutation":
            raise ValueError(f"{name} is for null='permutation', not for null={null!r}")
        if labels is not None and align:
            raise ValueError(
                f"{name} are labels of rows by position: put the rows in one order instead of align=True"
            )
    if blocks is not None and within is not None:
        raise ValueError("blocks and within together: give one of them")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha} must lie in (0, 1)")
    rows = {"ids": ids, "align": align, "subsample": subsample, "seed": seed}
    layers = Layers(features, Settings(**settings), masks=masks, device=device, **rows)
    blocks, within = (_labels_of(layers, name, of) for name, of in (("blocks", blocks), ("within", within)))
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
    orders = []
    if null == "permutation":
        orders = list(calibration.permutations(layers.n, permutations, seed, blocks, within))

    values = {measure.name: columns for measure, columns in _of_all(chosen, layers, places, null, orders)}
    if null == "exact":
        _warn_of_ties(pairs, {name: np.isnan(columns["mean"]) for name, columns in values.items()})
    shares = layers.influence(places.unique().tolist())[places.cpu().numpy()]
    return _Grid(chosen, pairs, values, shares)


def _labels_of(layers: Layers, name: str, labels):
    """``labels`` of the rows that are measured; the index of a Series must be the ids of the layers."""
    if labels is None:
        return None
    if layers.rows is not None:
        if len(labels) != layers.n_given:
            raise ValueError(f"{name} has {len(labels)} entries: there are n={layers.n_given} samples")
        labels = labels.iloc[layers.rows] if isinstance(labels, pd.Series) else np.asarray(labels)[layers.rows]
    if isinstance(labels, pd.Series) and layers.ids is not None:
        check_order({"the layers": layers.ids, name: labels.index})
    return labels


def _warn_of_ties(pairs: list[tuple[str, str]], unknown: dict[str, np.ndarray]) -> None:
    """Warn once of the pairs whose exact chance level is ``unknown`` (P,), by measure."""
    names = [name for name, rows in unknown.items() if rows.any()]
    if names:
        rows = np.flatnonzero(unknown[names[0]])
        a, b = pairs[rows[0]]
        warnings.warn(
            f"{', '.join(names)}: no exact chance level for {len(rows)} of {len(pairs)} pairs, the first {a} and"
            f" {b}: both layers have tied neighbours (equal rows, codes or counts); use null='permutation'",
            TiedNeighboursWarning,
            stacklevel=3,
        )


def _known(measures: Iterable[str], null: str | None) -> list[Measure]:
    measures = list(measures)
    if not measures:
        raise ValueError("measures is empty: nothing to measure")
    if null not in (None, "exact", "permutation"):
        raise ValueError(f"unknown null {null!r}; known: None, 'exact', 'permutation'")
    for name in measures:
        if name not in MEASURES:
            raise ValueError(f"unknown measure {name!r}; known: {', '.join(MEASURES)}")
        if measures.count(name) > 1:
            raise ValueError(f"measures names {name!r} {measures.count(name)} times: once is enough")
        if null == "exact" and MEASURES[name].moments is None:
            known = ", ".join(m.name for m in MEASURES.values() if m.moments)
            raise ValueError(f"null='exact': {name} has no closed form; those that have one: {known}")
        if null == "permutation" and not MEASURES[name].paired:
            raise ValueError(f"null='permutation': {name} does not depend on which samples belong together")
    return [MEASURES[name] for name in measures]


def _of_all(
    chosen: list[Measure], layers: Layers, places: Tensor, null: str | None, orders: list[Tensor]
) -> Iterator[tuple[Measure, dict[str, np.ndarray]]]:
    """For every measure ``value`` (P,), and what the null needs; each layer is prepared once."""
    prepared: dict[Callable, list[Measure]] = {}
    for measure in chosen:
        prepared.setdefault(measure.prepare, []).append(measure)
    for prepare, measures in prepared.items():
        state = prepare(layers)
        columns = [{"value": value} for value in _compare(measures, state, state, places)]
        if null == "exact":
            for measure, column in zip(measures, columns, strict=True):
                sides, back = _each_pair_once(measure, places)
                mean, deviation = measure.moments(state, state, *sides.T)
                column |= {"mean": mean[back], "deviation": deviation[back]}
                if measure.skewness:
                    column["skewness"] = measure.skewness(state, state, *sides.T)[back]
        elif null == "permutation":
            of_null = _permuted(measures, state, places, orders)
            columns = [column | {"null": values} for column, values in zip(columns, of_null, strict=True)]
        for measure, column in zip(measures, columns, strict=True):
            yield measure, {name: values.cpu().numpy() for name, values in column.items()}


def _permuted(measures: list[Measure], state, places: Tensor, orders: list[Tensor]) -> Tensor:
    """Values of permuted samples, (measures, K, P); the other order is made once for all ``measures``."""
    values = torch.empty(len(measures), len(orders), len(places), dtype=torch.float64, device=places.device)
    parts = list(_in_memory(state, places))
    names = ", ".join(measure.name for measure in measures)
    with tqdm(total=len(orders) * len(parts), desc=f"{names}: permutations", leave=False, disable=None) as shown:
        for part, rows, local in parts:
            part = state if part is None else state.some(part)
            for k, order in enumerate(orders):
                found = _compare(measures, part, part.permuted(order.to(places.device)), local)
                values[:, k, rows] = torch.stack(found)
                shown.update()
    return values


def _in_memory(state, places: Tensor) -> Iterator[tuple[list[int] | None, Tensor, Tensor]]:
    """Parts of the layers whose matrices fit into memory, with the pairs within each part.

    Gives the layers of the part, None for all; which rows of ``places`` (P, 2) it answers; and those in its own
    numbers. Only what is kept on disk has more than one part.
    """
    count, fit = int(places.max()) + 1, getattr(state, "fitting", None)
    if fit is None or count <= fit:
        yield None, torch.arange(len(places), device=places.device), places
        return
    group = (places // (fit // 2)).sort(dim=1).values
    for pair in group.unique(dim=0):
        rows = torch.nonzero((group == pair).all(1))[:, 0]
        members, local = places[rows].unique(return_inverse=True)
        yield members.tolist(), rows, local


def _each_pair_once(measure: Measure, places: Tensor) -> tuple[Tensor, Tensor]:
    """The different pairs (U, 2) of ``places`` (P, 2), and for each of ``places`` which of them it is."""
    return (places.sort(dim=1).values if measure.symmetric else places).unique(dim=0, return_inverse=True)


def _compare(measures: list[Measure], left, right, places: Tensor) -> list[Tensor]:
    """Values (P,) of all ``measures``; a symmetric one does each pair once."""
    found = []
    for measure in measures:
        sides, back = _each_pair_once(measure, places)
        found.append(measure.compare(left, right, *sides.T)[back])
    return found


def _calibrated(measure: Measure, columns: dict[str, np.ndarray], alpha: float) -> dict[str, np.ndarray]:
    values = columns["value"]
    against = {"best": measure.best, "distance": measure.direction == "distance", "alpha": alpha}
    if "null" in columns:
        return {"value": values} | calibration.by_permutation(values, columns["null"], **against)
    if "mean" in columns:
        return {"value": values} | calibration.by_moments(
            values, columns["mean"], columns["deviation"], columns.get("skewness"), **against
        )
    return {"value": values}
