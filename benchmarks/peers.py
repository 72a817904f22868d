"""What a user would otherwise use: packages from the package index, called as their documentation says."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

Pair = Callable[[np.ndarray, np.ndarray], float]


def installed(package: str) -> str | None:
    """The version of ``package``, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _ckatorch(**options) -> Pair:
    from ckatorch import cka_base

    return lambda x, y: float(cka_base(torch.from_numpy(x), torch.from_numpy(y), **options))


def _simtorch_procrustes() -> Pair:
    from simtorch.similarity.procrustes import Procrustes

    measure = Procrustes.__new__(Procrustes)  # its constructor asks for models; the distance needs none
    return lambda x, y: 1 - float(measure.procrustes_dist(torch.from_numpy(x), torch.from_numpy(y)))


def _rsatoolbox() -> Pair:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    def rdm(x: np.ndarray):
        return calc_rdm(Dataset(x), method="correlation")

    return lambda x, y: float(compare(rdm(x), rdm(y), method="spearman")[0, 0])


def _sklearn_neighbours(k: int, share: Callable[[int], float]) -> Pair:
    from sklearn.neighbors import NearestNeighbors

    def lists(x: np.ndarray) -> list[set[int]]:
        found = NearestNeighbors(n_neighbors=k, metric="cosine").fit(x).kneighbors(return_distance=False)
        return [set(row) for row in found.tolist()]

    return lambda x, y: float(np.mean([share(len(a & b)) for a, b in zip(lists(x), lists(y), strict=True)]))


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


def pairwise(k: int = 10) -> dict[str, tuple[str, Callable[[], Pair]]]:
    """measure -> package, and how to get its function of one pair of (n, d) float32 arrays."""
    return {
        "cka": ("ckatorch", lambda: _ckatorch(kernel="linear")),
        "cka_rbf": ("ckatorch", lambda: _ckatorch(kernel="rbf")),
        "unbiased_cka": ("ckatorch", lambda: _ckatorch(kernel="linear", unbiased=True)),
        "mknn": ("scikit-learn", lambda: _sklearn_neighbours(k, lambda o: o / k)),
        "jaccard": ("scikit-learn", lambda: _sklearn_neighbours(k, lambda o: o / (2 * k - o))),
        "procrustes": ("simtorch", _simtorch_procrustes),
        "rsa": ("rsatoolbox", _rsatoolbox),
        "r2": ("scikit-learn", _sklearn_ridge),
    }


def whole(layers: list[np.ndarray]) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """measure -> package, and a function that gives its values for all pairs of ``layers`` at once."""

    def cka(estimator: str) -> Callable[[], np.ndarray]:
        def call() -> np.ndarray:
            import repsim

            return repsim.cka(layers, kernel_type="linear", estimator=estimator)

        return call

    return {"cka": ("repsim", cka("gretton")), "unbiased_cka": ("repsim", cka("song"))}
