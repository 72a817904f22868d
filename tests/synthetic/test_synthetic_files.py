"""Draws and files of which synthetic roots are made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from vilbert_lib.synthetic import files
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.world import combinations

N = 20_000


def test_draws_are_the_same_numbers_for_good():
    draws = Draws(7, "a", "b")
    assert draws.below(3, 10, 1000).tolist() == [[2, 841], [4, 588], [1, 729]]
    assert draws.octets(5).tolist() == [100, 144, 7, 8, 16]


def test_a_stream_depends_on_its_seed_and_on_its_name():
    def first(*where):
        return Draws(*where).octets(64).tobytes()

    assert first(0, "a", "b") == first(0, "a", "b")
    assert len({first(*where) for where in ((0, "a", "b"), (1, "a", "b"), (0, "a"), (0, "b", "a"))}) == 4


def test_numbers_below_a_bound_are_uniform():
    drawn = Draws(0, "x").below(N, 6, 3)
    for column, bound in ((0, 6), (1, 3)):
        counts = np.bincount(drawn[:, column], minlength=bound)
        assert len(counts) == bound
        assert abs(counts / N - 1 / bound).max() < 0.015
    together = np.bincount(drawn @ [3, 1], minlength=18)
    assert abs(together / N - 1 / 18).max() < 0.01


def test_events_have_their_chances():
    drawn = Draws(0, "x").happens(N, 0.0, 0.3, 1.0)
    assert drawn.mean(0) == pytest.approx([0, 0.3, 1], abs=0.015)
    assert drawn[:, 0].sum() == 0 and drawn[:, 2].all()


def test_weights_are_met():
    counts = np.bincount(Draws(0, "x").choose(N, [1, 0, 3, 4]))
    assert counts / N == pytest.approx([1 / 8, 0, 3 / 8, 4 / 8], abs=0.015)
    assert counts[1] == 0


def test_orders_are_permutations():
    orders = Draws(0, "x").orders(N, 3)
    assert (np.sort(orders, axis=1) == [0, 1, 2]).all()
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert abs(counts / N - 1 / 6).max() < 0.015


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_png_reads_back_as_its_pixels(tmp_path_factory, pixels):
    path = tmp_path_factory.mktemp("png") / "a.png"
    files.write(path, files.png(pixels))
    with Image.open(path) as image:
        image.load()
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)


def test_a_jpeg_keeps_colours_pixel_by_pixel(tmp_path):
    """Halved colour resolution would mix neighbours."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2] = (215, 40, 40)
    pixels[:, 1::2] = (45, 80, 220)
    files.write(tmp_path / "a.jpg", files.jpeg(pixels))
    with Image.open(tmp_path / "a.jpg") as image:
        assert abs(np.asarray(image).astype(int) - pixels).max() < 40


@pytest.mark.parametrize("counts", [(4, 2, 3), (4, 2, 3, 6), (4, 2, 3, 6, 4)])
def test_every_split_shows_combinations_of_its_own(counts):
    shown = {
        split: {tuple(row) for row in combinations(*counts, split=split)} for split in ("train", "val", "test")
    }
    assert sum(map(len, shown.values())) == np.prod(counts) == len(set.union(*shown.values()))
    assert len(shown["train"]) == 0.75 * np.prod(counts)
    train = np.array(sorted(shown["train"]))
    for i, a in enumerate(counts):
        assert set(train[:, i]) == set(range(a))
        for j, b in enumerate(counts[:i]):
            assert len({tuple(row) for row in train[:, [j, i]]}) == a * b, "training shows every pair of values"
