"""What img2dataset writes is read: its files, its tar archives, and its records of failures."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pandas as pd
import pytest
import small_roots

from vilbert_lib.data import check, formats
from vilbert_lib.data.images import decode

TASK = "conceptual_captions"


def shard(folder: Path, name: str, rows: list[tuple[str, str, str | None]], *, tar: bool = False) -> Path:
    """A shard as img2dataset 1.47 writes it; ``rows`` are caption, status and message."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [f"{name}{i:04d}" for i in range(len(rows))]
    table = pd.DataFrame(rows, columns=["caption", "status", "error_message"])
    table.insert(1, "url", [f"http://images.invalid/{key}.jpg" for key in keys])
    table.insert(2, "key", keys)
    table.to_parquet(folder / f"{name}.parquet")
    (folder / f"{name}_stats.json").write_text(json.dumps({"count": len(rows)}))
    for key, (caption, status, _) in zip(keys, rows, strict=True):
        if status == "success":
            small_roots.picture(folder / name / f"{key}.jpg")
            (folder / name / f"{key}.txt").write_text(caption)
            (folder / name / f"{key}.json").write_text(json.dumps({"key": key, "status": status}))
    if tar:
        with tarfile.open(folder / f"{name}.tar", "w") as archive:
            for path in sorted((folder / name).iterdir()):
                archive.add(path, path.name)
        shutil.rmtree(folder / name)
    return folder / f"{name}.parquet"


@pytest.fixture(params=[False, True], ids=["files", "webdataset"])
def root(tmp_path, request):
    train, validation = (tmp_path / TASK / part for part in ("train", "validation"))
    dead = ("gone", "failed_to_download", "HTTP Error 404: Not Found")
    shard(train, "00000", [("a red fox", "success", None), dead], tar=request.param)
    shard(train, "00001", [("two caf\u00e9s", "success", None)], tar=request.param)
    shard(validation, "00000", [("a dog", "success", None)], tar=request.param)
    return tmp_path


def test_captions_images_and_failures_are_read(root):
    reading = formats.task(TASK).read(root)
    assert [(r.id, r.text, r.label) for r in reading.splits["train"]] == [
        ("train-000000000", "a red fox", None),
        ("train-000010000", "two caf\u00e9s", None),
    ]
    assert (
        [r.id for r in reading.splits["val"]] == [r.id for r in reading.splits["test"]] == ["validation-000000000"]
    )
    assert reading.left_out == {"train": {"failed to download: HTTP Error 404: Not Found": 1}}
    assert decode(reading.splits["train"][0].img, 8).shape == (8, 8, 3)


def test_samples_are_identified_by_the_shards(root):
    task = formats.task(TASK)
    before = task.fingerprint(root)
    shard(root / TASK / "train", "00002", [("a cat", "success", None)])
    assert task.fingerprint(root) != before
    assert len(task.splits(root)["train"]) == 3


def test_check_finds_nothing_wrong(root):
    assert check.check(formats.task(TASK), root).faults == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "00000_stats.json").unlink(), "00000.parquet: the shard is unfinished"),
        (lambda f: (f / "00000_stats.json").write_text('{"count": 3}'), "has 2 rows, 00000_stats.json counts 3"),
        (lambda f: (f / "00000.parquet").write_bytes(b"PAR1"), "not readable as a table of img2dataset"),
        (lambda f: (f / "00000.tar").write_bytes(b"x" * 600), "not readable as a tar archive"),
    ],
    ids=["no stats", "cut table", "broken table", "broken tar"],
)
def test_a_damaged_shard_is_named(tmp_path, spoil, message):
    folder = tmp_path / TASK / "train"
    shard(folder, "00000", [("a red fox", "success", None), ("gone", "failed_to_resize", "x")], tar=True)
    spoil(folder)
    with pytest.raises(ValueError, match=message) as raised:
        formats.task(TASK).read(tmp_path, on_error="skip")
    assert "call img2dataset again" in str(raised.value)


def test_an_image_that_is_missing_is_an_error_or_skipped(tmp_path):
    folder = tmp_path / TASK
    table = shard(folder / "train", "00000", [("a", "success", None), ("b", "success", None)])
    shard(folder / "validation", "00000", [("a", "success", None)])
    (table.with_suffix("") / "000000001.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"00000\.parquet: row 2: image .*000000001\.jpg is missing"):
        formats.task(TASK).read(tmp_path)
    reading = formats.task(TASK).read(tmp_path, on_error="skip")
    assert len(reading.splits["train"]) == len(reading.problems["train"]) == 1


UVX = Path(sys.executable).with_name("uvx")


@pytest.fixture
def server(tmp_path):
    """Serves three images and a page that is none from this machine."""
    folder = tmp_path / "served"
    for i in range(3):
        small_roots.picture(folder / f"{i}.jpg")
    (folder / "page.jpg").write_text("<html>gone</html>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not UVX.is_file(), reason="uvx, which runs img2dataset, is not installed")
@pytest.mark.parametrize("output", ["files", "webdataset"])
def test_a_real_download_is_read(tmp_path, server, output):
    """The command line of the chapter on Conceptual Captions, against a small server on this machine."""
    lines = [f"picture {i}\t{server}/{i}.jpg" for i in range(3)]
    lines += [f"gone\t{server}/none.jpg", f"a page\t{server}/page.jpg"]
    (tmp_path / "list.tsv").write_text("\n".join(["caption\turl", *lines]) + "\n")
    options = {
        "url_list": "list.tsv", "input_format": "tsv", "url_col": "url", "caption_col": "caption",
        "output_folder": f"{TASK}/train", "output_format": output, "image_size": 224,
        "resize_mode": "keep_ratio", "resize_only_if_bigger": True, "processes_count": 1, "thread_count": 4,
    }  # fmt: skip
    command = [str(UVX), "img2dataset", *(f"--{name}={value}" for name, value in options.items())]
    environment = os.environ | {"UV_SYSTEM_CERTS": "1"}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 600}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    shutil.copytree(tmp_path / TASK / "train", tmp_path / TASK / "validation")
    reading = formats.task(TASK).read(tmp_path)
    assert sorted(r.text for r in reading.splits["train"]) == ["picture 0", "picture 1", "picture 2"]
    assert sorted(reading.left_out["train"]) == [
        "failed to download: HTTP Error 404: File not found",
        "failed to resize: Image decoding error",
    ]
    assert decode(reading.splits["train"][0].img, 224).shape == (224, 224, 3)
