"""CKA within batches beside that of the whole sample."""

import numpy as np
import pytest
import torch

from studies.minibatch import bias
from vilbert_lib.training.alignment_term import unbiased_cka


def pair(n=400, d=8):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    return x, x + torch.randn(n, d, generator=torch.Generator().manual_seed(1))


def test_the_mean_of_ratios_is_that_of_the_loss_batch_by_batch():
    x, y = pair(12)
    found = bias(x, y, [5], passes=1).iloc[0]
    assert found.batches == 2
    order = torch.from_numpy(np.random.default_rng(0).permutation(12))[:10].view(2, 5)
    by_hand = [unbiased_cka(x[batch].double(), y[batch].double()) for batch in order]
    assert found["mean of ratios"] == pytest.approx(float(sum(by_hand)) / 2)


def test_the_ratio_of_means_is_nearer_than_the_mean_of_ratios_in_small_batches():
    table = bias(*pair(), [4, 8, 64], passes=20).set_index("batch")
    assert (table["bias of it"].abs() < table.bias.abs() + 0.005).all()
    assert abs(table["bias of it"][8]) < 0.01
    assert abs(table.bias[4]) > 5 * table.error[4], "the ratio of a small batch is biased"
    assert abs(table.bias[64]) < abs(table.bias[4])


def test_batches_without_a_ratio_are_counted_and_left_out():
    x, y = pair(8)
    x[1:4] = x[0]
    x[5:8] = x[4]
    x[0] = x[4]  # three of one kind, five of the other
    table = bias(x, y, [4], passes=40)
    assert 0 < table.undefined[0] < table.batches[0]
    assert np.isfinite(table["mean of ratios"][0])


@pytest.mark.parametrize("size", [3, 13])
def test_sizes_that_cannot_be_are_named(size):
    with pytest.raises(ValueError, match=rf"\[{size}\] must lie in 4..12"):
        bias(*pair(12), [8, size])
