"""``python -m vilbert_lib``: an error of data, machine or input is one line; one of the program is a traceback."""

import errno
import io
import pickle
import zipfile
import zlib
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import optuna
import pytest
import sqlalchemy
import torch
from safetensors import SafetensorError

from vilbert_lib import notebooks, runs
from vilbert_lib.__main__ import main
from vilbert_lib.commands.train import settings
from vilbert_lib.config import ModelConfig, TrainConfig

NO_SPACE = OSError(errno.ENOSPC, "No space left on device", "/x/a.png")
OF_DATABASE = sqlalchemy.exc.OperationalError("INSERT INTO trials", {}, Exception("database is locked"))


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["vilbert_lib", *map(str, arguments)])
    main()


def failing(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(notebooks, "refresh", fail)
    command(monkeypatch, "refresh")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a is wrong:\n  b"), "a is wrong: b"),
        (NO_SPACE, "[Errno 28] No space left on device: '/x/a.png'"),
        (FloatingPointError("loss is nan in run r"), "loss is nan in run r"),
        (MemoryError(), "not enough memory: use fewer samples, a smaller batch or fewer processes"),
        (MemoryError("80 GB are needed"), "80 GB are needed"),
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator: can't allocate memory"),
        (zipfile.BadZipFile("a.npz: bad magic"), "a.npz: bad magic"),
        (zlib.error("Error -3"), "Error -3"),
        (EOFError(), "EOFError()"),
        (pickle.UnpicklingError("cut"), "cut"),
        (SafetensorError("HeaderTooLarge"), "HeaderTooLarge"),
        (BrokenProcessPool("run r: killed"), "run r: killed"),
        (optuna.exceptions.DuplicatedStudyError("s"), "s"),
        (OF_DATABASE, "database is locked"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_data_machine_or_input_is_one_line(monkeypatch, error, line):
    with pytest.raises(SystemExit) as end:
        failing(monkeypatch, error)
    assert end.value.code == f"refresh: {line}"  # printed, with exit status 1


def test_an_interruption_ends_with_its_own_status(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        failing(monkeypatch, KeyboardInterrupt())
    assert end.value.code == 130 and capsys.readouterr().err == "refresh: interrupted\n"


@pytest.mark.parametrize("kind", [TypeError, AttributeError, KeyError, RuntimeError])
def test_an_error_of_the_program_keeps_its_traceback(monkeypatch, kind):
    with pytest.raises(kind):
        failing(monkeypatch, kind("x"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("search x --objectives a.val_loss --trials -1", "--trials -1 must be at least 1"),
        ("search x --objectives a.val_loss --trials 2 --at-once -1", "--at-once -1 must be at least 0"),
        ("search x --objectives a.val_loss --trials 2 --heartbeat 0", "--heartbeat 0 must be at least 1"),
        ("search x --objectives a.val_loss a.val_loss --trials 2", "'a.val_loss' is named twice"),
        ("refresh 05", "unknown study '05'; known: .*05_thesis_log"),
        ("page 5", "unknown study '5'; known: .*05_thesis_log"),
        ("plan 04_correlation --profile tiny", "unknown profile 'tiny'; known: base, quick, small"),
    ],
)
def test_an_argument_out_of_range_is_named(monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message):
        command(monkeypatch, *arguments.split())


def test_values_get_the_type_of_their_field():
    pairs = ["lr=1e-4", "epochs=3", "augment=true", "betas=0.9,0.95", "precision=bf16"]
    assert settings(TrainConfig, pairs) == {
        "lr": 1e-4, "epochs": 3, "augment": True, "betas": (0.9, 0.95), "precision": "bf16",
    }  # fmt: skip
    assert settings(ModelConfig, ["t_biattention_ids=3,5"]) == {"t_biattention_ids": (3, 5)}


def test_a_setting_given_twice_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'lr=2': lr is given twice"):
        settings(TrainConfig, ["lr=1", "epochs=2", "lr=2"])
    asked = "train --task easy_vqa --architecture baseline --train lr=1 --train lr=2"
    with pytest.raises(SystemExit, match="'lr=2': lr is given twice"):
        command(monkeypatch, *asked.split())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"vocab_size": 7}, r"vocab_size 7: the tokenizer has \d+; leave it out"),
        ({"t_biattention_ids": (1,), "v_biattention_ids": (2,)}, "'late_fusion' has t_.*name it 't1-v2'"),
    ],
)
def test_a_setting_that_would_not_hold_is_refused(tiny_profile, tiny_root, model, message):
    with pytest.raises(ValueError, match=message):
        runs.configure(tiny_profile, tiny_root, "hateful_memes", "late_fusion", model=model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--planned p.json --task easy_vqa", "--task has no effect beside --planned"),
        ("--planned p.json --data-root d", "--data-root has no effect beside --planned"),
        ("--planned p.json --run a/b", "--run has no effect beside --planned"),
        ("--run a/b --train lr=1", "--train has no effect beside --run"),
        ("--run a/b --start-from c/d", "--start-from has no effect beside --run"),
    ],
)
def test_what_would_be_ignored_beside_a_whole_run_is_refused(monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=message):
        command(monkeypatch, "train", *arguments.split())


def damaged(archive, how):
    """``archive``, a file of arrays, in a state that zipfile reads as something it cannot give."""
    content = bytearray(archive.read_bytes())
    listed = content.find(b"PK\x01\x02")
    if how == "encrypted":
        content[6], content[listed + 8] = 1, 1
    elif how == "method":
        content[listed + 10] = 99
    elif how == "no list":
        content[listed] = 0
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("encrypted", "array 'a' cannot be read: .*encrypted"),
        ("method", "array 'a' cannot be read: .*compression method"),
        ("no list", "Bad magic number"),
    ],
)
def test_an_archive_of_arrays_that_cannot_be_read_is_named(monkeypatch, tmp_path, how, message):
    np.savez(tmp_path / "a.npz", a=np.eye(8), b=np.eye(8))
    damaged(tmp_path / "a.npz", how)
    with pytest.raises(SystemExit, match=rf"align: .*a\.npz: {message}"):
        command(monkeypatch, "align", tmp_path / "a.npz")


def test_a_file_beside_the_arrays_and_an_array_larger_than_memory_are_named(monkeypatch, tmp_path):
    np.savez(tmp_path / "a.npz", a=np.eye(8), b=np.eye(8))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("notes.txt", "none")
    with pytest.raises(SystemExit, match=r"a\.npz: 'notes\.txt' is no array"):
        command(monkeypatch, "align", tmp_path / "a.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(SystemExit, match=r"b\.npz: array 'a' cannot be read: Unable to allocate 728\. TiB"):
        command(monkeypatch, "align", tmp_path / "b.npz")
