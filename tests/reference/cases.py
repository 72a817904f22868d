"""Seeded inputs of the reference values, made by numpy alone: float32, d=768 unless stated."""

import numpy as np

D = 768
CASES = ["identical", "random", "correlated", "lowrank", "rotated", "ties", "offset"]


def make(case, n, d=D, seed=0):
    """The pair (n, d), (n, d) called ``case``; the order of the draws is part of what it is."""
    rng = np.random.default_rng([20240607, n, seed, sum(map(ord, case))])
    X = rng.standard_normal((n, d))
    match case:
        case "identical":
            Y = X.copy()
        case "random":
            Y = rng.standard_normal((n, d))
        case "correlated":  # shared 32-d signal + own noise, own random readout
            Z = rng.standard_normal((n, 32))
            X, Y = (noisy_readout(Z, d, rng) for _ in range(2))
        case "lowrank":  # rank 16, partially shared, no noise: singular covariances
            Z = rng.standard_normal((n, 24))
            X = Z[:, :16] @ rng.standard_normal((16, d)) / 4
            Y = Z[:, 8:] @ rng.standard_normal((16, d)) / 4
        case "rotated":  # Y = c * X Q + b
            Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
            Y = 2.5 * X @ Q + 3.0 * rng.standard_normal((1, d))
        case "ties":  # every sample appears twice in both spaces
            X = np.repeat(X[: n // 2], 2, 0)
            Y = np.repeat(rng.standard_normal((n // 2, d)), 2, 0)
        case "offset":  # correlated, with the large common mean of real transformer features
            Z = rng.standard_normal((n, 32))
            X, Y = (noisy_readout(Z, d, rng) + 20 * rng.standard_normal((1, d)) for _ in range(2))
        case _:
            raise KeyError(case)
    return X.astype(np.float32), Y.astype(np.float32)


def noisy_readout(Z, d, rng):
    """The signal (n, 32) read out into (n, d), and noise."""
    return Z @ rng.standard_normal((32, d)) / 32**0.5 + 0.5 * rng.standard_normal((len(Z), d))
