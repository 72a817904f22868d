"""Image files to pixels: upright, RGB, of one size. What is broken is named."""

import hashlib
import io
import os
import stat
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vilbert_lib.data.chunks import each_chunk

#: What an image may be, whatever its name says. Others would call further programs, as EPS does.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROBE = 32  # pixels a side: enough to know whether a file decodes
_DEPTHS = (8, 10, 12, 14, 16)  # bits that sensors have


def decode(path: Path, size: int, interpolation: str = "bicubic") -> np.ndarray:
    """Decode one image to RGB, upright, on white where it is transparent.

    Grey of 16 bits is scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds its brightest
    pixel: cameras and scanners store 10, 12 or 14 bits in 16, which would be nearly black.

    Parameters
    ----------
    path : Path
        The file; its content decides on the format, not its name.
    size : int
        Pixels a side.
    interpolation : {"bicubic", "bilinear", "nearest"}
        How the image is scaled.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8

    Raises
    ------
    ValueError
        If the file is broken: cut off, no image, no regular file, of more pixels than Pillow's
        limit against decompression bombs allows, or colour that uses 12 of 16 bits or fewer. The
        message names the file.
    """
    try:
        _refuse_other_than_files(path)
        return _pixels(path, size, interpolation)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file may raise nearly anything
        raise ValueError(f"{path}: {_cause(error)}") from error


def _refuse_other_than_files(path: Path) -> None:
    """A pipe would be waited for without end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("not a regular file")


def _pixels(source: Path | BinaryIO, size: int, interpolation: str = "bicubic") -> np.ndarray:
    with Image.open(source, formats=FORMATS) as image:
        # A JPEG is decoded at a fraction of its size where that leaves twice what is needed.
        drafted = image.draft(None, (2 * size, 2 * size))
        deep = any(";16" in str(tile) for tile in image.tile)
        image.load()
        if deep and image.mode in ("RGB", "RGBA", "LA"):
            _refuse_unused_bits(image)
        small = _in_a_mode_to_scale(image)
        if small.size != (size, size):
            box = drafted[1] if drafted else None
            how = Image.Resampling[interpolation.upper()]
            small = small.resize((size, size), how, box=box, reducing_gap=3.0)
        if small.mode == "RGBA":
            # On white, as a page shows it. The colours below full transparency are what a program
            # happened to leave there, often black, and nobody ever saw them.
            ground = Image.new("RGB", small.size, "white")
            ground.paste(small, mask=small.getchannel("A"))
            small = ground
        # Last, where it costs least: the square is turned instead of the picture.
        turn = _UPRIGHT.get(_orientation(image))
        small = small.convert("RGB")
        return np.asarray(small if turn is None else small.transpose(turn))


def _in_a_mode_to_scale(image: Image.Image) -> Image.Image:
    """``image`` itself where its mode can be scaled as it is: a large one should not be in memory twice.

    Grey of 16 bits keeps the upper 8 of those it uses.
    """
    if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"):
        return upper_bits(image)
    if image.mode in ("I", "F"):
        raise ValueError(f"32 bits a channel (mode {image.mode}), whose range the file does not tell")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def upper_bits(image: Image.Image) -> Image.Image:
    """Convert grey of 16 bits to 8, the upper ones of those it uses; Pillow would clip it to white."""
    values = np.asarray(image)
    used = next(bits for bits in _DEPTHS if int(values.max()) < 1 << bits)
    return Image.fromarray((values >> (used - 8)).astype(np.uint8))


def _refuse_unused_bits(image: Image.Image) -> None:
    """Of 16 bits a channel Pillow keeps the upper 8: next to nothing where 12 bits or fewer are used."""
    colour = image.getextrema()[: 1 if image.mode == "LA" else 3]
    if 0 < (brightest := max(high for _, high in colour)) < 16:
        used = 8 + brightest.bit_length()
        raise ValueError(
            f"16 bits a channel of which only {used} are used, nearly black: scale the values to 16 bits"
        )


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged note beside the picture leaves the picture as it is
        return 1


def _cause(error: Exception) -> str:
    match error:
        case UnidentifiedImageError():
            return "broken image (of no known format)"
        case OSError(strerror=str(reason)):
            return f"broken image ({reason})"
        case _:
            return f"broken image ({error})"


class Inspection(NamedTuple):
    """A file's hash, and why it does not decode; empty where it does."""

    digest: bytes
    cause: str


def inspect(files: Iterable[Path]) -> dict[Path, Inspection]:
    """Hash and decode every file, each read once, with a progress bar for many."""
    files = sorted(files)
    found = each_chunk(lambda _, some: list(map(_inspect, some)), files, "reading images")
    return dict(zip(files, chain.from_iterable(found), strict=True))


def _inspect(path: Path) -> Inspection:
    try:
        _refuse_other_than_files(path)
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        return Inspection(b"", _cause(error))
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        _pixels(io.BytesIO(content), _PROBE)
    except MemoryError:
        raise
    except Exception as error:  # as in decode
        return Inspection(digest, _cause(error))
    return Inspection(digest, "")
