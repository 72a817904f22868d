"""What a synthetic dataset is made of: sizes, parts, a writer, and what is knowable."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import Knobs
from vilbert_lib.synthetic.truth import Truth


@dataclass(frozen=True)
class Sizes:
    """How many samples each split has, from the number of training samples unless ``tests`` is given."""

    train: int
    tests: int = 0

    @property
    def val(self) -> int:
        """Number of validation samples."""
        return max(self.train // 4, 8)

    @property
    def test(self) -> int:
        """Number of test samples."""
        return self.tests or max(self.train // 2, 8)

    @property
    def train_and_tenth(self) -> int:
        """Training samples where the readers take a tenth of the training part for validation."""
        return self.train * 10 // 9


@dataclass(frozen=True)
class World:
    """One dataset: its folder's name, the samples in each part on disk, its writer, its truth."""

    name: str
    parts: Callable[[Sizes], dict[str, int]]
    write: Callable[[Path, dict[str, int], int, Knobs], None]
    truth: Callable[[Knobs], Truth]


# Combinations of attributes that do not bear on the label are dealt out to the splits: what the
# validation and the test part show, training never showed in this combination, and no pair of
# text and scene is in two splits. The attributes are added up with weights, and the sum modulo 8
# says to which split a combination belongs. With an attribute of four values first and one of two
# second, each value of a third comes with all sums equally often.

_WEIGHTS = (1, 4, 3, 5, 7)
_SUMS = {"train": range(6), "val": (6,), "test": (7,)}


def combinations(*counts: int, split: str) -> np.ndarray:
    """The combinations that ``split`` shows, (m, len(counts)), of attributes with ``counts`` values."""
    rows = np.array(list(product(*(range(count) for count in counts))))
    return rows[np.isin(rows @ _WEIGHTS[: len(counts)] % 8, _SUMS[split])]


def draw_combinations(*counts: int, splits: np.ndarray, draws: Draws) -> np.ndarray:
    """For each of ``splits`` (n,) one of the combinations that it shows, (n, len(counts))."""
    drawn = np.empty((len(splits), len(counts)), int)
    for split in np.unique(splits):
        options, rows = combinations(*counts, split=str(split)), splits == split
        drawn[rows] = options[draws.below(int(rows.sum()), len(options))[:, 0]]
    return drawn


def splits_of(part: str, n: int, tenth: bool = False) -> np.ndarray:
    """To which split each of the n samples of a part belongs, (n,).

    With ``tenth`` the readers take those training samples for validation whose number ends in 9.
    """
    splits = np.full(n, {"dev": "val", "validation": "val"}.get(part, part), dtype="U5")
    if tenth and part == "train":
        splits[9::10] = "val"
    return splits
