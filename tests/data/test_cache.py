"""Decoded images: every colour mode, whole or not at all, never stale, and no more work than needed."""

import hashlib
import json
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vilbert_lib import paths
from vilbert_lib.data import cache, sources
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


# The map


def some(folder: Path, count: int = 3) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [noise(folder / f"{i}.png", seed=i) for i in range(count)]


def store() -> Path:
    return paths.cache() / "images"


def maps() -> list[Path]:
    return sorted(path.parent for path in store().glob("*/pixels.npy"))


@pytest.fixture
def no_decoding(monkeypatch):
    """From here on to decode is an error."""

    def start():
        monkeypatch.setattr(cache, "decode", lambda path, _: pytest.fail(f"{path} is decoded again"))

    return start


def test_the_map_holds_the_decoded_files(tmp_path):
    files = some(tmp_path, 3)
    images = decoded_images(files, 8)
    assert (images.pixels.shape, images.pixels.dtype) == ((3, 8, 8, 3), np.uint8)
    assert isinstance(images.pixels, np.memmap) and not images.pixels.flags.writeable
    assert all((images.pixels[i] == decode(path, 8)).all() for i, path in enumerate(files))
    assert images.broken == {}


def test_more_images_than_one_thread_takes_keep_their_order(tmp_path):
    files = some(tmp_path, 150)
    pixels = decoded_images(files, 8).pixels
    assert all((pixels[i] == decode(path, 8)).all() for i, path in enumerate(files))


def test_sizes_have_maps_of_their_own(tmp_path):
    files = some(tmp_path)
    assert [decoded_images(files, size).pixels.shape[1] for size in (8, 4, 8)] == [8, 4, 8]
    assert len(maps()) == 2


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="no images"):
        decoded_images([], 8)


def test_what_a_map_was_made_of_can_be_read(tmp_path):
    files = some(tmp_path)
    folder = decoded_images(files, 8).file.parent
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["images"] == 3 and manifest["size"] == 8 and manifest["interpolation"] == "bicubic"
    sources = pd.read_parquet(folder / "sources.parquet")
    assert sources.file.tolist() == [str(path) for path in files]
    assert sources.bytes.tolist() == [path.stat().st_size for path in files]
    assert sources.mtime_ns.tolist() == [path.stat().st_mtime_ns for path in files]
    assert sources.sha256.tolist() == [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_another_process_maps_the_file_instead_of_being_sent_its_pixels(tmp_path):
    images = decoded_images(some(tmp_path, 100), 16)
    assert images.pixels.nbytes > 70_000
    sent = pickle.dumps(images)
    assert len(sent) < 1000
    received = pickle.loads(sent)
    assert isinstance(received.pixels, np.memmap) and (received.pixels == images.pixels).all()


# Stale or not


@pytest.mark.parametrize("seconds", [0, 10], ids=["same time, other size", "same size, other time"])
def test_a_changed_file_is_decoded_again(tmp_path, seconds):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), RED).save(path)
    stat = path.stat()
    decoded_images([path], 8)
    if seconds:
        Image.new("RGB", (8, 8), RED[::-1]).save(path)
        assert path.stat().st_size == stat.st_size
    else:
        noise(path, side=8)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))
    assert (decoded_images([path], 8).pixels[0] == decode(path, 8)).all()


def test_a_touched_file_is_not_decoded_again(tmp_path, no_decoding):
    files = some(tmp_path)
    before = decoded_images(files, 8)
    no_decoding()
    os.utime(files[1], ns=(0, 0))
    assert decoded_images(files, 8).file == before.file


def test_files_that_moved_are_not_decoded_again(tmp_path, no_decoding):
    before = decoded_images(some(tmp_path / "here"), 8)
    (tmp_path / "here").rename(tmp_path / "there")
    no_decoding()
    after = decoded_images(sorted((tmp_path / "there").iterdir()), 8)
    assert after.file == before.file


def test_a_file_that_nobody_touched_is_not_read_again(tmp_path, monkeypatch):
    files = some(tmp_path)
    before = decoded_images(files, 8).file
    monkeypatch.setattr(sources, "_sha256", lambda *_: pytest.fail("read again"))
    assert decoded_images(files, 8).file == before


def test_other_bytes_of_the_noted_size_and_time_are_other_images(tmp_path):
    files = some(tmp_path)
    before, stat = decoded_images(files, 8).file, files[0].stat()
    with Image.open(files[0]) as image:
        pixels = np.asarray(image)[:, ::-1]
    Image.fromarray(pixels).save(files[0])
    files[0].write_bytes(files[0].read_bytes().ljust(stat.st_size, b"\0"))
    os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    images = decoded_images(files, 8)
    assert images.file != before and (images.pixels[0] == decode(files[0], 8)).all()


def test_an_image_that_changes_while_it_is_decoded_is_no_part_of_a_map(tmp_path, monkeypatch):
    files = some(tmp_path)

    def meanwhile(path, *settings):
        noise(files[1], seed=9)
        return decode(path, *settings)

    monkeypatch.setattr(cache, "decode", meanwhile)
    with pytest.raises(ValueError, match="images changed while they were decoded; start again"):
        decoded_images(files, 8)
    assert not maps()


# Broken sources


def test_broken_images_are_named_and_counted_and_leave_nothing(tmp_path):
    files = some(tmp_path, 4)
    cut(files[1]), cut(files[3])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1\.png: broken image .*, and 1 more of 4 images"):
            decoded_images(files, 8)
        assert not maps() and not list(store().glob("unfinished"))
    noise(files[1], seed=1), noise(files[3], seed=3)
    assert (decoded_images(files, 8).pixels[3] == decode(files[3], 8)).all()


def test_broken_images_that_are_skipped_are_zeros_and_told(tmp_path, no_decoding):
    files = some(tmp_path, 4)
    cut(files[1])
    files[2].write_bytes(b"no image")
    images = decoded_images(files, 8, on_error="skip")
    assert set(images.broken) == {files[1], files[2]}
    assert all("broken image" in cause and not cause.startswith("/") for cause in images.broken.values())
    assert not images.pixels[1:3].any() and (images.pixels[3] == decode(files[3], 8)).all()
    no_decoding()
    assert decoded_images(files, 8, on_error="skip").broken == images.broken
    with pytest.raises(ValueError, match=r"1\.png: broken image .* 1 more of 4"):
        decoded_images(files, 8)


def test_a_missing_image_is_named_or_skipped(tmp_path):
    files = [*some(tmp_path, 2), tmp_path / "gone.png"]
    with pytest.raises(FileNotFoundError, match=r"gone\.png is missing"):
        decoded_images(files, 8)
    images = decoded_images(files, 8, on_error="skip")
    assert list(images.broken) == [files[2]] and not images.pixels[2].any()
    noise(files[2])
    assert (decoded_images(files, 8).pixels[2] == decode(files[2], 8)).all()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path), Path.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match=r"a\.png is missing or no regular file"):
        decoded_images([tmp_path / "a.png"], 8)
    images = decoded_images([tmp_path / "a.png", noise(tmp_path / "b.png")], 8, on_error="skip")
    assert list(images.broken) == [tmp_path / "a.png"]


# Damaged maps


def write_into(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(-len(content), os.SEEK_END)
        file.write(content)


DAMAGES = {
    "pixels cut": lambda folder: cut(folder / "pixels.npy"),
    "pixels gone": lambda folder: (folder / "pixels.npy").unlink(),
    "pixels written to": lambda folder: write_into(folder / "pixels.npy", b"abc"),
    "manifest cut": lambda folder: cut(folder / "manifest.json"),
    "manifest gone": lambda folder: (folder / "manifest.json").unlink(),
    "manifest of nothing": lambda folder: (folder / "manifest.json").write_text("[]"),
    "manifest of another size": lambda folder: (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace('"size": 8', '"size": 9')
    ),
    "empty": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_map_is_noticed_and_made_anew(tmp_path, damage, no_decoding):
    files = some(tmp_path)
    images = decoded_images(files, 8)
    before = images.pixels.copy()
    DAMAGES[damage](images.file.parent)
    with pytest.warns(UserWarning, match="is damaged, the images are decoded again"):
        assert (decoded_images(files, 8).pixels == before).all()
    no_decoding()
    with warnings.catch_warnings(action="error"):
        assert (decoded_images(files, 8).pixels == before).all()


def test_a_damaged_table_of_sources_is_noticed_and_made_anew(tmp_path, no_decoding):
    files = some(tmp_path)
    decoded_images(files, 8)
    [table] = store().glob("sources-*.parquet")
    cut(table)
    no_decoding()
    with pytest.warns(UserWarning, match="is damaged, the files are read again"):
        decoded_images(files, 8)
    with warnings.catch_warnings(action="error"):
        decoded_images(files, 8)


def test_a_copied_store_is_good_as_it_is(tmp_path, no_decoding, monkeypatch):
    files = some(tmp_path / "images")
    before = decoded_images(files, 8).pixels.copy()
    shutil.copytree(paths.data(), tmp_path / "copy", copy_function=shutil.copyfile)
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "copy"))
    no_decoding()
    with warnings.catch_warnings(action="error"):
        assert (decoded_images(files, 8).pixels == before).all()
    assert maps()[0].is_relative_to(tmp_path / "copy")


# Many processes, killed ones, full disks

# Where a process is stopped: module, function, at which call of it.
STAGES = {
    "table of sources": (sources.os, "replace", 1),
    "room taken": (cache.os, "posix_fallocate", 1),
    "first image": (cache, "decode", 1),
    "last image": (cache, "decode", 70),
    "checksum": (cache, "_checksum", 1),
    "move": (cache.shutil, "rmtree", 2),
}


def stop_at(stage: str, reached) -> None:
    """Let this process tell that it has come to ``stage``, and then wait to be killed."""
    module, name, number = STAGES[stage]
    function, calls = getattr(module, name), []

    def stopping(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            reached.set()
            time.sleep(60)
        return function(*args, **kwargs)

    setattr(module, name, stopping)


def decode_and_stop(files, stage, reached):
    stop_at(stage, reached)
    decoded_images(files, 16)


def decode_and_tell(files, begin, answers):
    begin.wait()
    answers.put(decoded_images(files, 16).pixels.tobytes())


FORK = multiprocessing.get_context("fork")


def test_processes_that_ask_at_once_get_one_map(tmp_path):
    files = some(tmp_path / "images", 70)
    begin, answers = FORK.Event(), FORK.Queue()
    processes = [FORK.Process(target=decode_and_tell, args=(files, begin, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    begin.set()
    wanted = np.stack([decode(path, 16) for path in files]).tobytes()
    assert [answers.get(timeout=60) == wanted for _ in processes] == [True] * 3
    for process in processes:
        process.join()
    assert len(maps()) == 1 and not list(store().rglob("*unfinished*"))


def disk_use() -> int:
    return sum(path.stat().st_size for path in store().rglob("*") if path.is_file())


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_process_leaves_nothing_that_counts_or_grows(tmp_path, stage):
    files, used = some(tmp_path / "images", 70), []
    for seed in (100, 101):
        # Another picture each time, so that no later call asks for the map that the first one began.
        noise(files[0], seed=seed)
        reached = FORK.Event()
        process = FORK.Process(target=decode_and_stop, args=(files, stage, reached))
        process.start()
        assert reached.wait(timeout=60)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not [path for path in maps() if path.name != "unfinished"]
        used.append(disk_use())
    assert used[1] <= used[0] * 1.02
    pixels = decoded_images(files, 16).pixels
    assert all((pixels[i] == decode(path, 16)).all() for i, path in enumerate(files))
    assert len(maps()) == 1 and not list(store().rglob("*unfinished*"))


def decode_with_small_files(files, answers):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        decoded_images(files, 16)
    except OSError as error:
        answers.put(str(error))


def test_a_file_that_may_not_grow_is_an_error_that_names_path_and_bytes(tmp_path):
    answers = FORK.Queue()
    process = FORK.Process(target=decode_with_small_files, args=(some(tmp_path / "images", 70), answers))
    process.start()
    error = answers.get(timeout=60)
    process.join()
    assert error.startswith(f"[Errno 27] {store()}/")
    assert error.endswith(f"the decoded images, {70 * 16 * 16 * 3} bytes, could not be written: File too large")
    assert not maps() and not list(store().rglob("*unfinished*"))


SMALL_DISK = """
import os, subprocess, sys, warnings
from pathlib import Path
disk, images = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
print("mounted", flush=True)
os.environ["VILBERT_DATA"] = str(disk)
from vilbert_lib.data import cache, sources
files, store = sorted(images.iterdir()), disk / "cache" / "images"
store.mkdir(parents=True)
warnings.simplefilter("ignore")
for room in map(int, sys.argv[3:]):
    free = os.statvfs(disk).f_bavail * 4096
    (disk / "filler").write_bytes(bytes(free - room))
    try:
        cache.decoded_images(files, 16)
    except OSError as error:
        print(type(error).__name__, error)
    print([path.name for path in store.iterdir() if path.is_dir()])
    (disk / "filler").unlink()
print(cache.decoded_images(files, 16).pixels.shape)
"""


def test_a_full_disk_is_an_error_that_names_path_and_bytes(tmp_path):
    """On a disk of its own, which no other process sees: nothing free, too little, and just too little."""
    some(tmp_path / "images", 70)
    (tmp_path / "disk").mkdir()
    pixels = 70 * 16 * 16 * 3
    rooms = [0, 40_960, -(-pixels // 4096) * 4096]  # the last: for the pixels, but not for what goes with them
    arguments = [str(tmp_path / "disk"), str(tmp_path / "images"), *map(str, rooms)]
    unshare = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    command = [*unshare, sys.executable, "-c", SMALL_DISK, *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    if "mounted" not in result.stdout:
        pytest.skip(f"no disk of one's own to be had: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    _, *answers, shape = result.stdout.splitlines()
    assert shape == "(70, 16, 16, 3)"
    for error, left in zip(answers[::2], answers[1::2], strict=True):
        assert error.startswith(f"OSError [Errno 28] {tmp_path}/disk/cache/images/") and f"{pixels} bytes" in error
        assert left == "[]"
    before, too_little, in_the_middle = answers[::2]
    assert before.endswith(", 0 are free") and too_little.endswith(" are free") and ", 0 are" not in too_little
    assert in_the_middle.endswith("No space left on device")
