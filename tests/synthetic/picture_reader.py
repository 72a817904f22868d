"""Reads back from pixels what synthetic pictures show, by the book's description and not by their code."""

from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

INKS = ("red", "green", "blue", "yellow", "purple", "black", "white", "nothing")
RGB = np.array(
    [
        *(
            (215, 40, 40),
            (40, 160, 60),
            (45, 80, 220),
            (235, 215, 50),
            (140, 55, 175),
            (20, 20, 20),
            (235, 235, 235),
        ),
        (126, 126, 126),
    ]
)
NOTHING = 7
SHAPES, TEXTURES, SIZES = ("circle", "rectangle", "triangle", "diamond"), ("plain", "striped", "dotted"), (0, 1)
RADII, REACH = {2: (10, 15), 4: (5, 7)}, {2: 3, 4: 1}


class Seen(NamedTuple):
    """What n pictures show: inks and holes of every place (n, places); one style a picture, (n, 3) as
    numbers of shape, texture and size; the share of pixels that the nearest drawing has otherwise (n,)."""

    inks: np.ndarray
    hollow: np.ndarray
    styles: np.ndarray
    errors: np.ndarray


def load(paths: list[Path]) -> np.ndarray:
    """Pixels (n, 64, 64, 3) of image files."""
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")
            pixels.append(np.asarray(image))
    return np.stack(pixels)


def _form(shape: str, radius: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where a shape of ``radius`` has ink, by its distances from the middle."""
    return {
        "circle": np.hypot(down, right) <= radius,
        "rectangle": (np.abs(right) <= radius) & (np.abs(down) <= 0.7 * radius + 1e-9),
        "triangle": (np.abs(right) <= (down + radius) / 2) & (down <= radius),
        "diamond": np.abs(down) + np.abs(right) <= radius,
    }[shape]


@cache
def _drawings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Full boards in every style and at every displacement: rings and middles (k, 4096) and styles (k, 3)."""
    cell, reach = 64 // side, REACH[side]
    rings, middles, styles = [], [], []
    for (s, shape), (t, texture), z in product(enumerate(SHAPES), enumerate(TEXTURES), SIZES):
        for dy, dx in product(range(-reach, reach + 1), repeat=2):
            rows, columns = np.indices((64, 64)) - np.array([dy, dx])[:, None, None]
            on_board = (rows >= 0) & (rows < 64) & (columns >= 0) & (columns < 64)
            woven = {
                "plain": on_board,
                "striped": (rows + columns) % 6 < 4,
                "dotted": ~((rows % 5 < 2) & (columns % 5 < 2)),
            }[texture]
            place = rows % cell - cell // 2, columns % cell - cell // 2
            radius = RADII[side][z]
            middle = _form(shape, radius // 2, *place) & on_board & woven
            rings.append((_form(shape, radius, *place) & on_board & woven & ~middle).ravel())
            middles.append(middle.ravel())
            styles.append((s, t, z))
    return np.array(rings), np.array(middles), np.array(styles)


def _inks(pixels: np.ndarray) -> np.ndarray:
    """The nearest ink of each pixel, (n, 64, 64)."""
    nearest = np.empty(pixels.shape[:3], np.uint8)
    for i in range(0, len(pixels), 64):
        block = pixels[i : i + 64].astype(np.float32)
        # |p - c|^2 less |p|^2, which does not depend on c
        nearest[i : i + 64] = ((RGB**2).sum(1) - 2 * block @ RGB.T.astype(np.float32)).argmin(-1)
    return nearest


def read(pixels: np.ndarray, side: int) -> Seen:
    """What ``pixels`` (n, 64, 64, 3) show on boards of ``side`` x ``side`` places."""
    n, cell, reach = len(pixels), 64 // side, REACH[side]
    nearest = _inks(pixels)
    cells = nearest.reshape(n, side, cell, side, cell).transpose(0, 1, 3, 2, 4)
    # A mark of the next place reaches into this one by the displacement at most.
    inner = cells[..., reach : cell - reach, reach : cell - reach].reshape(n, side * side, -1)
    counts = np.stack([(inner == ink).sum(-1) for ink in range(NOTHING)], axis=-1)
    inks = np.where(counts.max(-1) >= 0.1 * inner.shape[-1], counts.argmax(-1), NOTHING)

    there = (inks != NOTHING).reshape(n, side, 1, side, 1)
    seen_of = np.zeros((side, cell, side, cell), bool)
    seen_of[:, reach : cell - reach, :, reach : cell - reach] = True
    weight = (there & seen_of).reshape(n, -1)
    marked = (nearest != NOTHING).reshape(n, -1)
    rings, middles, styles = _drawings(side)
    empty = ~rings & ~middles
    with threadpool_limits(1):
        wrong = (weight & marked).astype(np.float32) @ empty.T.astype(np.float32)
        wrong += (weight & ~marked).astype(np.float32) @ rings.T.astype(np.float32)
    best = wrong.argmin(1)

    middle = (middles[best] & weight).reshape(n, side, cell, side, cell)
    filled = (middle & marked.reshape(middle.shape)).sum((2, 4)) / np.maximum(middle.sum((2, 4)), 1)
    hollow = (filled.reshape(n, -1) < 0.5) & (inks != NOTHING)
    return Seen(inks, hollow, styles[best], wrong.min(1) / weight.sum(1).clip(1))
