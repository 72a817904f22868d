"""Random numbers that are the same on every machine: whole numbers from raw bits, by named streams."""

import hashlib

import numpy as np

_HALF = np.uint64(32)


class Draws:
    """A stream of draws that depends on ``seed`` and the names ``where``, and on nothing else.

    Numbers are made from the raw bits of PCG64, whose stream NumPy keeps the same for good; how
    its distributions use these bits may change between versions.
    """

    def __init__(self, seed: int, *where: str):
        self._bits = np.random.PCG64([seed, *hashlib.sha256("/".join(where).encode()).digest()[:8]])

    def below(self, n: int, *bounds: int) -> np.ndarray:
        """Rows of whole numbers, (n, len(bounds)) int64: column j is uniform in 0..bounds[j]-1."""
        return (self._halves(n, len(bounds)) * np.array(bounds, np.uint64) >> _HALF).astype(np.int64)

    def happens(self, n: int, *chances: float) -> np.ndarray:
        """Rows of independent events, (n, len(chances)) bool: column j is true with chance ``chances[j]``."""
        return self._halves(n, len(chances)) < np.array([_threshold(chance) for chance in chances], np.uint64)

    def choose(self, n: int, weights: list[float]) -> np.ndarray:
        """Positions in ``weights``, (n,) int64, each drawn with a chance in proportion to its weight."""
        total = sum(weights)
        bounds = [_threshold(sum(weights[: i + 1]) / total) for i in range(len(weights))]
        return np.searchsorted(np.array(bounds, np.uint64), self._halves(n, 1)[:, 0], side="right")

    def orders(self, n: int, length: int) -> np.ndarray:
        """Rows of permutations of 0..length-1, (n, length) int64."""
        return np.argsort(self._bits.random_raw((n, length)), axis=1, kind="stable")

    def octets(self, n: int) -> np.ndarray:
        """Uniform bytes, (n,) uint8."""
        return self._bits.random_raw(-(-n // 8)).astype("<u8", copy=False).view(np.uint8)[:n]

    def _halves(self, n: int, k: int) -> np.ndarray:
        return self._bits.random_raw((n, k)) >> _HALF


def _threshold(chance: float) -> int:
    return round(chance * 2**32)
