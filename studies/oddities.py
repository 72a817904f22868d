"""Where odd values of measures come from: each function repeats one mistake on purpose.

None of this is how the library measures; it shows what the thesis' table of known inputs holds.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch

from studies.sanity import known_pair
from vilbert_lib.metrics import MEASURES


def randomized_svcca(n: int, d: int, q: int, iterations: Iterable[int], draws: int = 5) -> pd.DataFrame:
    """SVCCA of features with themselves from two randomized decompositions with seeds of their own.

    The features have 32 leading dimensions.

    Columns ``power iterations``, ``randomized`` (mean over draws), ``lowest``, ``exact``.
    """
    X = known_pair("shared", n, d)[0]
    centred = torch.from_numpy(X - X.mean(0))
    rows = []
    for niter in iterations:
        found = []
        for draw in range(draws):
            bases = []
            for side in (0, 1):
                torch.manual_seed(2 * draw + side)
                bases.append(torch.svd_lowrank(centred, q=q, niter=niter)[0])
            found.append(float(torch.linalg.svdvals(bases[0].T @ bases[1]).mean()))
        exact = MEASURES["svcca"](X, X, q=q)
        rows.append(
            {"power iterations": niter, "randomized": np.mean(found), "lowest": min(found), "exact": exact}
        )
    return pd.DataFrame(rows)


def procrustes_roots(n: int, d: int, draws: int = 50) -> pd.DataFrame:
    """Procrustes distances of identical float32 features by |X|^2 + |Y|^2 - 2 |X'Y|_*, without and with care.

    Counts how many of ``draws`` squares come out negative, so that their root is not a number.
    """
    squares, safe = [], []
    for draw in range(draws):
        X = known_pair("identical", n, d, seed=draw)[0].astype(np.float32)
        x = torch.from_numpy(X)
        squares.append(float(2 * x.square().sum() - 2 * torch.linalg.matrix_norm(x.T @ x, "nuc")))
        safe.append(MEASURES["procrustes_distance"](X, X))
    squares = np.array(squares)
    return pd.DataFrame(
        {
            "way": ["raw, uncentred, float32", "centred, of norm 1, clamped"],
            "roots that are not numbers": [
                f"{(squares < 0).sum()} of {draws}",
                f"{np.isnan(safe).sum()} of {draws}",
            ],
            "largest distance": [np.sqrt(squares.clip(0)).max(), max(safe)],
        }
    )


def scaled_procrustes(n: int, d: int, factors: Iterable[float]) -> pd.DataFrame:
    """The raw Procrustes distance of independent features when both are multiplied by a factor, and ours."""
    X, Y = known_pair("independent", n, d)
    rows = []
    for factor in factors:
        a, b = factor * X, factor * Y
        raw = np.sqrt((a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a.T @ b, "nuc"))
        rows.append({"factor": factor, "raw": raw, "ours": MEASURES["procrustes_distance"](a, b)})
    return pd.DataFrame(rows)


def hubs(n: int, d: int, k: int, spreads: Iterable[float]) -> pd.DataFrame:
    """Cycle kNN of identical features whose rows differ in length, by dot products and by cosines.

    ``spread`` is the standard deviation of the logarithm of a row's length; ``most lists`` the
    number of lists that the most frequent neighbour is in.
    """
    X = known_pair("identical", n, d)[0]
    lengths = np.random.default_rng(1).standard_normal(n)
    rows = []
    for spread in spreads:
        stretched = X * np.exp(spread * lengths)[:, None]
        products = stretched @ stretched.T
        np.fill_diagonal(products, -np.inf)
        nearest = np.argsort(-products, axis=1, kind="stable")[:, :k]
        cycle = np.mean([any(i in nearest[j] for j in nearest[i]) for i in range(n)])
        rows.append(
            {
                "spread": spread,
                "most lists": np.bincount(nearest.ravel()).max(),
                "by dot products": cycle,
                "by cosines": MEASURES["cycle_knn"](stretched, stretched, k=k),
            }
        )
    return pd.DataFrame(rows)


def lost_rows(n: int, d: int, k: int, shares: Iterable[float]) -> pd.DataFrame:
    """What order-of-neighbours measures give when only a ``share`` of the rows is filled in, zeros elsewhere.

    LCS is left undivided by k, as in the thesis; a lost row is an LCS of 0 and an edit distance of 0.
    """
    identical, independent = known_pair("identical", n, d), known_pair("independent", n, d)
    lcs, edit = (
        {"identical": MEASURES[name](*identical, k=k), "independent": MEASURES[name](*independent, k=k)}
        for name in ("lcs_knn", "edit_knn")
    )
    return pd.DataFrame(
        [
            {
                "share of rows": share,
                "LCS, identical": share * k * lcs["identical"],
                "LCS, independent": share * k * lcs["independent"],
                "edit, identical": 1 - share * (1 - edit["identical"]),
                "edit, independent": 1 - share * (1 - edit["independent"]),
            }
            for share in shares
        ]
    )


def bandwidths(n: int, d: int) -> pd.DataFrame:
    """RBF CKA of independent features with sigma = 1 on rows as they are, and with the median's bandwidth."""
    X, Y = known_pair("independent", n, d)

    def fixed(sigma: float) -> float:
        kernels = []
        for Z in (X, Y):
            squared = ((Z**2).sum(1)[:, None] + (Z**2).sum(1) - 2 * Z @ Z.T).clip(0)
            kernel = np.exp(-squared / (2 * sigma**2))
            kernels.append(kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean())
        K, L = kernels
        return float((K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum()))

    rows = [{"bandwidth": f"sigma = {sigma:g}", "RBF CKA": fixed(sigma)} for sigma in (1.0, 5.0, 20.0)]
    rows += [
        {"bandwidth": f"{t:g} x median distance", "RBF CKA": MEASURES["cka_rbf"](X, Y, threshold=t)}
        for t in (0.2, 0.5, 1.0)
    ]
    return pd.DataFrame(rows)
