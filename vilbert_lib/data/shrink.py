"""What was downloaded as an image becomes a small upright RGB JPEG, or is refused."""

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from vilbert_lib.data.images import upper_bits

#: What browsers show. Pillow's other readers are not let near foreign bytes.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
QUALITY = 90
_LONGEST = 65_500  # of a JPEG


class NotAnImage(ValueError):
    """The bytes do not open or do not decode to their end."""


class TooManyPixels(ValueError):
    """The header promises more pixels than are allowed."""


class Stored(NamedTuple):
    """The file that was written: its length in bytes, its sides in pixels, its SHA-256."""

    bytes: int
    width: int
    height: int
    sha256: str


def store(body: bytes, target: Path, unfinished: Path, size: int, max_pixels: int) -> Stored:
    """Write the image in ``body`` to ``target``, whole or not at all; ``unfinished`` is used on the way.

    Raises as :func:`shrink` does, and OSError where the disk does not take the file.
    """
    image = shrink(body, size, max_pixels)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=QUALITY)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_bytes(jpeg.getbuffer())
    os.replace(unfinished, target)
    return Stored(jpeg.tell(), *image.size, hashlib.sha256(jpeg.getbuffer()).hexdigest())


def shrink(body: bytes, size: int, max_pixels: int) -> Image.Image:
    """Decode ``body`` to its end, as RGB, upright, the shorter side at most ``size`` pixels.

    Smaller images stay as they are, transparent ones are laid on white, of several frames the
    first counts. Raises :class:`TooManyPixels`, before decoding, and :class:`NotAnImage`.
    """
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise TooManyPixels(f"{image.width} x {image.height} pixels")
            # A JPEG can be decoded at an eighth, a quarter or half its size: never below twice ours.
            image.draft(None, (2 * size, 2 * size))
            image.load()
            return _scaled(_rgb(_upright(image)), size)
    except (NotAnImage, TooManyPixels):
        raise
    except Image.DecompressionBombError as error:
        raise TooManyPixels(str(error)) from None
    except UnidentifiedImageError:
        raise NotAnImage(f"none of {', '.join(FORMATS)}") from None
    except Exception as error:  # a decoder may raise anything on bytes that were made for it
        raise NotAnImage(f"{type(error).__name__}: {error}") from None


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # broken EXIF data in an image that is whole
        return ImageOps.exif_transpose(image)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip it to white
        image = upper_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _scaled(image: Image.Image, size: int) -> Image.Image:
    factor = min(1.0, size / min(image.size))
    sides = tuple(round(side * factor) for side in image.size)
    if max(sides) > _LONGEST:
        raise NotAnImage(f"{sides[0]} x {sides[1]} pixels: a stripe that no JPEG holds")
    return image if sides == image.size else image.resize(sides, Image.Resampling.BICUBIC)
