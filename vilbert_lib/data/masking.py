"""How pretraining corrupts a sample: masked words and swapped captions.

Every draw depends on (seed, epoch, index) alone, so a sample is the same whichever process makes
it and in whichever order.
"""

import numpy as np

IGNORED = -100  # the target that a cross-entropy leaves out


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one sample in one epoch."""
    return np.random.default_rng([seed, epoch, index])


def mask_tokens(
    ids: np.ndarray,
    special: np.ndarray,
    mask_id: int,
    vocab_size: int,
    rng: np.random.Generator,
    share: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    """Masked language modelling (Devlin et al. 2019, section 3.1).

    Of the positions that are not ``special`` (T,) bool, ``share`` are chosen, at least one; 80 %
    of these become ``mask_id``, 10 % a random id, 10 % stay. Returns the corrupted ids (T,) and
    the targets (T,), :data:`IGNORED` at every position that was not chosen. Random ids lie above
    ``mask_id``: in BERT's vocabularies the special ids come first, and are never drawn.
    """
    ids, targets = ids.copy(), np.full_like(ids, IGNORED)
    free = np.flatnonzero(~special)
    if not len(free):
        return ids, targets
    chosen = free[rng.random(len(free)) < share]
    if not len(chosen):
        chosen = rng.choice(free, size=1)
    targets[chosen] = ids[chosen]
    how = rng.random(len(chosen))
    ids[chosen[how < 0.8]] = mask_id
    random = chosen[how >= 0.9]
    ids[random] = rng.integers(mask_id + 1, vocab_size, size=len(random))
    return ids, targets


def swap_partner(texts: list[str], index: int, rng: np.random.Generator) -> int | None:
    """With probability one half, the index of a sample whose text differs; None: keep the pair.

    Raises ValueError where all texts are equal.
    """
    if rng.random() < 0.5:
        return None
    for _ in range(20):
        partner = int(rng.integers(len(texts)))
        if texts[partner] != texts[index]:
            return partner
    others = [i for i, text in enumerate(texts) if text != texts[index]]
    if others:
        return others[rng.integers(len(others))]
    raise ValueError(f"no caption differs from {texts[index]!r}: alignment prediction has nothing to swap")
