"""Pictures of 64 x 64 pixels: a board of places on noisy ground, each empty or with a coloured shape."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vilbert_lib.synthetic.draws import Draws

SIZE = 64  # pixels a side

INKS = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 80, 220),
    "yellow": (235, 215, 50),
    "purple": (140, 55, 175),
    "black": (20, 20, 20),
    "white": (235, 235, 235),  # a mark that is shown to be erased
}
COLOURS = tuple(INKS)[:6]
WHITE = len(COLOURS)
NOTHING = len(INKS)  # no mark: the ground is seen
SHAPES = ("circle", "rectangle", "triangle", "diamond")
TEXTURES = ("plain", "striped", "dotted")
SIZES = ("small", "large")

RADII = {2: (10, 15), 4: (5, 7)}  # of small and large shapes, by the number of places a side
SHIFTS = {2: 3, 4: 1}  # how far a board is displaced at most
GREYS = 110, 141  # of the ground
JITTER = 16  # every channel of every pixel is off by -16..15; no ink leaves 0..255 by that

_BLOCK = 64  # pictures drawn at once: more would not fit the processor's cache
_MARGIN = max(SHIFTS.values())
_CHANNELS = np.array([1, 2**8, 2**16], np.uint32)  # a pixel is one number: red, green, blue from the lowest byte
_PALETTE = (np.array([*INKS.values(), (GREYS[0],) * 3], np.uint32) - np.uint32(JITTER)) @ _CHANNELS


@dataclass(frozen=True)
class Boards:
    """What n pictures show: ``side`` x ``side`` places, all marks of a picture in one style.

    ``inks`` (n, side * side): the number of the colour at each place, row by row, or NOTHING.
    ``hollow`` (n, side * side) bool, or None: which marks have a hole.
    ``shapes``, ``textures``, ``sizes`` (n,): numbers in SHAPES, TEXTURES, SIZES.
    """

    side: int
    inks: np.ndarray
    shapes: np.ndarray
    textures: np.ndarray
    sizes: np.ndarray
    hollow: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inks)


def one_mark(places: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Inks (n, 4) of boards of 2 x 2 places with one mark each, at ``places`` (n,) in ``colours`` (n,)."""
    inks = np.full((len(places), 4), NOTHING)
    inks[np.arange(len(places)), places] = colours
    return inks


def pictures(boards: Boards, draws: Draws) -> Iterator[np.ndarray]:
    """Draw ``boards`` one after the other, each (64, 64, 3) uint8, displaced and with noise of its own."""
    for start in range(0, len(boards), _BLOCK):
        yield from _draw(boards, slice(start, start + _BLOCK), draws)


def marks(boards: Boards, draws: Draws) -> Iterator[np.ndarray]:
    """The marked pixels (64, 64) bool of the pictures that :func:`pictures` makes of the same arguments."""
    for start in range(0, len(boards), _BLOCK):
        inks = _displaced(boards, slice(start, start + _BLOCK), draws)
        _noise(inks, draws)  # drawn for the sake of the draws that follow
        yield from inks != NOTHING


def _draw(boards: Boards, rows: slice, draws: Draws) -> np.ndarray:
    """One block of pictures, (m, 64, 64, 3) uint8."""
    inks = _displaced(boards, rows, draws)
    noise = _noise(inks, draws)
    greys = np.where(inks == NOTHING, noise >> 27, np.uint32(0)) * _CHANNELS.sum(dtype=np.uint32)
    pixels = _PALETTE[inks] + greys + (noise >> 3 & np.uint32(0x1F1F1F))
    return pixels.astype("<u4", copy=False).view(np.uint8).reshape(*inks.shape, 4)[..., :3]


def _noise(inks: np.ndarray, draws: Draws) -> np.ndarray:
    """32 random bits a pixel: five for each channel, five for the grey of the ground."""
    return draws.octets(4 * inks.size).view("<u4").reshape(inks.shape)


def _displaced(boards: Boards, rows: slice, draws: Draws) -> np.ndarray:
    """The ink of every pixel of a block of pictures, (m, 64, 64)."""
    side = boards.side
    style = boards.shapes[rows], boards.sizes[rows], boards.textures[rows]
    marked = _stencils(side)[style]
    if boards.hollow is not None:
        marked = marked & ~(_spread(boards.hollow[rows], side) & _holes(side)[style[:2]])
    inks = np.where(marked, _spread(boards.inks[rows].astype(np.uint8), side), np.uint8(NOTHING))
    m, reach = len(inks), SHIFTS[side]
    padded = np.pad(inks, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)), constant_values=NOTHING)
    down, right = draws.below(m, 2 * reach + 1, 2 * reach + 1).T - reach
    windows = sliding_window_view(padded, (SIZE, SIZE), axis=(1, 2))
    return windows[np.arange(m), _MARGIN - down, _MARGIN - right]


def _spread(values: np.ndarray, side: int) -> np.ndarray:
    """Values of places, (m, side * side), as values of pixels, (m, 64, 64)."""
    cell = SIZE // side
    return values.reshape(-1, side, side).repeat(cell, axis=1).repeat(cell, axis=2)


def _inside(shape: str, side: int, radius: int) -> np.ndarray:
    """Pixels (64, 64) bool of a shape in every place; whole numbers only, so that no machine rounds otherwise."""
    cell = SIZE // side
    down, right = np.indices((SIZE, SIZE)) % cell - cell // 2
    match shape:
        case "circle":
            return down**2 + right**2 <= radius**2
        case "rectangle":
            return (abs(right) <= radius) & (10 * abs(down) <= 7 * radius)
        case "triangle":
            return (2 * abs(right) <= down + radius) & (down <= radius)
        case _:
            return abs(down) + abs(right) <= radius


def _textured(texture: str) -> np.ndarray:
    rows, columns = np.indices((SIZE, SIZE))
    match texture:
        case "striped":
            return (rows + columns) % 6 < 4
        case "dotted":
            return ~((rows % 5 < 2) & (columns % 5 < 2))
        case _:
            return np.ones((SIZE, SIZE), bool)


@cache
def _stencils(side: int) -> np.ndarray:
    """Marked pixels of boards with a mark in every place, (shapes, sizes, textures, 64, 64) bool."""
    forms = [[_inside(shape, side, radius) for radius in RADII[side]] for shape in SHAPES]
    return np.array(forms)[:, :, None] & np.array([_textured(texture) for texture in TEXTURES])


@cache
def _holes(side: int) -> np.ndarray:
    """The middle of every mark, (shapes, sizes, 64, 64) bool."""
    return np.array([[_inside(shape, side, radius // 2) for radius in RADII[side]] for shape in SHAPES])
