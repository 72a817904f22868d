"""Features that the tests of measures measure."""

import importlib.util
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parent.parent / "reference"
NEED_EQUAL_WIDTHS = ("cosine", "max_sim_tp", "max_sim_pt", "wasserstein")
HARD = ("mean", "lowrank", "offset", "twins", "half_equal", "ones_and_zeros", "empty_rows", "outlier")


def _load_cases():
    spec = importlib.util.spec_from_file_location("reference_cases", REFERENCE / "cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load_cases().make


def pair(seed: int, n: int, d: int, e: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and (n, e) that share a part."""
    rng = np.random.default_rng([seed, n, d, e])
    common = rng.standard_normal((n, 3))
    X, Y = (common @ rng.standard_normal((3, width)) + rng.standard_normal((n, width)) for width in (d, e))
    return X, Y


def hard(kind: str, n: int = 16, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A pair (n, d), (n, d) that is hard on arithmetic, or on the order of neighbours."""
    X, Y = pair(7, n, d, d)
    rng = np.random.default_rng(7)
    match kind:
        case "mean":
            return X + 1e3, Y - 3e3
        case "lowrank":
            return X[:, :2] @ rng.standard_normal((2, d)), Y[:, :2] @ rng.standard_normal((2, d))
        case "offset":
            X, Y = make("offset", n, d=d)
            return X.astype(float), Y.astype(float)
        case "twins":
            return np.repeat(X[: n // 2], 2, 0), np.repeat(Y[: n // 2], 2, 0)
        case "half_equal":  # all but three rows are one and the same, not the same ones on either side
            X[: n - 3], Y[3:] = X[0], Y[-1]
            return X, Y
        case "ones_and_zeros":
            return (X > 0.5).astype(float), (Y > 0.5).astype(float)
        case "empty_rows":
            X[2], Y[[2, 5]] = 0, 0
            return X, Y
        case "outlier":
            X[3] *= 100
            return X, Y
    raise KeyError(kind)


def tokens(seed: int, n: int = 9, texts: int = 5, patches: int = 7, d: int = 4):
    """Token states (n, texts, d) and patch states (n, patches, d) that share a part, and masks of either."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 1, d))
    X, Y = (common + rng.standard_normal((n, length, d)) for length in (texts, patches))
    masks = []
    for states in (X, Y):
        mask = rng.random(states.shape[:2]) < 0.6
        mask[:, 1] |= ~mask.any(1)
        masks.append(mask)
    return X, Y, *masks
