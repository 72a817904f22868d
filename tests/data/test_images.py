"""Decoding: whatever a camera, an editor or a web page leaves becomes upright RGB, or an error that names it."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_roots import deep_png

from vilbert_lib.data import images
from vilbert_lib.data.images import decode

RED, BLUE, WHITE = (200, 30, 40), (20, 40, 220), (255, 255, 255)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth random picture: JPEG leaves it nearly as it is."""
    coarse = np.random.default_rng(seed).integers(0, 256, size=(4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def difference(pixels: np.ndarray, wanted) -> int:
    return int(np.abs(pixels.astype(int) - np.asarray(wanted)).max())


# Colours


@pytest.mark.parametrize(
    ("mode", "name", "tolerance"),
    [
        ("RGB", "a.png", 0),
        ("RGBA", "a.png", 0),
        ("P", "a.png", 0),
        ("P", "a.gif", 0),
        ("RGB", "a.webp", 4),
        ("RGB", "a.bmp", 0),
        ("RGB", "a.jpg", 4),
        ("CMYK", "a.jpg", 8),
        ("CMYK", "a.tif", 2),
        ("YCbCr", "a.tif", 4),
    ],
)
def test_every_colour_mode_becomes_rgb(tmp_path, mode, name, tolerance):
    image = Image.new("RGB", (20, 12), RED)
    image = image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)
    with Image.open(saved(image, tmp_path / name)) as stored:
        assert stored.mode == ("RGB" if name == "a.webp" else mode)
    pixels = decode(tmp_path / name, 8)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)
    assert difference(pixels, RED) <= tolerance


def test_grey_becomes_three_equal_channels(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (decode(saved(Image.fromarray(ramp), tmp_path / "grey.png"), 16) == ramp[:, :, None]).all()


def test_black_and_white_is_scaled_smoothly(tmp_path):
    checks = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    assert difference(decode(saved(checks, tmp_path / "bits.png"), 8), 127) <= 3


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bit_grey_keeps_its_range(tmp_path, name):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    assert difference(decode(saved(Image.fromarray(ramp), tmp_path / name), 16), ramp[:, :, None] // 257) <= 1


@pytest.mark.parametrize(
    ("brightest", "bits"), [(200, 8), (256, 10), (1023, 10), (4095, 12), (2100, 12), (16_000, 14), (40_000, 16)]
)
def test_sixteen_bit_grey_is_scaled_by_the_bits_that_it_uses(tmp_path, brightest, bits):
    """Twelve bits of a camera, stored in sixteen, would be nearly black."""
    ramp = np.linspace(0, brightest, 256).astype(np.uint16).reshape(16, 16)
    pixels = decode(saved(Image.fromarray(ramp), tmp_path / "deep.png"), 16)
    assert (pixels == (ramp * 256.0 // 2**bits)[:, :, None]).all()


def test_sixteen_bit_colour_is_refused_where_twelve_bits_are_used(tmp_path):
    """Pillow reads the upper eight bits of colour only."""
    colours = np.random.default_rng(0).integers(0, 65_536, size=(8, 8, 3))
    path = tmp_path / "deep.png"
    path.write_bytes(deep_png(colours))
    assert (decode(path, 8) == colours >> 8).all()
    path.write_bytes(deep_png(colours >> 4))
    with pytest.raises(ValueError, match=r"deep\.png: broken image \(16 bits a channel of which only 12 are used"):
        decode(path, 8)
    path.write_bytes(deep_png(colours * 0))  # black is black
    assert not decode(path, 8).any()


def test_a_dark_picture_of_eight_bits_is_not_taken_for_a_deep_one(tmp_path):
    dark = Image.fromarray(np.full((16, 16, 3), 9, np.uint8))
    for name, options in (("a.png", {}), ("a.tif", {"compression": "tiff_lzw"}), ("a.bmp", {})):
        assert (decode(saved(dark, tmp_path / name, **options), 8) == 9).all()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_broken_and_never_waited_for(tmp_path, make):
    path = tmp_path / "a.png"
    make(path)
    with pytest.raises(ValueError, match=r"a\.png: broken image \(not a regular file\)"):
        decode(path, 8)
    assert images.inspect([path])[path].cause == "broken image (not a regular file)"


# Transparency


def half_hidden(mode: str) -> Image.Image:
    """Opaque red on the left, fully transparent blue on the right."""
    image = Image.new("RGBA", (16, 16), (*RED, 255))
    image.paste((*BLUE, 0), (8, 0, 16, 16))
    return image.convert(mode)


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_what_is_transparent_is_white_whatever_its_hidden_colour(tmp_path, name):
    pixels = decode(
        saved(half_hidden("RGBA"), tmp_path / name, **({"lossless": True} if "webp" in name else {})), 16
    )
    assert difference(pixels[:, :8], RED) == 0 and difference(pixels[:, 8:], WHITE) == 0


def test_the_hidden_colour_does_not_bleed_into_what_is_scaled(tmp_path):
    image = Image.new("RGBA", (64, 64), (*WHITE, 255))
    image.paste((0, 0, 0, 0), (32, 0, 64, 64))
    assert difference(decode(saved(image, tmp_path / "a.png"), 7), WHITE) <= 1


def test_half_transparent_is_half_white(tmp_path):
    path = saved(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), tmp_path / "a.png")
    assert difference(decode(path, 8), 127) <= 1


def test_a_transparent_palette_entry_and_grey_with_alpha_are_white(tmp_path):
    entry = Image.new("P", (8, 8), 1)
    entry.putpalette([*RED, *BLUE])
    assert difference(decode(saved(entry, tmp_path / "p.png", transparency=1), 8), WHITE) == 0
    assert difference(decode(saved(entry, tmp_path / "p.gif", transparency=1), 8), WHITE) == 0
    assert difference(decode(saved(Image.new("LA", (8, 8), (10, 0)), tmp_path / "la.png"), 8), WHITE) == 0


# Sizes


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path):
    image = noise(16, 16)
    assert (decode(saved(image, tmp_path / "a.png"), 16) == np.asarray(image)).all()


@pytest.mark.parametrize(("width", "height"), [(1, 300), (3000, 2), (65, 64), (224, 223)])
def test_proportions_do_not_matter(tmp_path, width, height):
    assert decode(saved(noise(width, height), tmp_path / "a.jpg"), 64).shape == (64, 64, 3)


def test_a_large_jpeg_read_at_a_fraction_looks_like_the_whole(tmp_path):
    path = saved(noise(1003, 801), tmp_path / "large.jpg", quality=95)
    with Image.open(path) as image:
        whole = image.resize((60, 60), Image.Resampling.BICUBIC)
    assert difference(decode(path, 60), np.asarray(whole)) <= 6


MEMORY = """
import resource, sys
from vilbert_lib.data.images import decode
decode(sys.argv[1], 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(decode(sys.argv[2], 64).mean(), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("name", "megabytes"), [("a.jpg", 40), ("a.png", 190)])
def test_fifty_megapixels_need_no_more_memory_than_one_copy(tmp_path, name, megabytes):
    """Decoded whole it is 150 megabytes, of which a JPEG needs a sixty-fourth."""
    saved(Image.new("RGB", (8, 8), RED), tmp_path / f"small-{name}")
    saved(Image.new("RGB", (8000, 6250), RED), tmp_path / name, compress_level=1)
    command = [sys.executable, "-W", "error", "-c", MEMORY, str(tmp_path / f"small-{name}"), str(tmp_path / name)]
    mean, used = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert float(mean) == pytest.approx(np.mean(RED), abs=2) and int(used) < megabytes


# Orientation


STORED_AS = {  # how a camera that writes this orientation has turned the picture
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
    9: None,
}


@pytest.mark.parametrize(
    ("name", "orientation"),
    [*(("a.jpg", orientation) for orientation in STORED_AS), ("a.png", 6), ("a.webp", 6), ("a.tif", 6)],
)
def test_a_turned_photograph_is_upright(tmp_path, name, orientation):
    upright, turn = noise(96, 64), STORED_AS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if turn is None else upright.transpose(turn)
    path = saved(stored, tmp_path / name, exif=exif, **({} if name.endswith("tif") else {"quality": 95}))
    assert difference(decode(path, 32), decode(saved(upright, tmp_path / "upright.png"), 32)) <= 12


def test_the_turns_are_those_of_the_exif_standard(tmp_path):
    """Orientation 6: the first row of the file is the right side of the picture."""
    stored = Image.new("RGB", (16, 16), BLUE)
    stored.paste(RED, (0, 0, 16, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode(saved(stored, tmp_path / "a.png", exif=exif), 16)
    assert difference(pixels[:, 12:], RED) == 0 and difference(pixels[:, :12], BLUE) == 0


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b""])
def test_a_damaged_note_beside_the_picture_does_not_matter(tmp_path, exif):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = decode(saved(noise(32, 32), tmp_path / "a.jpg", exif=exif, quality=95), 32)
    assert difference(pixels, np.asarray(noise(32, 32))) < 30


# Files that are not what they seem


@pytest.mark.parametrize("name", ["a.png", "a.jpeg", "a.gif", "a", "a.txt"])
def test_the_content_decides_not_the_name(tmp_path, name):
    noise(32, 32).save(tmp_path / name, format="JPEG", quality=95)
    assert difference(decode(tmp_path / name, 32), np.asarray(noise(32, 32))) < 30


def test_of_a_moving_picture_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert difference(decode(tmp_path / "a.gif", 8), RED) == 0


def stored_as(format: str, **options) -> bytes:
    with io.BytesIO() as file:
        noise(200, 150).convert("P" if format == "GIF" else "RGB").save(file, format, **options)
        return file.getvalue()


STORED = {
    "jpeg": stored_as("JPEG"),
    "progressive": stored_as("JPEG", progressive=True),
    "png": stored_as("PNG"),
    "gif": stored_as("GIF"),
    "webp": stored_as("WEBP"),
    "bmp": stored_as("BMP"),
    "tiff": stored_as("TIFF"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", STORED)
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_is_an_error_or_has_lost_no_pixel(tmp_path_factory, kind, share):
    """The last bytes of a PNG or GIF say only that it ends here."""
    path = tmp_path_factory.getbasetemp() / f"cut-{kind}"
    path.write_bytes(STORED[kind])
    whole = decode(path, 32)
    path.write_bytes(STORED[kind][: int(share * len(STORED[kind]))])
    try:
        assert (decode(path, 32) == whole).all()
    except ValueError as error:
        assert f"cut-{kind}: broken image (" in str(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", STORED)
@settings(max_examples=30, deadline=None)
@given(where=st.integers(0, 400), flipped=st.integers(1, 255))
def test_a_damaged_file_gives_pixels_or_an_error_that_names_it(tmp_path_factory, kind, where, flipped):
    path = tmp_path_factory.getbasetemp() / f"damaged-{kind}"
    content = bytearray(STORED[kind])
    content[where] ^= flipped
    path.write_bytes(content)
    try:
        assert decode(path, 16).shape == (16, 16, 3)
    except ValueError as error:
        assert str(path) in str(error)


# Many files


def test_the_broken_of_many_files_are_found_with_their_causes(tmp_path):
    files = [saved(noise(20, 20, seed), tmp_path / f"{seed:03d}.png") for seed in range(150)]
    files[70].write_bytes(b"no image")
    files[3].write_bytes(files[3].read_bytes()[:60])
    found = images.inspect(reversed(files))
    assert {path: one.cause for path, one in found.items() if one.cause} == {
        files[3]: "broken image (image file is truncated)",
        files[70]: "broken image (of no known format)",
    }


def test_an_inspection_hashes_the_bytes_and_decodes_them(tmp_path):
    first, same = (saved(noise(20, 20), tmp_path / f"{name}.png") for name in "ab")
    other = saved(noise(20, 20, 1), tmp_path / "c.png")
    found = images.inspect([first, same, other, tmp_path / "gone.png"])
    assert found[first] == found[same] and found[first].digest != found[other].digest
    assert [found[path].cause for path in (first, other)] == ["", ""]
    assert found[tmp_path / "gone.png"].cause == "broken image (No such file or directory)"
