"""Batches: what they hold, and that a sample is the same in whichever batch it comes."""

import pickle

import numpy as np
import pytest
import torch

from vilbert_lib import runs
from vilbert_lib.data import formats
from vilbert_lib.data.augmentation import POLICIES
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


def test_texts_without_a_word_cannot_be_masked(tiny_root, words):
    """A control character is a text to the eye of the reader, and nothing to the tokenizer."""
    records = [r._replace(text="\u200b") for r in formats.task("conceptual_captions").splits(tiny_root)["train"]]
    with pytest.raises(ValueError, match=r"none of the 64 texts has a word that could be masked"):
        PretrainingDataset(records, words, 32, 32, objectives=("mlm",))


def test_a_batch_has_the_promised_keys_shapes_and_types(pairs):
    batch = pairs.__getitems__([3, 1, 4])
    longest = int(pairs.lengths[[3, 1, 4]].max())
    assert {name: (tuple(values.shape), values.dtype) for name, values in batch.items()} == {
        "input_ids": ((3, longest), torch.int64),
        "attention_mask": ((3, longest), torch.bool),
        "pixel_values": ((3, 3, 32, 32), torch.float32),
        "label": ((3,), torch.int64),
        "text": ((3,), torch.int64),
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


def test_a_worker_sends_images_as_bytes_once(everything):
    batch = everything.fetch(np.array([3, 1, 4]))
    assert batch["pixels"].dtype == torch.uint8 and batch["pixels"].shape == (3, 32, 32, 3)
    assert not any(values.is_floating_point() for values in batch.values())
    finished, wanted = everything.finish(batch), everything.__getitems__([3, 1, 4])
    assert finished.keys() == wanted.keys()
    assert all(torch.equal(finished[name], wanted[name]) for name in wanted)


def test_a_dataset_is_sent_to_another_process_without_its_pixels(everything):
    sent = pickle.dumps(everything)
    assert len(sent) < everything.pixels.nbytes
    received = pickle.loads(sent)
    wanted, found = everything.__getitems__([3, 1, 4]), received.__getitems__([3, 1, 4])
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


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

EVERYTHING = ("mlm", "ap", "mim")


@pytest.fixture
def everything(tiny_root, words):
    """All objectives, and augmentation."""
    records = formats.task("conceptual_captions").splits(tiny_root)["train"]
    return PretrainingDataset(
        records, words, 32, 32, objectives=EVERYTHING, patch_size=8, policy=POLICIES["captions"], seed=3
    )


def whole(data) -> dict[str, torch.Tensor]:
    return data.__getitems__(list(range(len(data))))


def test_a_pretraining_batch_adds_targets_and_alignment(pretraining):
    batch = pretraining.__getitems__([3, 1, 4])
    assert batch["mlm_targets"].shape == batch["input_ids"].shape
    assert batch["mlm_targets"].dtype == batch["aligned"].dtype == torch.int64
    assert batch["aligned"].shape == (3,)
    assert torch.equal(batch["mlm_index"], torch.nonzero(batch["mlm_targets"] != IGNORED))
    assert torch.equal(batch["aligned_index"], torch.nonzero(batch["aligned"])[:, 0])
    assert "mim_index" not in batch and "patch_mask" not in batch


def test_masked_image_modelling_adds_patches_and_where_to_find_them(everything):
    batch = everything.__getitems__([3, 1, 4])
    assert batch["patch_mask"].shape == (3, 16) and batch["patch_mask"].dtype == torch.bool
    assert batch["whole_pixel_values"].shape == batch["pixel_values"].shape == (3, 3, 32, 32)
    chosen, aligned = batch["patch_mask"], batch["aligned"].bool()[:, None]
    assert torch.equal(batch["mim_index"], torch.nonzero(chosen & aligned))
    assert torch.equal(batch["mim_unmasked_index"], torch.nonzero(~chosen & aligned))


def padded(row: torch.Tensor, length: int, value: int) -> list[int]:
    return row.tolist() + [value] * (length - len(row))


FILLERS = {"input_ids": 0, "attention_mask": 0, "mlm_targets": IGNORED}


def test_a_sample_is_the_same_whatever_its_batch(everything):
    everything.epoch = 2
    batch = whole(everything)
    length = batch["input_ids"].shape[1]
    for index in range(len(everything)):
        alone = everything[index]
        assert alone.keys() == {name for name in batch if not name.endswith("_index")}
        for name, value in alone.items():
            if name in FILLERS:
                assert padded(value, length, FILLERS[name]) == batch[name][index].tolist()
            else:
                assert torch.equal(value, batch[name][index])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(everything, workers):
    everything.epoch, order = 1, epoch_order(len(everything), 0, 1)
    for wanted, found in zip(
        batches(everything, order, 10), batches(everything, order, 10, workers=workers), strict=True
    ):
        assert wanted.keys() == found.keys()
        assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_what_is_asked_beside_changes_no_draw(tiny_root, words, everything):
    """Words are hidden, captions swapped and images changed alike, whatever the other objectives are."""
    arguments = (everything.records, words, 32, 32)
    batch = whole(everything)
    only_words = whole(PretrainingDataset(*arguments, objectives=("mlm",), seed=3))
    kept = batch["aligned"].bool()
    length = int(batch["attention_mask"][kept].sum(1).max())
    assert torch.equal(batch["input_ids"][kept, :length], only_words["input_ids"][kept, :length])
    only_swaps = whole(PretrainingDataset(*arguments, objectives=("ap",), seed=3))
    assert torch.equal(batch["aligned"], only_swaps["aligned"])
    without = PretrainingDataset(*arguments, objectives=("mlm",), seed=3, policy=POLICIES["captions"])
    assert torch.equal(batch["whole_pixel_values"], whole(without)["pixel_values"])


def test_words_are_asked_for_on_aligned_pairs_only(pretraining):
    batch = whole(pretraining)
    aligned, asked = batch["aligned"].bool(), (batch["mlm_targets"] != IGNORED).any(1)
    assert aligned.any() and not aligned.all()
    assert torch.equal(asked, aligned)


def test_a_hidden_word_does_not_give_away_that_a_pair_is_aligned(pretraining, words):
    """At least one word of every text is asked for or would be, and four in five of these are hidden."""
    masks = {0: [], 1: []}
    for pretraining.epoch in range(6):
        batch = whole(pretraining)
        hidden = (batch["input_ids"] == words.mask_id).sum(1) / batch["attention_mask"].sum(1)
        for aligned, share in zip(batch["aligned"].tolist(), hidden.tolist(), strict=True):
            masks[aligned].append(share)
    assert min(map(len, masks.values())) > 150
    assert np.mean(masks[0]) == pytest.approx(np.mean(masks[1]), abs=0.025)
    assert np.mean(masks[0]) > 0.08


def test_patches_are_hidden_in_every_image_and_asked_for_on_aligned_pairs_only(everything):
    batch, shares = whole(everything), {0: [], 1: []}
    chosen = batch["patch_mask"]
    assert (chosen.sum(1) >= 1).all()
    wanted = [(r, p) for r, p in chosen.nonzero().tolist() if batch["aligned"][r]]
    assert [tuple(pair) for pair in batch["mim_index"].tolist()] == wanted and wanted
    assert len(wanted) < chosen.sum()
    for everything.epoch in range(6):
        batch = whole(everything)
        for aligned, row in zip(batch["aligned"].tolist(), batch["patch_mask"], strict=True):
            shares[aligned].append(row.float().mean())
    assert np.mean(shares[0]) == pytest.approx(np.mean(shares[1]), abs=0.03)


def test_most_chosen_patches_are_zeros_and_the_rest_of_the_image_is_whole(everything):
    batch = whole(everything)
    grids = [
        values.unflatten(3, (4, 8)).unflatten(2, (4, 8)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        for values in (batch["pixel_values"], batch["whole_pixel_values"])
    ]
    shown, before = grids
    same, chosen = (shown == before).all(2), batch["patch_mask"]
    assert shown.shape == (len(everything), 16, 3 * 8 * 8)
    assert same[~chosen].all() and not shown[~same].any()
    assert 0.8 < (~same).sum() / chosen.sum() < 0.97


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": ("mlm", "mlp")}, "unknown objective 'mlp'; known: ap, mim, mlm"),
        ({"objectives": ("mim",)}, "patch_size 0 does not divide images of 32 pixels"),
        ({"objectives": ("mim",), "patch_size": 12}, "patch_size 12 does not divide"),
    ],
)
def test_what_cannot_be_asked_is_refused(everything, words, arguments, message):
    with pytest.raises(ValueError, match=message):
        PretrainingDataset(everything.records, words, 32, 32, **arguments)


def test_the_text_of_a_swapped_pair_is_another_ones_and_the_image_its_own(tiny_root, words):
    records = formats.task("conceptual_captions").splits(tiny_root)["train"]
    data = PretrainingDataset(records, words, 32, 32, objectives=("ap",), seed=0)
    batch = whole(data)
    texts = {tuple(words.encode([r.text], 32)[0][0].tolist()): r.text for r in records}
    swapped = torch.nonzero(batch["aligned"] == 0).flatten().tolist()
    assert swapped
    for index, record in enumerate(records):
        ids = batch["input_ids"][index][batch["attention_mask"][index]]
        assert (texts[tuple(ids.tolist())] != record.text) == (index in swapped)
        wanted = (decode(record.img, 32) / 255 - 0.5) / 0.5
        np.testing.assert_allclose(batch["pixel_values"][index].permute(1, 2, 0), wanted, atol=1e-6)


def test_targets_are_the_words_of_the_caption(pretraining):
    batch = whole(pretraining)
    original = torch.from_numpy(pretraining.ids[:, : batch["input_ids"].shape[1]])
    asked = batch["mlm_targets"] != IGNORED
    assert torch.equal(batch["mlm_targets"][asked], original[asked])
    rest = ~asked & batch["aligned"].bool()[:, None]
    assert torch.equal(batch["input_ids"][rest], original[rest])
    assert not torch.isin(batch["mlm_targets"][asked], torch.from_numpy(pretraining.tokenizer.special_ids)).any()


def test_words_put_in_place_of_others_are_never_special(pretraining, words):
    special = torch.from_numpy(np.setdiff1d(words.special_ids, [words.mask_id]))
    for pretraining.epoch in range(5):
        batch = whole(pretraining)
        ids, length = batch["input_ids"], batch["attention_mask"].sum(1)
        positions = torch.arange(ids.shape[1])
        inside = (positions > 0) & (positions < length[:, None] - 1)
        assert not torch.isin(ids[inside], special).any()
        assert (ids[:, 0] == pretraining.ids[0, 0]).all()


@pytest.mark.parametrize(
    ("which", "images_change"), [("pretraining", False), ("everything", True)], ids=["words", "everything"]
)
def test_the_epoch_changes_the_corruption(request, which, images_change):
    data = request.getfixturevalue(which)
    first = whole(data)
    data.epoch = 1
    second = whole(data)
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    images = {"pixel_values", "whole_pixel_values", "patch_mask", "mim_index", "mim_unmasked_index"}
    words_and_swaps = {
        "text",
        "input_ids",
        "attention_mask",
        "mlm_targets",
        "mlm_index",
        "aligned",
        "aligned_index",
    }
    assert changed == words_and_swaps | (images if images_change else set())
    data.epoch = 0
    again = whole(data)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_plain_view_is_corrupted_in_one_way_and_shares_what_is_large(everything, tiny_root, words):
    plain = everything.plain()
    assert plain.ids is everything.ids and plain.images is everything.images
    other = PretrainingDataset(
        everything.records, words, 32, 32, objectives=EVERYTHING, patch_size=8, seed=8
    ).plain()
    everything.epoch = 5
    first, second = whole(plain), whole(other)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert everything.policy and everything.seed == 3


def test_the_analysis_view_never_swaps_never_masks_and_never_augments(tiny_root, tiny_profile):
    config = runs.configure(
        tiny_profile,
        tiny_root,
        "conceptual_captions",
        "baseline",
        objectives=("mlm", "ap"),
        train={"augment": True},
    )
    for split in ("train", "val"):
        data = runs.dataset(config, tiny_root, split, analysis=True)
        data.epoch = 3
        batch = whole(data)
        assert batch.keys() == {"text", "input_ids", "attention_mask", "pixel_values", "label"}
        ids, lengths = data.tokenizer.encode([r.text for r in data.records], 32)
        assert (batch["input_ids"].numpy() == ids).all() and batch["attention_mask"].sum(1).tolist() == [*lengths]
        wanted = np.stack([decode(r.img, 64) / 127.5 - 1 for r in data.records])
        np.testing.assert_allclose(batch["pixel_values"].permute(0, 2, 3, 1), wanted, atol=1e-6)
