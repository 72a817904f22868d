"""Corruption for pretraining: its shares, its limits, and its independence of everything but three numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.random import Generator, Philox
from scipy.stats import binom, chisquare

from vilbert_lib.data.masking import (
    IGNORED,
    Purpose,
    Swaps,
    choose_places,
    draws,
    mask_patches,
    mask_words,
)

MASK, LENGTH, ROWS = 4, 200, 1000
WORDS = np.r_[1, 5:1000]  # id 1 is a word, ids 0, 2, 3 and 4 are special
FREE = np.ones(LENGTH, dtype=bool)
FREE[[0, 150]] = FREE[151:] = False
IDS = np.where(FREE, np.random.default_rng(0).choice(WORDS, size=LENGTH), 2)


def likely(successes: int, trials: int, share: float) -> bool:
    """Whether so many successes are what a binomial distribution gives in all but one case of a million."""
    low, high = binom.interval(1 - 1e-6, trials, share)
    return low <= successes <= high


# Numbers


def test_a_samples_numbers_depend_on_seed_epoch_index_and_purpose_alone():
    indices = np.array([7, 3, 10**9, 0])
    together = draws(5, 2, indices, 9, Purpose.WORDS)
    np.random.seed(0)
    for row, index in enumerate(indices):
        assert (draws(5, 2, np.array([index]), 9, Purpose.WORDS)[0] == together[row]).all()
    assert (draws(5, 2, indices[::-1], 9, Purpose.WORDS) == together[::-1]).all()
    assert (draws(5, 2, indices, 4, Purpose.WORDS) == together[:, :4]).all()


def test_another_seed_epoch_index_or_purpose_gives_other_numbers():
    places = [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0), (3, 2, 1), (2, 1, 3), (2**31, 2, 3)]
    rows = [
        tuple(draws(seed, epoch, np.array([index]), 4, purpose)[0])
        for seed, epoch, index in places
        for purpose in Purpose
    ]
    assert len(set(rows)) == len(places) * len(Purpose)
    assert len({number for row in rows for number in row}) == 4 * len(rows)


def test_numbers_are_uniform_and_neighbours_unrelated():
    numbers = draws(0, 0, np.arange(4000), 5, Purpose.WORDS)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert chisquare(np.histogram(numbers, bins=50, range=(0, 1))[0]).pvalue > 1e-6
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.08
    assert abs(np.corrcoef(numbers, rowvar=False) - np.eye(5)).max() < 0.08


def test_the_numbers_are_those_of_philox():
    wanted = Generator(Philox(key=[1, 2], counter=[0, 0, Purpose.WORDS, 3])).random(6)
    assert (draws(1, 2, np.array([8, 3]), 6, Purpose.WORDS)[1] == wanted).all()


# Words


@pytest.fixture(scope="module")
def many():
    """Corrupted ids and targets, (ROWS, LENGTH) each."""
    numbers = draws(0, 0, np.arange(ROWS), 3 * LENGTH, Purpose.WORDS).reshape(ROWS, LENGTH, 3)
    return mask_words(np.tile(IDS, (ROWS, 1)), np.tile(FREE, (ROWS, 1)), numbers, MASK, WORDS)


def test_fifteen_percent_of_the_words_are_asked(many):
    asked = many[1][:, FREE] != IGNORED
    assert likely(asked.sum(), asked.size, 0.15)


def test_every_word_is_asked_equally_often(many):
    asked = (many[1][:, FREE] != IGNORED).sum(0)
    assert all(likely(count, ROWS, 0.15) for count in asked)


def test_of_the_asked_words_most_are_hidden_some_replaced_some_kept(many):
    ids, targets = many
    asked = targets != IGNORED
    hidden, kept = ids[asked] == MASK, ids[asked] == targets[asked]
    replaced = ids[asked][~hidden & ~kept]
    assert likely(hidden.sum(), asked.sum(), 0.8)
    assert likely(kept.sum(), asked.sum(), 0.1 + 0.1 / len(WORDS))
    assert np.isin(replaced, WORDS).all() and {1, 999} <= set(replaced)
    assert len(np.unique(replaced)) > 0.85 * len(WORDS)


def test_special_tokens_are_never_touched(many):
    ids, targets = many
    assert (targets[:, ~FREE] == IGNORED).all()
    assert (ids[:, ~FREE] == IDS[~FREE]).all()


def test_targets_are_the_words_that_were_there_and_nothing_elsewhere(many):
    ids, targets = many
    asked, before = targets != IGNORED, np.tile(IDS, (ROWS, 1))
    assert (targets[asked] == before[asked]).all()
    assert (ids[~asked] == before[~asked]).all()


def test_at_least_one_word_is_asked_and_each_equally_often():
    numbers = draws(0, 0, np.arange(3000), 12, Purpose.WORDS).reshape(-1, 4, 3)
    free = np.tile([False, True, True, False], (3000, 1))
    asked = mask_words(np.full((3000, 4), 7), free, numbers, MASK, WORDS)[1] != IGNORED
    assert set(asked.sum(1)) == {1, 2}
    assert likely((asked.sum(1) == 2).sum(), 3000, 0.15**2)
    assert likely((asked[:, 1] & ~asked[:, 2]).sum(), 3000, 0.5 * (1 - 0.15**2))


def test_a_text_without_words_is_left_alone():
    ids = np.array([[2, 3, 0]])
    corrupted, targets = mask_words(ids, np.zeros((1, 3), dtype=bool), np.zeros((1, 3, 3)), MASK, WORDS)
    assert (corrupted == ids).all() and (targets == IGNORED).all()


@given(st.data())
def test_whatever_the_numbers_are_only_free_places_change(data):
    shape = data.draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=6))
    numbers = data.draw(arrays.arrays(float, (*shape, 3), elements=st.floats(0, 1, exclude_max=True)))
    free = data.draw(arrays.arrays(bool, shape))
    ids = np.where(free, 7, 3)
    before = ids.copy()
    corrupted, targets = mask_words(ids, free, numbers, MASK, WORDS)
    asked = targets != IGNORED
    assert (ids == before).all() and (corrupted[~asked] == ids[~asked]).all()
    assert not (asked & ~free).any() and (asked.any(1) == free.any(1)).all()
    assert np.isin(corrupted[asked], [MASK, *WORDS]).all()


# Patches


def test_fifteen_percent_of_the_patches_are_chosen_and_nine_in_ten_of_them_hidden():
    chosen, hidden = mask_patches(draws(0, 0, np.arange(ROWS), 2 * 196, Purpose.PATCHES).reshape(-1, 196, 2))
    assert chosen.shape == hidden.shape == (ROWS, 196)
    assert likely(chosen.sum(), chosen.size, 0.15)
    assert not (hidden & ~chosen).any()
    assert likely(hidden.sum(), chosen.sum(), 0.9)
    assert all(likely(count, ROWS, 0.15) for count in chosen.sum(0))


def test_at_least_one_patch_is_chosen():
    chosen, _ = mask_patches(draws(0, 0, np.arange(2000), 8, Purpose.PATCHES).reshape(-1, 4, 2))
    counts = chosen.sum(1)
    assert counts.min() == 1
    assert likely((counts == 1).sum(), 2000, binom.cdf(1, 4, 0.15))


def test_a_share_of_one_chooses_every_free_place():
    free = np.array([[True, False, True]])
    assert (choose_places(free, np.array([[0.1, 0.0, 0.99]]), 1.0) == free).all()


# Swaps


TEXTS = np.array([0, 1, 0, 2, 0])


def test_half_of_the_captions_are_swapped_for_a_different_text():
    indices = np.zeros(4000, dtype=int)
    partners, swapped = Swaps(TEXTS).draw(indices, draws(0, 0, np.arange(4000), 2, Purpose.SWAPS))
    assert likely(swapped.sum(), 4000, 0.5)
    assert set(partners[swapped]) == {1, 3} and set(partners[~swapped]) == {0}
    assert likely((partners[swapped] == 1).sum(), swapped.sum(), 0.5)


@given(st.data())
def test_a_partner_reads_differently_and_each_such_one_can_come(data):
    texts = data.draw(st.lists(st.integers(0, 4), min_size=2, max_size=12).filter(lambda t: len(set(t)) > 1))
    texts = np.unique(texts, return_inverse=True)[1]
    index = data.draw(st.integers(0, len(texts) - 1))
    others = np.flatnonzero(texts != texts[index])
    grid = (np.arange(len(others)) + 0.5) / len(others)
    numbers = np.stack([np.zeros(len(grid)), grid], axis=1)
    partners, swapped = Swaps(texts).draw(np.full(len(grid), index), numbers)
    assert swapped.all() and sorted(partners) == others.tolist()


def test_texts_that_all_read_the_same_cannot_be_swapped():
    with pytest.raises(ValueError, match="all 3 captions read the same"):
        Swaps(TEXTS[[0, 2, 4]])
