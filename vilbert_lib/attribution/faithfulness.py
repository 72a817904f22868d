"""Is a method to be trusted? What is taken away in its order, and whether it points at the known evidence."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vilbert_lib import stats as statistics
from vilbert_lib.attribution.passes import Relevance, inputs_of, log_odds, targets, words_of
from vilbert_lib.synthetic.evidence import Box

SIDES = ("words", "patches")
CURVES = ("deletion", "insertion")
RANDOM = "random"


@torch.no_grad()
def curves(
    model: nn.Module,
    batch: dict[str, Tensor],
    found: Mapping[str, Relevance],
    target: int | Tensor | None = None,
    *,
    several: bool = False,
    levels: int = 8,
    draws: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """What is left of the score when the words, or patches, are taken away in each method's order.

    Petsiuk et al. 2018. Under ``deletion`` the most relevant go first, under ``insertion`` they come first into a
    sample of which nothing is there; the other side stays whole. A patch that is gone has the profile's mean
    colour, a word that is gone is hidden as padding is; first and last token stay. ``random`` is the mean of
    ``draws`` random orders; ties are broken at random too, by ``seed``. One row a method, side, curve, sample
    (its place in the batch) and ``share`` in 0, 1/``levels``, ..., 1 of what is gone, or there, with the
    probability of the class (``value``).
    """
    ids, mask, pixels = inputs_of(batch, next(model.parameters()).device)
    chosen, words = targets(model(ids, mask, pixels)[0], target), words_of(mask).cpu().numpy()
    shares = np.arange(levels + 1) / levels
    rng = np.random.default_rng(seed)
    side_of = next(iter(found.values()))
    chance = [Relevance(rng.random(side_of.text.shape), rng.random(side_of.patches.shape)) for _ in range(draws)]
    orders = [(name, relevance) for name, relevance in found.items()] + [(RANDOM, drawn) for drawn in chance]

    def probability(keep: np.ndarray, side: str) -> np.ndarray:
        """What is said where ``keep`` (levels, B, places) is there, (levels, B): all levels in one batch."""
        times, kept = len(keep), torch.as_tensor(keep, device=pixels.device).flatten(0, 1)
        seen, shown = mask.repeat(times, 1), pixels.repeat(times, 1, 1, 1)
        if side == "words":
            seen &= kept | ~torch.as_tensor(words, device=mask.device).repeat(times, 1)
        else:
            shown *= _spread(kept, shown)
        logits, _ = model(ids.repeat(times, 1), seen, shown)
        return log_odds(logits, chosen.repeat(times), several).sigmoid().unflatten(0, (times, -1)).cpu().numpy()

    rows = []
    for name, relevance in orders:
        for side in SIDES:
            found_of = relevance.text if side == "words" else relevance.patches
            there = words if side == "words" else np.ones(found_of.shape, bool)
            ranks, counts = _ranks(found_of, there, rng), there.sum(1)
            taken = ranks < np.rint(np.outer(shares, counts))[..., None]
            for curve, keep in zip(CURVES, (~taken, taken), strict=True):
                for share, values in zip(shares, probability(keep, side), strict=True):
                    rows.append(_rows(values, method=name, side=side, curve=curve, share=share))
    table = pd.concat(rows, ignore_index=True)
    return table.groupby(["method", "side", "curve", "sample", "share"], sort=False, as_index=False).value.mean()


def _rows(values: np.ndarray, **columns) -> pd.DataFrame:
    return pd.DataFrame({"sample": np.arange(len(values)), "value": values.astype(float)}).assign(**columns)


def _ranks(values: np.ndarray, there: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """0 for the most relevant of those that are ``there``, (n, N); the others come last."""
    order = np.lexsort((rng.random(values.shape), np.where(there, -values, np.inf)), axis=1)
    return np.argsort(order, axis=1)


def _spread(keep: Tensor, pixels: Tensor) -> Tensor:
    """Which pixels belong to the patches that are kept: (B, P) to (B, 1, H, W)."""
    grid = round(keep.shape[1] ** 0.5)
    size = pixels.shape[-1] // grid
    square = keep.unflatten(1, (grid, grid)).repeat_interleave(size, 1).repeat_interleave(size, 2)
    return square[:, None].to(pixels.dtype)


def areas(table: pd.DataFrame) -> pd.DataFrame:
    """Area under each curve of :func:`curves`, in [0, 1]: columns but ``share`` as there, ``value`` the area."""
    by = [name for name in table.columns if name not in ("share", "value")]
    groups = table.sort_values("share", kind="stable").groupby(by, sort=False)
    found = groups.apply(lambda curve: np.trapezoid(curve.value, curve.share), include_groups=False)
    return found.rename("value").reset_index()


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """By how much each method's areas beat a random order on the same sample: positive is better."""
    found = areas(table)
    keys = [name for name in found.columns if name not in ("method", "value")]
    floor = found[found.method == RANDOM].set_index(keys).value.rename("floor")
    rest = found[found.method != RANDOM].join(floor, on=keys)
    sign = np.where(rest.curve == "deletion", -1.0, 1.0)
    return rest.assign(value=sign * (rest.value - rest.floor)).drop(columns="floor").reset_index(drop=True)


def inside(boxes: list[Box], patches: int) -> np.ndarray:
    """Which share of each patch's area lies in the box of its sample, (n, ``patches``) in [0, 1]."""
    grid = round(patches**0.5)
    edges = np.arange(grid + 1)

    def overlap(low: float, high: float) -> np.ndarray:
        return np.clip(np.minimum(edges[1:], high * grid) - np.maximum(edges[:-1], low * grid), 0, None)

    return np.array([np.outer(overlap(t, b), overlap(left, r)).ravel() for t, left, b, r in boxes])


def pointing(
    found: Mapping[str, Relevance], patches: np.ndarray, deciding: np.ndarray, words: np.ndarray
) -> pd.DataFrame:
    """Which share of the positive relevance is on the evidence, and whether the most relevant place is.

    ``patches`` (n, P) says how much of each patch is evidence, ``deciding`` (n, T) bool which words are, of those
    in ``words``. One row a method, side and sample: ``share``; ``top``, how much of the most relevant place is
    evidence; and ``chance``, what both would be if relevance were the same everywhere. A map that is zero
    everywhere points nowhere: chance. Samples whose evidence is unknown have no row.
    """
    rows = []
    for name, relevance in found.items():
        for side in SIDES:
            is_text = side == "words"
            values = np.clip(relevance.text if is_text else relevance.patches, 0, None)
            there = words if is_text else np.ones(values.shape, bool)
            evidence = deciding * words if is_text else patches
            counts = there.sum(1)
            chance = evidence.sum(1) / np.maximum(counts, 1)
            total = np.where(there, values, 0).sum(1)
            share = (values * evidence * there).sum(1) / np.where(total > 0, total, 1)
            top = evidence[np.arange(len(values)), np.where(there, values, -1).argmax(1)]
            frame = pd.DataFrame(
                {
                    "method": name,
                    "side": side,
                    "sample": np.arange(len(values)),
                    "share": np.where(total > 0, share, chance),
                    "top": np.where(total > 0, top, chance).astype(float),
                    "chance": chance,
                }
            )
            rows.append(frame[evidence.any(1)])
    return pd.concat(rows, ignore_index=True)


def reach(table: pd.DataFrame, value: str, by: list[str], cluster: str = "model") -> pd.DataFrame:
    """Mean of ``value`` with the approximate 95 % interval of a two-stage bootstrap: models, then samples.

    One row a group of ``by``: its columns, ``mean``, ``low``, ``high`` and the number of ``models``.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        interval = statistics.mean_interval(group, value, cluster=cluster)
        rows.append((*key, group[value].mean(), *interval, group[cluster].nunique()))
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "models"])


def trust(
    curves: pd.DataFrame, pointed: pd.DataFrame | None = None, untrained: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What each method reaches beyond chance in every test, and in how many the interval lies above zero.

    ``curves`` and ``pointed`` are those of :func:`curves` and :func:`pointing` with a column ``model``, and
    ``untrained`` is ``pointed`` for the same models before training; the latter two may be missing, where no
    evidence is known. One row a ``method``, ``side`` and ``test``, ``mean``, ``low``, ``high``, ``models``, and
    ``passed``. Tests are ``deletion`` and ``insertion``, area beyond a random order's; ``evidence``, share of
    relevance on it beyond its share of the places; ``first``, how often the most relevant place is evidence,
    beyond the same; and ``learned``, that less what it is before training (Adebayo et al. 2018): a word may be
    found by where it stands.
    """
    tests = [gains(curves).rename(columns={"curve": "test"})]
    if pointed is not None and len(pointed):
        tests += [
            pointed.assign(test=test, value=pointed[column] - pointed.chance)
            for test, column in (("evidence", "share"), ("first", "top"))
        ]
    if pointed is not None and untrained is not None and len(pointed):
        keys = ["model", "method", "side", "sample"]
        before = untrained.set_index(keys).top.rename("before")
        joined = pointed.join(before, on=keys)
        tests.append(joined.assign(test="learned", value=joined.top - joined.before))
    table = reach(pd.concat(tests, ignore_index=True), "value", ["method", "side", "test"])
    return table.assign(passed=table.low > 0)


def trusted(table: pd.DataFrame) -> pd.Series:
    """For each side the methods that passed every test of :func:`trust`, by their names in it.

    To pass all tests is no more likely by chance than to pass one, so their number needs no correction.
    """
    every = table.groupby(["side", "method"], sort=False).passed.all().reset_index()
    return every[every.passed].groupby("side").method.agg(list)
