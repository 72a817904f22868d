"""Pictures show the boards that they were drawn from, displaced and on noise."""

import numpy as np
import picture_reader
import pytest

from vilbert_lib.synthetic.drawing import INKS, NOTHING, SHAPES, SIZES, TEXTURES, Boards, one_mark, pictures
from vilbert_lib.synthetic.draws import Draws

N = 400


def boards(side: int, n: int = N) -> Boards:
    """Boards with everything at random; every third place is empty."""
    rng = np.random.default_rng(0)
    inks = rng.integers(0, len(INKS), (n, side * side))
    inks[rng.random(inks.shape) < 1 / 3] = NOTHING
    inks[:, 0] = 0  # of an empty board no style can be read
    style = (rng.integers(0, len(values), n) for values in (SHAPES, TEXTURES, SIZES))
    return Boards(side, inks, *style, hollow=rng.random(inks.shape) < 0.3 if side == 2 else None)


@pytest.mark.parametrize("side", [2, 4])
def test_what_was_drawn_is_read_back_from_the_pixels(side):
    drawn = boards(side)
    seen = picture_reader.read(np.stack(list(pictures(drawn, Draws(0, "x")))), side)
    assert not seen.errors.any()
    assert np.array_equal(seen.inks, drawn.inks)
    assert np.array_equal(seen.styles.T, [drawn.shapes, drawn.textures, drawn.sizes])
    if side == 2:
        assert np.array_equal(seen.hollow, drawn.hollow & (drawn.inks != NOTHING))


@pytest.mark.parametrize(("side", "reach"), [(2, 3), (4, 1)])
def test_boards_are_displaced_by_a_few_pixels_in_every_direction(side, reach):
    n = 60 * (2 * reach + 1) ** 2
    inks = np.full((n, side * side), NOTHING)
    inks[:, side + 1] = 0  # a place with room on all sides, or at the lower right
    plain = Boards(side, inks, *(np.zeros(n, int) for _ in range(3)))
    red = np.stack([(p[..., 0] > 190) & (p[..., 1] < 60) for p in pictures(plain, Draws(0, "x"))])
    rows, columns = red.any(2).argmax(1), red.any(1).argmax(1)
    _, counts = np.unique(np.stack([rows, columns]), axis=1, return_counts=True)
    assert np.ptp(rows) == np.ptp(columns) == 2 * reach
    assert len(counts) == (2 * reach + 1) ** 2 and counts.min() > 25


def test_ground_and_ink_are_noisy_within_bounds():
    places, colours = np.arange(N) % 4, np.arange(N) % len(INKS)
    flat = Boards(2, one_mark(places, colours), *(np.zeros(N, int) for _ in range(3)))
    for pixels, place, colour in zip(pictures(flat, Draws(0, "x")), places, colours, strict=True):
        row, column = 16 + 32 * (place // 2), 16 + 32 * (place % 2)
        ink = pixels[row - 3 : row + 4, column - 3 : column + 4].astype(int) - list(INKS.values())[colour]
        assert ink.min() >= -16 and ink.max() <= 15 and ink.std() > 7
        ground = pixels[(row + 32) % 64 - 9 : (row + 32) % 64 + 10, :19].astype(int)
        assert ground.min() >= 94 and ground.max() <= 156
        assert ground.mean(2).std() > 8, "greys differ from pixel to pixel"
        assert (ground - ground.mean(2, keepdims=True)).std() > 5, "channels differ by themselves"


def test_no_two_pictures_of_one_scene_are_alike():
    same = Boards(2, one_mark(np.zeros(N, int), np.zeros(N, int)), *(np.zeros(N, int) for _ in range(3)))
    assert len({p.tobytes() for p in pictures(same, Draws(0, "x"))}) == N


def test_pictures_depend_on_their_stream_alone():
    first, again, other = (list(pictures(boards(2, 70), Draws(seed, "x"))) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
