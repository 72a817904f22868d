"""Decoded images: every colour mode, whole or not at all, and never stale."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vilbert_lib import paths
from vilbert_lib.data import cache
from vilbert_lib.data.cache import decode, decoded_images

RED = (200, 30, 40)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))


def noise(path: Path, seed: int = 0, side: int = 16) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def cut(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize(
    ("mode", "suffix", "tolerance"),
    [("RGB", "png", 0), ("RGBA", "png", 0), ("P", "png", 0), ("RGB", "jpg", 4), ("CMYK", "jpg", 8)],
)
def test_every_colour_mode_becomes_rgb(tmp_path, mode, suffix, tolerance):
    image = Image.new("RGB", (20, 12), RED)
    image = image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)
    image.save(tmp_path / f"image.{suffix}")
    with Image.open(tmp_path / f"image.{suffix}") as stored:
        assert stored.mode == mode
    pixels = decode(tmp_path / f"image.{suffix}", 8)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)
    assert np.abs(pixels.astype(int) - RED).max() <= tolerance


def test_grey_becomes_three_equal_channels(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    assert (decode(tmp_path / "grey.png", 16) == ramp[:, :, None]).all()


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert np.abs(decode(tmp_path / "deep.png", 16).astype(int) - ramp[:, :, None] // 257).max() <= 1


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path):
    with Image.open(noise(tmp_path / "a.png")) as image:
        assert (decode(tmp_path / "a.png", 16) == np.asarray(image)).all()


@pytest.mark.parametrize("make", [lambda path: cut(noise(path)), lambda path: path.write_bytes(b"no image")])
def test_a_broken_image_is_named(tmp_path, make):
    make(tmp_path / "broken.png")
    with pytest.raises(ValueError, match=r"broken\.png: broken image"):
        decode(tmp_path / "broken.png", 8)


def test_the_map_holds_the_decoded_files(tmp_path):
    files = [noise(tmp_path / f"{i}.png", seed=i) for i in range(3)]
    pixels = decoded_images(files, 8)
    assert (pixels.shape, pixels.dtype) == ((3, 8, 8, 3), np.uint8)
    assert isinstance(pixels, np.memmap) and not pixels.flags.writeable
    assert all((pixels[i] == decode(path, 8)).all() for i, path in enumerate(files))


def test_the_map_is_made_once(tmp_path, monkeypatch):
    files = [noise(tmp_path / "a.png")]
    before = decoded_images(files, 8).copy()
    monkeypatch.setattr(cache, "decode", lambda *_: 1 / 0)
    assert (decoded_images(files, 8) == before).all()


def test_sizes_have_maps_of_their_own(tmp_path):
    files = [noise(tmp_path / "a.png")]
    assert [decoded_images(files, size).shape[1] for size in (8, 4, 8)] == [8, 4, 8]


@pytest.mark.parametrize("seconds", [0, 10], ids=["same time, other size", "same size, other time"])
def test_a_changed_file_is_decoded_again(tmp_path, seconds):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), RED).save(path)
    stat = path.stat()
    decoded_images([path], 8)
    if seconds:
        path.write_bytes(path.read_bytes())
        Image.new("RGB", (8, 8), RED[::-1]).save(path)
        assert path.stat().st_size == stat.st_size
    else:
        noise(path, side=8)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))
    assert (decoded_images([path], 8)[0] == decode(path, 8)).all()


def test_a_build_that_fails_leaves_no_map_and_the_next_call_works(tmp_path):
    files = [noise(tmp_path / "a.png"), cut(noise(tmp_path / "b.png", seed=1))]
    with pytest.raises(ValueError, match=r"b\.png"):
        decoded_images(files, 8)
    with pytest.raises(ValueError, match=r"b\.png"):
        decoded_images(files, 8)
    noise(files[1], seed=1)
    assert (decoded_images(files, 8)[1] == decode(files[1], 8)).all()


def test_a_build_that_fails_leaves_nothing_that_fills_the_disk(tmp_path):
    """The repaired file has another time of change, so no later call would clean up after this one."""
    with pytest.raises(ValueError, match=r"a\.png"):
        decoded_images([cut(noise(tmp_path / "a.png"))], 8)
    assert not list((paths.cache() / "images").rglob("*.npy"))
