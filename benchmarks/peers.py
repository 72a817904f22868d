"""What a user would otherwise use: packages from the package index, called as their documentation says.

    pip install -r benchmarks/requirements.txt

A package that is not installed is left out, with a line that says so. netrep is not on the package index; it is
installed from its repository (``pip install git+https://github.com/ahwillia/netrep``).
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from vilbert_lib.metrics import MEASURES, alignment_aggregates, alignment_grid, calibration

Pair = Callable[[np.ndarray, np.ndarray], float]
SAME = "same definition"


@dataclass(frozen=True)
class Peer:
    """A function of another package that gives a measure of this library, or what looks like it."""

    measure: str
    package: str
    call: str  # what is called, as a reader of its documentation knows it
    make: Callable[[], Pair]
    cause: str = SAME  # why its value differs, where it does


def installed(package: str) -> str | None:
    """The version of ``package``, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _ckatorch(**options) -> Pair:
    from ckatorch import cka_base

    return lambda x, y: float(cka_base(torch.from_numpy(x), torch.from_numpy(y), **options))


def _torch_cka(batch: int | None = None) -> Pair:
    from torch_cka import CKA

    def value(x: np.ndarray, y: np.ndarray) -> float:
        def batches(features: np.ndarray) -> torch.utils.data.DataLoader:
            data = torch.utils.data.TensorDataset(torch.from_numpy(features))
            return torch.utils.data.DataLoader(data, batch_size=batch or len(features))

        models = (torch.nn.Sequential(torch.nn.Identity()) for _ in range(2))  # it reads features from modules
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            compared = CKA(*models, model1_layers=["0"], model2_layers=["0"])
            compared.compare(batches(x), batches(y))
        return float(compared.export()["CKA"][0, 0])

    return value


def _simtorch_procrustes() -> Pair:
    from simtorch.similarity.procrustes import Procrustes

    measure = Procrustes.__new__(Procrustes)  # its constructor asks for models; the distance needs none
    return lambda x, y: 1 - float(measure.procrustes_dist(torch.from_numpy(x), torch.from_numpy(y)))


def _netrep_procrustes() -> Pair:
    from netrep.metrics import LinearMetric

    metric = LinearMetric(alpha=1.0, score_method="angular")
    return lambda x, y: float(np.cos(metric.fit(x, y).score(x, y)))


def _rsatoolbox(distance: str, compared_by: str) -> Pair:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    def rdm(x: np.ndarray):
        return calc_rdm(Dataset(x.astype(np.float64)), method=distance)

    return lambda x, y: float(compare(rdm(x), rdm(y), method=compared_by)[0, 0])


def _dcor(name: str) -> Pair:
    import dcor

    function = getattr(dcor, name)
    return lambda x, y: float(function(x.astype(np.float64), y.astype(np.float64)))


def _transport(smoothing: float | None = None) -> Pair:
    import ot

    def value(x: np.ndarray, y: np.ndarray) -> float:
        x, y = (z.astype(np.float64) / np.linalg.norm(z.astype(np.float64), axis=1, keepdims=True) for z in (x, y))
        cost, weights = 1 - x @ y.T, np.full(len(x), 1 / len(x))
        if smoothing:
            return float(ot.sinkhorn2(weights, weights, cost, smoothing))
        return float(ot.emd2(weights, weights, cost))

    return value


def _sklearn_neighbours(k: int, share: Callable[[int], float]) -> Pair:
    from sklearn.neighbors import NearestNeighbors

    def lists(x: np.ndarray) -> list[set[int]]:
        found = NearestNeighbors(n_neighbors=k, metric="cosine").fit(x).kneighbors(return_distance=False)
        return [set(row) for row in found.tolist()]

    return lambda x, y: float(np.mean([share(len(a & b)) for a, b in zip(lists(x), lists(y), strict=True)]))


def _sklearn_rbf() -> Pair:
    """CKA of scikit-learn's RBF kernel on standardized features, both with its defaults."""
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.preprocessing import KernelCenterer, StandardScaler

    def value(x: np.ndarray, y: np.ndarray) -> float:
        k, el = (KernelCenterer().fit_transform(rbf_kernel(StandardScaler().fit_transform(z))) for z in (x, y))
        return float((k * el).sum() / np.linalg.norm(k) / np.linalg.norm(el))

    return value


def _sklearn_ridge() -> Pair:
    from sklearn.linear_model import RidgeCV

    def left_out(x: np.ndarray, y: np.ndarray) -> float:
        x, y = x.astype(np.float64), y.astype(np.float64)
        n = len(x)
        penalty = 0.1 * ((x - x.mean(0)) ** 2).sum() / n
        model = RidgeCV(alphas=[penalty], store_cv_results=True).fit(x, y)
        rest = (y.mean(0) - y) * n / (n - 1)
        return 1 - model.cv_results_.sum() / (rest**2).sum()

    return left_out


def _coded(pair: Pair) -> Pair:
    """The function on one-hot codes of the largest of four features, where nearly all neighbours are tied."""
    return lambda x, y: pair(*codes(x, y))


def codes(*features: np.ndarray) -> list[np.ndarray]:
    """One-hot codes (n, 4): which of the first four features of a sample is largest."""
    return [np.eye(4, dtype=np.float32)[x[:, :4].argmax(1)] for x in features]


def pairwise(k: int = 10) -> list[Peer]:
    """Functions of one pair of (n, d) float32 arrays that give a measure of this library."""
    near = _sklearn_neighbours
    return [
        Peer("cka", "ckatorch", "cka_base", lambda: _ckatorch(kernel="linear")),
        Peer("cka_rbf", "ckatorch", "cka_base", lambda: _ckatorch(kernel="rbf")),
        Peer("unbiased_cka", "ckatorch", "cka_base", lambda: _ckatorch(kernel="linear", unbiased=True)),
        Peer("unbiased_cka", "torch-cka", "CKA, one batch", _torch_cka),
        Peer("mknn", "scikit-learn", "NearestNeighbors", lambda: near(k, lambda o: o / k)),
        Peer("jaccard", "scikit-learn", "NearestNeighbors", lambda: near(k, lambda o: o / (2 * k - o))),
        Peer("procrustes", "simtorch", "Procrustes", _simtorch_procrustes),
        Peer("procrustes", "netrep", "cos of LinearMetric", _netrep_procrustes),
        Peer("procrustes", "rsatoolbox", "bures", lambda: _rsatoolbox("euclidean", "bures")),
        Peer("rsa", "rsatoolbox", "correlation, spearman", lambda: _rsatoolbox("correlation", "spearman")),
        Peer("distance_correlation", "dcor", "distance_correlation_sqr",
             lambda: _dcor("distance_correlation_sqr")),
        Peer("r2", "scikit-learn", "RidgeCV", _sklearn_ridge),
        Peer("wasserstein", "POT", "emd2", _transport),
    ]  # fmt: skip


def others(k: int = 10) -> list[Peer]:
    """Functions whose values differ from this library's, each with the cause."""
    return [
        Peer("unbiased_cka", "torch-cka", "CKA, batches of 64", lambda: _torch_cka(64),
             "estimator: HSIC averaged over mini-batches"),
        Peer("cka_rbf", "scikit-learn", "rbf_kernel",
             _sklearn_rbf, "standardization of every feature, and sigma: gamma = 1/d, not the median distance"),
        Peer("rsa", "rsatoolbox", "euclidean, cosine", lambda: _rsatoolbox("euclidean", "cosine"),
             "estimator: the package's defaults, another distance, compared by cosine and not by rank"),
        Peer("distance_correlation", "dcor", "u_distance_correlation_sqr",
             lambda: _dcor("u_distance_correlation_sqr"), "estimator: bias-corrected"),
        Peer("wasserstein", "POT", "sinkhorn2, reg=0.1", lambda: _transport(0.1),
             "epsilon: entropic smoothing spreads the plan"),
        Peer("mknn", "scikit-learn", "NearestNeighbors, one-hot codes",
             lambda: _coded(_sklearn_neighbours(k, lambda o: o / k)),
             "tie order: which of equal neighbours come first, and whether a sample is its own"),
    ]  # fmt: skip


def calibrated(x: Iterable[np.ndarray], y: Iterable[np.ndarray], permutations: int = 99) -> list[dict]:
    """What calibrated-similarity makes of unbiased CKA, of one pair and of all pairs, beside this library.

    The orders of the permutations are the same, so the values are too, to the package's float32. Columns
    ``measure``, ``package``, ``call``, ``ours``, ``theirs``, ``difference``, ``cause``.
    """
    from calibrated_similarity import calibrate, calibrate_layers

    x, y = list(x), list(y)
    first, second = {f"x{i}": z for i, z in enumerate(x)}, {f"y{i}": z for i, z in enumerate(y)}
    options = {"permutations": permutations, "seed": 0}

    def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
        return MEASURES["unbiased_cka"](a, b)

    def orders() -> dict:
        drawn = calibration.permutations(len(x[0]), permutations, 0)
        return {"K": permutations, "perm_fn": lambda n, device: next(drawn)}

    left, right = ([torch.from_numpy(z) for z in side] for side in (x, y))
    pairs = [(a, b) for a in first for b in second]
    row = alignment_grid(first | second, ["unbiased_cka"], pairs=pairs[:1], null="permutation", **options).iloc[0]
    whole = alignment_aggregates(first | second, ["unbiased_cka"], pairs=pairs, **options).set_index("aggregate")
    compared = [("calibrate", row, calibrate(left[0], right[0], similarity, **orders()))]
    for name, how in (("max", "max"), ("mean", "mean"), ("row_max", lambda s: s.max(1).values.mean())):
        theirs = calibrate_layers(left, right, similarity, agg=how, **orders())
        compared.append((f"calibrate_layers, {name}", whole.loc[name], theirs))
    return [
        {
            "measure": f"unbiased_cka: {column}",
            "package": f"calibrated-similarity {installed('calibrated-similarity')}",
            "call": call,
            "ours": float(ours[column]),
            "theirs": float(value),
            "difference": abs(float(ours[column]) - float(value)),
            "cause": "same orders of the samples; the package keeps values in float32",
        }
        for call, ours, found in compared
        for column, value in zip(("calibrated", "p", "threshold"), found, strict=True)
    ]


def whole(layers: list[np.ndarray]) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """measure -> package, and a function that gives its values for all pairs of ``layers`` at once."""

    def cka(estimator: str) -> Callable[[], np.ndarray]:
        def call() -> np.ndarray:
            import repsim

            return repsim.cka(layers, kernel_type="linear", estimator=estimator)

        return call

    return {"cka": ("repsim", cka("gretton")), "unbiased_cka": ("repsim", cka("song"))}
