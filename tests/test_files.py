"""Locks that are waited for are named, and what cannot be written is found before the work."""

import errno
import fcntl
import os
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image

from vilbert_lib import features, files, paths
from vilbert_lib.__main__ import main
from vilbert_lib.data.cache import decoded_images


def test_a_process_that_waits_for_decoded_images_says_so_once(tmp_path, capsys):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    store = paths.cache() / "images"
    store.mkdir(parents=True, exist_ok=True)
    held = os.open(store / "build.lock", os.O_RDWR | os.O_CREAT)  # as another process holds it
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(1.5, os.close, [held]).start()
    decoded_images([tmp_path / "a.png"], 8)
    assert capsys.readouterr().err == "decoding 1 images: waiting for another process\n"


def test_a_file_of_the_same_size_and_time_is_another_version(tmp_path):
    path = tmp_path / "a"
    path.write_text("x")
    before = files.version(path)
    path.with_name("b").write_text("y")
    os.utime(path.with_name("b"), ns=(before[1], before[1]))
    path.with_name("b").replace(path)
    assert files.version(path)[:2] == before[:2] and files.version(path) != before


def test_a_folder_that_cannot_be_written_is_named_before_the_work(tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    message = f"nothing can be written into {tmp_path}: Read-only file system; name another folder"
    command = f"plan 04_correlation --out {tmp_path / 'runs.txt'}"
    monkeypatch.setattr("sys.argv", ["vilbert_lib", *command.split()])
    with pytest.raises(SystemExit, match=message):
        main()
    with pytest.raises(OSError, match=message):
        features.writable(tmp_path / "a.csv", features.TABLES)
