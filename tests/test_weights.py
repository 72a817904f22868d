"""Weights are named by what they are, and what cannot be had is said at once."""

import os
import time

import pytest
from huggingface_hub import constants

from vilbert_lib import weights


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with weights in name only, and a cache of the test's own."""
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"numbers")
    return folder


def test_a_folder_is_named_by_its_content(place, tmp_path):
    first = weights.identify(str(place))
    assert first.startswith("local/mine-")
    moved = place.rename(tmp_path / "elsewhere")
    assert weights.identify(str(moved)).split("-")[1] == first.split("-")[1]
    (moved / "model.safetensors").write_bytes(b"others!")
    assert weights.identify(str(moved)).split("-")[1] != first.split("-")[1]


def test_files_that_were_replaced_are_not_loaded_under_the_old_identity(place):
    """Neither weights, of the same size and with the same time, nor configuration, nor vocabulary."""
    (place / "vocab.txt").write_text("a\nb\n")
    identity = weights.identify(str(place))
    assert weights.folder(identity).is_dir()
    for name in ("model.safetensors", "config.json", "vocab.txt"):
        before, stat = (place / name).read_bytes(), (place / name).stat()
        (place / name).write_bytes(before[::-1])
        os.utime(place / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        with pytest.raises(ValueError, match=rf"{identity}: {place} now holds other files"):
            weights.folder(identity)
        assert weights.identify(str(place)) != identity
        (place / name).write_bytes(before)
        assert weights.identify(str(place)) == identity
    assert weights.folder(identity).is_dir()


@pytest.mark.parametrize(
    "name",
    ["local/../../x", "local/..-01234567", "local/mine", "local/a/b-01234567", "local/mine-0123456g",
     "a/b/c", "some..one/tiny", "someone/tiny@../x", "some one/tiny"],
)  # fmt: skip
def test_names_that_cannot_be_are_refused(place, name):
    for use in (weights.identify, weights.folder):
        with pytest.raises(ValueError, match=rf"weights '{name}' are neither a folder, nor a hub name"):
            use(name)


def test_a_file_is_found_under_the_name_that_libraries_look_for(place):
    file = (place / "model.safetensors").rename(place / "step-1000.safetensors")
    identity = weights.identify(str(file))
    assert identity.startswith("local/step-1000-")
    assert (weights.folder(identity) / "model.safetensors").read_bytes() == b"numbers"


def test_weights_that_are_not_there_are_an_error_that_names_them(place, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such file"):
        weights.identify(str(tmp_path / "nowhere"))
    (place / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        weights.identify(str(place))
    (place / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"mine: neither model\.safetensors nor pytorch_model\.bin"):
        weights.identify(str(place))
    with pytest.raises(FileNotFoundError, match="not known on this machine"):
        weights.folder("local/mine-01234567")


def test_without_a_network_a_hub_name_fails_within_seconds_and_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    weights.reachable.cache_clear()
    started = time.monotonic()
    with pytest.raises(
        OSError, match=r"'bert-base-uncased' could not be loaded.*cannot be reached.*folder.*HF_HOME"
    ):
        weights.folder("bert-base-uncased")
    assert time.monotonic() - started < 10
    weights.reachable.cache_clear()


def test_a_filled_cache_serves_without_a_network(tmp_path, monkeypatch):
    """Laid out as the hub's own library leaves it."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_text("{}")
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    weights.reachable.cache_clear()
    assert weights.folder("someone/tiny") == snapshot
    assert weights.folder(f"someone/tiny@{revision}") == snapshot
    weights.reachable.cache_clear()
