"""How pretraining corrupts samples: hidden words, hidden patches, swapped captions.

Every draw depends on (seed, epoch, index) and what it is for, and on nothing else: a sample is the
same whichever process makes it, in whichever batch, and whatever else is asked of it.
"""

from enum import IntEnum

import numpy as np
from numpy.random import Generator, Philox

IGNORED = -100  # the target that a cross-entropy leaves out


class Purpose(IntEnum):
    """What numbers are drawn for; each purpose has numbers of its own."""

    SWAPS = 0
    WORDS = 1
    PATCHES = 2
    AUGMENTATION = 3


def draws(seed: int, epoch: int, indices: np.ndarray, count: int, purpose: Purpose) -> np.ndarray:
    """Uniform numbers in [0, 1), (B, ``count``): row b belongs to sample ``indices[b]``.

    Philox (Salmon et al. 2011) turns a key and a counter into random numbers, so a sample's numbers
    are found at once. The first numbers of a row are the same whatever ``count`` is.
    """
    philox = Philox(key=[seed, epoch])
    generator, state = Generator(philox), philox.state
    numbers = np.empty((len(indices), count))
    for row, index in zip(numbers, indices, strict=True):
        state["state"]["counter"][2:] = purpose, index
        philox.state = state
        generator.random(out=row)
    return numbers


def choose_places(free: np.ndarray, numbers: np.ndarray, share: float) -> np.ndarray:
    """Choose each ``free`` place with probability ``share``, at least one a row; (B, N) bool.

    A row without free places stays empty.
    """
    numbers = np.where(free, numbers, 1.0)
    return free & ((numbers < share) | (numbers == numbers.min(axis=1, keepdims=True)))


def mask_words(
    ids: np.ndarray,
    free: np.ndarray,
    numbers: np.ndarray,
    mask_id: int,
    words: np.ndarray,
    share: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    """Masked language modelling (Devlin et al. 2019, section 3.1) of the ids (B, T).

    Of the places that are ``free`` (B, T) bool, ``share`` are chosen, at least one a row; 80 % of
    these become ``mask_id``, 10 % one of ``words`` (W,), 10 % stay. Returns the corrupted ids and
    the targets, both (B, T); targets are :data:`IGNORED` where nothing was chosen. ``numbers``
    (B, T, 3) are uniform in [0, 1).
    """
    where, how, which = np.moveaxis(numbers, 2, 0)
    chosen = choose_places(free, where, share)
    random_words = words[(which * len(words)).astype(np.int64)]
    corrupted = np.where(chosen & (how < 0.8), mask_id, ids)
    corrupted = np.where(chosen & (how >= 0.9), random_words, corrupted)
    return corrupted, np.where(chosen, ids, IGNORED)


def mask_patches(
    numbers: np.ndarray, share: float = 0.15, hidden_share: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """Masked image modelling (Lu et al. 2019, section 3.1): which of the P patches, (B, P) bool each.

    ``share`` of the patches are chosen, at least one a row; ``hidden_share`` of these are to be
    hidden, the rest shown as they are. ``numbers`` (B, P, 2) are uniform in [0, 1).
    """
    where, how = np.moveaxis(numbers, 2, 0)
    chosen = choose_places(np.ones(where.shape, dtype=bool), where, share)
    return chosen, chosen & (how < hidden_share)


class Swaps:
    """Draws for some samples the text of another one, never one that reads the same.

    ``text`` (n,) are numbers from 0 on, equal where texts have the same tokens: texts that differ in
    case alone, or after the last token that is read, are the same to the model. Raises ValueError where
    all are the same.
    """

    def __init__(self, text: np.ndarray):
        sizes = np.bincount(text)
        if len(sizes) == 1:
            raise ValueError(f"all {len(text)} captions read the same: alignment prediction has none to swap for")
        # Samples sorted by text: those of one text lie side by side, and can be jumped over.
        self.order = np.argsort(text, kind="stable")
        self.begin, self.size = (np.cumsum(sizes) - sizes)[text], sizes[text]

    def draw(self, indices: np.ndarray, numbers: np.ndarray, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """Whose text each of ``indices`` (B,) is shown, and whether it was swapped, (B,) each.

        Each is swapped with probability ``share``; every sample with another text is equally
        likely. ``numbers`` (B, 2) are uniform in [0, 1).
        """
        begin, size = self.begin[indices], self.size[indices]
        place = (numbers[:, 1] * (len(self.order) - size)).astype(np.int64)
        partners = self.order[place + size * (place >= begin)]
        swapped = numbers[:, 0] < share
        return np.where(swapped, partners, indices), swapped
