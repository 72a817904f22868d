"""Batches: what they hold, and that a sample is the same in whichever batch it comes."""

import numpy as np
import pytest
import torch

from vilbert_lib.data import formats
from vilbert_lib.data.datasets import PairDataset, PretrainingDataset, batches, epoch_order
from vilbert_lib.data.images import decode
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.data.tokenizer import of_root


@pytest.fixture(scope="module")
def words(tiny_root):
    return of_root(tiny_root)


@pytest.fixture(scope="module")
def pairs(tiny_root, words):
    return PairDataset(formats.task("hateful_memes").splits(tiny_root)["train"], words, 32, 32)


@pytest.fixture
def pretraining(tiny_root, words):
    records = formats.task("conceptual_captions").splits(tiny_root)["train"]
    return PretrainingDataset(records, words, 32, 32, objectives=("mlm", "ap"), seed=0)


def test_a_batch_has_the_promised_keys_shapes_and_types(pairs):
    batch = pairs.__getitems__([3, 1, 4])
    longest = int(pairs.lengths[[3, 1, 4]].max())
    assert {name: (tuple(values.shape), values.dtype) for name, values in batch.items()} == {
        "input_ids": ((3, longest), torch.int64),
        "attention_mask": ((3, longest), torch.bool),
        "pixel_values": ((3, 3, 32, 32), torch.float32),
        "label": ((3,), torch.int64),
    }


def test_a_batch_holds_its_samples(pairs, words):
    indices = [3, 1, 4]
    batch = pairs.__getitems__(indices)
    for row, index in enumerate(indices):
        record = pairs.records[index]
        ids, lengths = words.encode([record.text], 32)
        assert (batch["input_ids"][row, : lengths[0]].numpy() == ids[0]).all()
        assert batch["attention_mask"][row].tolist() == [
            i < lengths[0] for i in range(batch["input_ids"].shape[1])
        ]
        wanted = (decode(record.img, 32) / 255 - 0.5) / 0.5
        np.testing.assert_allclose(batch["pixel_values"][row].permute(1, 2, 0), wanted, atol=1e-6)
        assert batch["label"][row] == record.label


def test_a_batch_is_trimmed_to_its_longest_text(pairs):
    shortest, longest = int(pairs.lengths.argmin()), int(pairs.lengths.argmax())
    assert pairs.lengths[shortest] < pairs.lengths[longest]
    assert pairs.__getitems__([shortest])["input_ids"].shape[1] == pairs.lengths[shortest]
    both = pairs.__getitems__([shortest, longest])
    assert both["input_ids"].shape[1] == pairs.lengths[longest]
    assert both["attention_mask"].sum(1).tolist() == [pairs.lengths[shortest], pairs.lengths[longest]]


def test_images_are_standardised_channel_by_channel(pairs, words):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    other = PairDataset(pairs.records[:2], words, 32, 32, mean=mean, std=std)
    wanted = (decode(pairs.records[1].img, 32) / 255 - mean) / std
    np.testing.assert_allclose(other[1]["pixel_values"].permute(1, 2, 0), wanted, atol=1e-5)


def test_one_item_is_a_row_of_its_batch(pairs):
    batch = pairs.__getitems__([5])
    item = pairs[5]
    assert item.keys() == batch.keys() and len(pairs) == 32
    assert all(torch.equal(item[name], batch[name][0]) for name in batch)


def test_a_missing_label_is_minus_one(pairs, words):
    records = [pairs.records[0]._replace(label=None), pairs.records[1]]
    assert PairDataset(records, words, 32, 32).__getitems__([0, 1])["label"].tolist() == [-1, records[1].label]


def test_an_image_with_several_questions_is_decoded_once(tiny_root, words):
    records = formats.task("easy_vqa").splits(tiny_root)["train"]
    data = PairDataset(records, words, 32, 32)
    assert len(data.pixels) == len({r.img for r in records}) < len(records)
    assert (data.image_of[0] == data.image_of[1]) == (records[0].img == records[1].img)
    for index in (0, 1, len(records) - 1):
        assert (data.pixels[data.image_of[index]] == decode(records[index].img, 32)).all()


def test_a_dataset_without_records_is_refused(words):
    with pytest.raises(ValueError, match="at least one record"):
        PairDataset([], words, 32, 32)


# Order


def test_the_order_depends_on_size_seed_and_epoch_alone():
    np.random.seed(0)
    torch.manual_seed(0)
    first = epoch_order(50, 1, 2)
    np.random.seed(1)
    torch.manual_seed(1)
    assert (epoch_order(50, 1, 2) == first).all()
    assert sorted(first) == list(range(50))
    for other in (epoch_order(50, 0, 2), epoch_order(50, 1, 1), epoch_order(50, 2, 1)):
        assert (other != first).any()


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_cover_all_samples_once_in_order(pairs, workers):
    order = epoch_order(len(pairs), 0, 0)
    found = list(batches(pairs, order, 5, workers=workers))
    assert [len(batch["label"]) for batch in found] == [5] * 6 + [2]
    pixels = torch.cat([batch["pixel_values"] for batch in found])
    assert torch.equal(pixels, pairs.__getitems__(order)["pixel_values"])
    assert len({row.numpy().tobytes() for row in pixels}) == len(pairs)


def test_batches_leave_the_global_random_numbers_alone(pairs):
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    list(batches(pairs, np.arange(8), 4))
    assert torch.equal(torch.rand(3), wanted)


# Pretraining


def test_a_pretraining_batch_adds_targets_and_alignment(pretraining):
    batch = pretraining.__getitems__([3, 1, 4])
    assert batch["mlm_targets"].shape == batch["input_ids"].shape
    assert batch["mlm_targets"].dtype == batch["aligned"].dtype == torch.int64
    assert batch["aligned"].shape == (3,)


def padded(row: torch.Tensor, length: int, value: int) -> list[int]:
    return row.tolist() + [value] * (length - len(row))


def test_a_sample_is_the_same_whatever_its_batch(pretraining):
    batch = pretraining.__getitems__(list(range(len(pretraining))))
    length = batch["input_ids"].shape[1]
    for index in range(len(pretraining)):
        alone = pretraining[index]
        for name, filler in (("input_ids", 0), ("attention_mask", 0), ("mlm_targets", IGNORED)):
            assert padded(alone[name], length, filler) == batch[name][index].tolist()
        for name in ("aligned", "label", "pixel_values"):
            assert torch.equal(alone[name], batch[name][index])


def test_the_order_of_a_batch_changes_nothing_but_the_order(pretraining):
    there, back = pretraining.__getitems__([0, 1, 2, 3]), pretraining.__getitems__([3, 2, 1, 0])
    assert all(torch.equal(there[name], back[name].flip(0)) for name in there)


def test_words_are_asked_for_on_aligned_pairs_only(pretraining):
    batch = pretraining.__getitems__(list(range(len(pretraining))))
    aligned, asked = batch["aligned"].bool(), (batch["mlm_targets"] != IGNORED).any(1)
    assert aligned.any() and not aligned.all()
    assert torch.equal(asked, aligned)


def test_a_hidden_word_does_not_give_away_that_a_pair_is_aligned(pretraining, words):
    """At least one word of every text is asked for or would be, and four in five of these are hidden."""
    masks = {0: [], 1: []}
    for pretraining.epoch in range(6):
        batch = pretraining.__getitems__(list(range(len(pretraining))))
        hidden = (batch["input_ids"] == words.mask_id).sum(1) / batch["attention_mask"].sum(1)
        for aligned, share in zip(batch["aligned"].tolist(), hidden.tolist(), strict=True):
            masks[aligned].append(share)
    assert min(map(len, masks.values())) > 150
    assert np.mean(masks[0]) == pytest.approx(np.mean(masks[1]), abs=0.025)
    assert np.mean(masks[0]) > 0.08


def test_the_text_of_a_swapped_pair_is_another_ones_and_the_image_its_own(tiny_root, words):
    records = formats.task("conceptual_captions").splits(tiny_root)["train"]
    data = PretrainingDataset(records, words, 32, 32, objectives=("ap",), seed=0)
    batch = data.__getitems__(list(range(len(data))))
    texts = {tuple(words.encode([r.text], 32)[0][0].tolist()): r.text for r in records}
    swapped = torch.nonzero(batch["aligned"] == 0).flatten().tolist()
    assert swapped
    for index, record in enumerate(records):
        ids = batch["input_ids"][index][batch["attention_mask"][index]]
        assert (texts[tuple(ids.tolist())] != record.text) == (index in swapped)
        wanted = (decode(record.img, 32) / 255 - 0.5) / 0.5
        np.testing.assert_allclose(batch["pixel_values"][index].permute(1, 2, 0), wanted, atol=1e-6)


def test_targets_are_the_words_of_the_caption(pretraining):
    batch = pretraining.__getitems__(list(range(len(pretraining))))
    original = torch.from_numpy(pretraining.ids[:, : batch["input_ids"].shape[1]])
    asked = batch["mlm_targets"] != IGNORED
    assert torch.equal(batch["mlm_targets"][asked], original[asked])
    rest = ~asked & batch["aligned"].bool()[:, None]
    assert torch.equal(batch["input_ids"][rest], original[rest])
    assert not torch.isin(batch["mlm_targets"][asked], torch.from_numpy(pretraining.tokenizer.special_ids)).any()


def test_the_epoch_changes_the_corruption(pretraining):
    indices = list(range(len(pretraining)))
    first = pretraining.__getitems__(indices)
    pretraining.epoch = 1
    second = pretraining.__getitems__(indices)
    assert not torch.equal(first["aligned"], second["aligned"])
    pretraining.epoch = 0
    again = pretraining.__getitems__(indices)
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("objective", ["mlm", "ap"])
def test_only_the_objectives_that_were_asked_corrupt(tiny_root, words, objective):
    records = formats.task("conceptual_captions").splits(tiny_root)["train"]
    data = PretrainingDataset(records, words, 32, 32, objectives=(objective,), seed=0)
    batch = data.__getitems__(list(range(len(data))))
    assert bool((batch["aligned"] == 1).all()) == (objective == "mlm")
    assert bool((batch["mlm_targets"] == IGNORED).all()) == (objective == "ap")
