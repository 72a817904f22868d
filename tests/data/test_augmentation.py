"""Augmented images still show what their texts say, and only training sees them."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vilbert_lib import runs
from vilbert_lib.data import formats
from vilbert_lib.data.augmentation import DRAWS, POLICIES, augment
from vilbert_lib.data.cache import decode
from vilbert_lib.data.datasets import PairDataset
from vilbert_lib.data.tokenizer import of_root
from vilbert_lib.synthetic import drawing

POLICY = POLICIES["captions"]
numbers_of = st.lists(st.floats(0, 1, exclude_max=True), min_size=DRAWS, max_size=DRAWS)


def images(count: int = 4, side: int = 64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8))


def numbers(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, DRAWS))


@pytest.mark.parametrize("side", [32, 64, 224])
def test_shape_and_type_stay_and_the_given_images_too(side):
    before = images(3, side)
    kept = before.clone()
    after = augment(before, POLICY, numbers(3))
    assert after.shape == before.shape and after.dtype == torch.uint8
    assert torch.equal(before, kept) and not torch.equal(after, before)


def test_numbers_in_the_middle_change_nothing_but_the_size():
    same_size = dataclasses.replace(POLICY, shrink=0.0)
    assert torch.equal(augment(images(), same_size, np.full((4, DRAWS), 0.5)), images())


@pytest.mark.parametrize("place", [3, 4], ids=["brightness", "contrast"])
def test_what_would_be_too_bright_or_too_dark_is_clipped_and_not_wrapped(place):
    """Bytes that overflow would turn white into black."""
    ends = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    for extreme in (0.0, 0.999):
        drawn = np.full((2, DRAWS), 0.5)
        drawn[:, 0], drawn[:, place] = 0.0, extreme
        black, white = augment(ends, POLICIES["binary"], drawn).float().mean((1, 2, 3))
        assert black < 60 and white > 195


def test_an_image_is_changed_the_same_whatever_its_batch():
    before, drawn = images(5), numbers(5)
    together = augment(before, POLICY, drawn)
    for i in range(5):
        assert torch.equal(augment(before[i : i + 1], POLICY, drawn[i : i + 1])[0], together[i])


@settings(deadline=None, max_examples=60)
@given(numbers_of, st.sampled_from(sorted(POLICIES)), st.integers(0, 60), st.integers(0, 60))
def test_nothing_leaves_the_picture_or_crosses_its_middle(drawn, kind, row, column):
    """A bright square anywhere, borders included, keeps its area but for the shrinking, and its side."""
    policy = POLICIES[kind]
    picture = torch.full((1, 3, 64, 64), 127, dtype=torch.uint8)
    picture[:, :, row : row + 4, column : column + 4] = 207
    drawn[3] = 0.5  # the ground stays grey, and can be told from the square
    after = augment(picture, policy, np.array([drawn]))[0, 0].float()
    extra = (after - 127).clamp(min=0)
    scale = round(64 * (1 - policy.shrink * drawn[0])) / 64
    gain = 1 + policy.contrast * (2 * drawn[4] - 1)
    assert float(extra.sum()) == pytest.approx(16 * 80 * gain * scale**2, rel=0.15)
    places = torch.arange(64) - 31.5
    for before, mass in ((row + 1.5 - 31.5, extra.sum(1)), (column + 1.5 - 31.5, extra.sum(0))):
        found = float((mass * places).sum() / mass.sum())
        assert abs(found - scale * before) <= (1 - scale) * 32 + 0.5
        if abs(before) > 32 * policy.shrink / (1 - policy.shrink) + 0.5:
            assert found * before > 0


@given(numbers_of)
@settings(deadline=None, max_examples=30)
def test_hues_stay(drawn):
    colours = torch.tensor([[200, 60, 60], [60, 150, 80], [70, 90, 190], [190, 170, 70]], dtype=torch.uint8)
    drawn[0] = 0.0  # no strip of grey
    after = augment(colours[:, :, None, None].expand(-1, 3, 16, 16), POLICY, np.tile(drawn, (4, 1)))[:, :, 8, 8]
    before, after = (c.float() - c.float().mean(1, keepdim=True) for c in (colours, after))
    assert (torch.cosine_similarity(before, after) > 0.999).all()


# The drawn captions

COLOURS = {name: drawing.INKS[name] for name in drawing.COLOURS}


@pytest.fixture(scope="module")
def captions(tiny_root):
    return formats.task("conceptual_captions").splits(tiny_root)["train"]


@pytest.fixture(scope="module")
def words(tiny_root):
    return of_root(tiny_root)


def drawn_pixels(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where (H, W) a picture (3, H, W) shows its shape: the ground is grey and neither dark nor bright."""
    if colour == "black":
        return picture.mean(0) < 75
    return picture.max(0) - picture.min(0) > 60


def nearest_colour(colour: np.ndarray) -> str:
    def tint(rgb):
        rgb = np.array(rgb, dtype=float) - np.mean(rgb)
        return rgb / max(np.linalg.norm(rgb), 40.0)

    return max(COLOURS, key=lambda name: -np.linalg.norm(tint(colour) - tint(COLOURS[name])))


def extent(shape: np.ndarray) -> np.ndarray:
    """Height and width of the box around what is drawn."""
    return np.array([np.ptp(places) + 1 for places in np.nonzero(shape)])


def test_the_drawn_shape_stays_in_the_picture_in_its_quadrant_and_in_its_colour(captions):
    before = torch.from_numpy(np.stack([decode(r.img, 64) for r in captions])).permute(0, 3, 1, 2)
    for seed in range(4):
        drawn = numbers(len(captions), seed)
        after = augment(before, POLICY, drawn).numpy().astype(int)
        scales = 1 - POLICY.shrink * drawn[:, 0]
        for record, old, new, scale in zip(captions, before.numpy().astype(int), after, scales, strict=True):
            colour = next(name for name in COLOURS if name in record.text)
            shape, moved = drawn_pixels(old, colour), drawn_pixels(new, colour)
            assert (abs(extent(moved) - scale * extent(shape)) < 4).all(), record.text
            rows, columns = np.nonzero(moved)
            assert (rows.mean() > 31.5) == ("lower" in record.text), record.text
            assert (columns.mean() > 31.5) == ("right" in record.text), record.text
            assert nearest_colour(new[:, moved].mean(1)) == colour, record.text


# When


def pixel_values(data: PairDataset, epoch: int = 0) -> torch.Tensor:
    data.epoch = epoch
    return data.__getitems__(list(range(len(data))))["pixel_values"]


def as_stored(data: PairDataset) -> torch.Tensor:
    pixels = np.stack([decode(r.img, 64) for r in data.records])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1


def test_augmentation_depends_on_seed_epoch_and_index_alone(captions, words):
    def make(seed):
        return PairDataset(captions, words, 64, 32, policy=POLICY, seed=seed)

    first = pixel_values(make(3), 1)
    assert torch.equal(pixel_values(make(3), 1), first)
    assert not torch.equal(pixel_values(make(4), 1), first)
    assert not torch.equal(pixel_values(make(3), 2), first)
    data = make(3)
    data.epoch = 1
    assert torch.equal(data.__getitems__([5, 2])["pixel_values"], first[[5, 2]])
    assert torch.equal(data[7]["pixel_values"], first[7])
    # Two samples of one image are changed in two ways.
    twice = PairDataset([captions[0], captions[0]], words, 64, 32, policy=POLICY)
    assert not torch.equal(*pixel_values(twice))


@pytest.mark.parametrize(
    ("task", "augmented"), [("conceptual_captions", True), ("hateful_memes", True), ("easy_vqa", False)]
)
def test_only_training_images_are_augmented_and_only_where_asked(tiny_root, tiny_profile, task, augmented):
    objectives = ("mlm", "ap") if task == "conceptual_captions" else ()
    config = runs.configure(
        tiny_profile, tiny_root, task, "baseline", objectives=objectives, train={"augment": augmented}
    )
    for split in ("train", "val", "test"):
        data = runs.dataset(config, tiny_root, split)
        changed = not torch.allclose(pixel_values(data, epoch=1), as_stored(data), atol=1e-6)
        assert changed == (augmented and split == "train")
        for quiet in (data.plain(), runs.dataset(config, tiny_root, split, analysis=True)):
            torch.testing.assert_close(pixel_values(quiet, epoch=1), as_stored(data), atol=1e-6, rtol=0)


def test_every_kind_of_task_has_a_policy():
    assert {task.kind for task in formats.TASKS.values()} <= set(POLICIES)
