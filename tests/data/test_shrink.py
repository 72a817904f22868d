"""Images small, upright and RGB, whatever they were; everything else refused."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hostile_server import picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vilbert_lib.data.shrink import NotAnImage, TooManyPixels, shrink, store

PLENTY = 10**7
RED, BLUE = (220, 20, 30), (20, 30, 220)


def saved(image: Image.Image, kind: str, **save) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **save)
    return content.getvalue()


def two_halves() -> Image.Image:
    """Red left, blue right, twice as wide as high."""
    image = Image.new("RGB", (128, 64), RED)
    image.paste(BLUE, (64, 0, 128, 64))
    return image


def near(pixel, colour) -> bool:
    return max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 40


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", mode) for mode in ("RGB", "L", "CMYK")]
    + [("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1")]
    + [("GIF", "P"), ("GIF", "L"), ("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "RGB"), ("MPO", "RGB")],
)
def test_every_format_and_colour_mode_becomes_rgb(kind, mode):
    image = shrink(picture(kind, mode, (200, 100)), 50, PLENTY)
    assert (image.mode, image.size) == ("RGB", (100, 50))
    assert np.asarray(image).std() > 10


def test_the_shorter_side_gets_the_size_and_smaller_images_stay():
    sizes = {(400, 300): (341, 256), (300, 400): (256, 341), (256, 900): (256, 900), (40, 30): (40, 30)}
    assert {size: shrink(picture(size=size), 256, PLENTY).size for size in sizes} == sizes


def test_a_large_jpeg_looks_as_if_it_had_been_decoded_whole():
    body = picture(size=(1600, 1200))
    with Image.open(io.BytesIO(body)) as image:
        slow = image.convert("RGB").resize((133, 100), Image.Resampling.BICUBIC)
    difference = np.asarray(shrink(body, 100, PLENTY), int) - np.asarray(slow, int)
    assert np.abs(difference).max() <= 6


def test_colours_of_cmyk_are_kept():
    image = shrink(saved(two_halves().convert("CMYK"), "JPEG"), 64, PLENTY)
    assert near(image.getpixel((20, 32)), RED) and near(image.getpixel((100, 32)), BLUE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_set_upright(orientation):
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what the camera did: the inverse of what is asked for
    image = two_halves() if orientation == 1 else two_halves().transpose(turn[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = shrink(saved(image, "JPEG", exif=exif), 64, PLENTY)
    assert upright.size == (128, 64)
    assert near(upright.getpixel((20, 32)), RED) and near(upright.getpixel((100, 32)), BLUE)
    assert 0x0112 not in Image.open(io.BytesIO(saved(upright, "JPEG"))).getexif()


def test_broken_exif_data_do_not_lose_the_image():
    body = picture(exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken")
    assert shrink(body, 256, PLENTY).size == (40, 30)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(kind):
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 10, 10))
    shrunk = shrink(saved(image, kind, lossless=True), 10, PLENTY)
    assert near(shrunk.getpixel((4, 4)), RED) and near(shrunk.getpixel((15, 4)), (255, 255, 255))


def test_a_transparent_palette_colour_is_laid_on_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, *RED])
    shrunk = shrink(saved(image, "GIF", transparency=0), 8, PLENTY)
    assert shrunk.getpixel((4, 4)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_range():
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    for values in (ramp, ramp >> 4):  # and twelve bits stored in sixteen
        shrunk = np.asarray(shrink(saved(Image.fromarray(values), "PNG"), 16, PLENTY))
        assert shrunk.max() == 255
    shrunk = np.asarray(shrink(saved(Image.fromarray(ramp), "PNG"), 16, PLENTY))
    assert np.abs(shrunk[..., 0].astype(int) - ramp // 257).max() <= 1


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    body = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert near(shrink(body, 8, PLENTY).getpixel((4, 4)), RED)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that promises these sides, in one-bit grey, and holds ``data``."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )


def test_a_bomb_is_known_by_its_header():
    assert shrink(png(3000, 3000, bytes(376 * 3000)), 256, 9_000_000).size == (256, 256)
    with pytest.raises(TooManyPixels, match="3000 x 3001"):
        shrink(png(3000, 3001, bytes(376 * 3001)), 256, 9_000_000)
    for sides in ((60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        body = png(*sides)
        assert len(body) < 100
        with pytest.raises(TooManyPixels):
            shrink(body, 256, PLENTY)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_an_image_that_is_cut_is_none(kind):
    body = picture(kind, size=(300, 200), mode="P" if kind == "GIF" else "RGB")
    assert shrink(body, 64, PLENTY).size == (96, 64)
    with pytest.raises(NotAnImage):
        shrink(body[: len(body) // 2], 64, PLENTY)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"<!DOCTYPE html><html></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"P6 1 1 ",
    ],
)
def test_what_is_no_image_is_refused(body):
    with pytest.raises(NotAnImage):
        shrink(body, 64, PLENTY)


@pytest.mark.parametrize("kind", ["PPM", "TIFF", "TGA", "ICO", "PDF", "EPS"])
def test_formats_that_the_web_does_not_show_are_refused(kind):
    with pytest.raises(NotAnImage):
        shrink(picture(kind), 64, PLENTY)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP"]), data=st.data())
def test_damaged_bytes_give_an_image_or_are_refused(kind, data):
    body = bytearray(picture(kind, "P" if kind == "GIF" else "RGB"))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    try:
        image = shrink(bytes(body), 16, 100_000)
    except (NotAnImage, TooManyPixels):
        return
    assert image.mode == "RGB" and min(image.size) <= 16


def test_what_is_stored_is_a_jpeg_and_told_exactly(tmp_path):
    target, unfinished = tmp_path / "train" / "0000" / "00000007.jpg", tmp_path / "00000007"
    stored = store(picture("PNG", size=(300, 200)), target, unfinished, 64, PLENTY)
    content = target.read_bytes()
    assert stored == (len(content), 96, 64, hashlib.sha256(content).hexdigest())
    with Image.open(target) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (96, 64))
    assert not unfinished.exists()
    again = store(picture("PNG", size=(300, 200)), target, unfinished, 64, PLENTY)
    assert again == stored


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"nothing", NotAnImage), (png(9000, 9000), TooManyPixels), (png(70_000, 2, bytes(20_000)), NotAnImage)],
    ids=["no image", "a bomb", "a stripe too long for a JPEG"],
)
def test_nothing_is_stored_of_what_is_refused(tmp_path, body, error):
    with pytest.raises(error):
        store(body, tmp_path / "image.jpg", tmp_path / "unfinished", 64, PLENTY)
    assert not list(tmp_path.iterdir())
