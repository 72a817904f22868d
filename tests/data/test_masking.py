"""Corruption for pretraining: its shares, its limits, and its independence of everything but three numbers."""

import numpy as np
import pytest

from vilbert_lib.data.masking import IGNORED, generator, mask_tokens, swap_partner

MASK, VOCAB, LENGTH = 4, 1000, 200
SPECIAL = np.zeros(LENGTH, dtype=bool)
SPECIAL[[0, 150]] = SPECIAL[151:] = True
IDS = np.where(SPECIAL, 2, np.random.default_rng(0).integers(MASK + 1, VOCAB, size=LENGTH))


@pytest.fixture(scope="module")
def many():
    """Corrupted ids and targets, (1000, LENGTH) each."""
    drawn = [mask_tokens(IDS, SPECIAL, MASK, VOCAB, generator(0, 0, i)) for i in range(1000)]
    return tuple(np.stack(side) for side in zip(*drawn, strict=True))


def test_fifteen_percent_of_the_words_are_asked(many):
    _, targets = many
    assert (targets[:, ~SPECIAL] != IGNORED).mean() == pytest.approx(0.15, abs=0.005)


def test_every_word_is_asked_equally_often(many):
    _, targets = many
    share = (targets[:, ~SPECIAL] != IGNORED).mean(axis=0)
    assert share.min() > 0.09 and share.max() < 0.21


def test_of_the_asked_words_most_are_hidden_some_replaced_some_kept(many):
    ids, targets = many
    asked = targets != IGNORED
    hidden, kept = ids[asked] == MASK, ids[asked] == targets[asked]
    replaced = ids[asked][~hidden & ~kept]
    assert hidden.mean() == pytest.approx(0.8, abs=0.01)
    assert kept.mean() == pytest.approx(0.1, abs=0.01)
    assert len(replaced) / asked.sum() == pytest.approx(0.1, abs=0.01)
    assert replaced.min() > MASK and replaced.max() < VOCAB
    assert len(np.unique(replaced)) > 800


def test_special_tokens_are_never_touched(many):
    ids, targets = many
    assert (targets[:, SPECIAL] == IGNORED).all()
    assert (ids[:, SPECIAL] == IDS[SPECIAL]).all()


def test_targets_are_the_words_that_were_there_and_nothing_elsewhere(many):
    ids, targets = many
    asked = targets != IGNORED
    assert (targets[asked] == np.broadcast_to(IDS, targets.shape)[asked]).all()
    assert (ids[~asked] == np.broadcast_to(IDS, ids.shape)[~asked]).all()


def test_at_least_one_word_is_asked():
    ids, special = np.array([2, 7, 9, 3]), np.array([True, False, False, True])
    counts = [(mask_tokens(ids, special, MASK, VOCAB, generator(0, 0, i))[1] != IGNORED).sum() for i in range(300)]
    assert min(counts) == 1 and max(counts) == 2


def test_a_text_without_words_is_left_alone():
    ids = np.array([2, 3, 0])
    corrupted, targets = mask_tokens(ids, np.ones(3, dtype=bool), MASK, VOCAB, generator(0, 0, 0))
    assert (corrupted == ids).all() and (targets == IGNORED).all()


def test_the_input_is_not_changed():
    ids = IDS.copy()
    mask_tokens(ids, SPECIAL, MASK, VOCAB, generator(0, 0, 0))
    assert (ids == IDS).all()


def corrupted(*where):
    return mask_tokens(IDS, SPECIAL, MASK, VOCAB, generator(*where))[0].tolist()


def test_the_same_seed_epoch_and_index_give_the_same_corruption():
    assert corrupted(1, 2, 3) == corrupted(1, 2, 3)


@pytest.mark.parametrize("other", [(0, 2, 3), (1, 0, 3), (1, 2, 0), (3, 2, 1)])
def test_another_seed_epoch_or_index_gives_another_corruption(other):
    assert corrupted(*other) != corrupted(1, 2, 3)


TEXTS = ["a dog", "a cat", "a dog", "a bird", "a dog"]


def test_half_of_the_captions_are_swapped_for_a_different_text():
    partners = [swap_partner(TEXTS, 0, generator(0, 0, i)) for i in range(4000)]
    swapped = [partner for partner in partners if partner is not None]
    assert len(swapped) / len(partners) == pytest.approx(0.5, abs=0.03)
    assert set(swapped) == {1, 3}
    assert swapped.count(1) / len(swapped) == pytest.approx(0.5, abs=0.05)


def test_the_same_generator_gives_the_same_partner():
    assert [swap_partner(TEXTS, 1, generator(5, 1, i)) for i in range(20)] == [
        swap_partner(TEXTS, 1, generator(5, 1, i)) for i in range(20)
    ]


def test_texts_that_are_all_equal_cannot_be_swapped():
    with pytest.raises(ValueError, match="no caption differs from 'a dog'"):
        for i in range(20):
            swap_partner(["a dog"] * 5, 0, generator(0, 0, i))
