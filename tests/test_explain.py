"""``explain``: image and sentence in, picture out; of runs from noise and of runs from published weights."""

import argparse
import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vilbert_lib import __main__, explain, runs, synthetic
from vilbert_lib.attribution import METHODS
from vilbert_lib.commands.explain import explain_pair
from vilbert_lib.config import PROFILES
from vilbert_lib.data.datasets import batches
from vilbert_lib.runs.inputs import pair

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "fox", "lion", "when", "shows", "up", "an"]


@pytest.fixture(scope="module")
def tuned(tiny_root, tiny_profile, own_folders):
    [run] = runs.ensure([runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion")], tiny_root)
    return run


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "picture.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 80, 3), dtype=np.uint8)).save(path)
    return path


def asked(run, root, image, place, **changes):
    given = {
        "run_id": run.config.id,
        "img": image,
        "text": "when the fox shows up",
        "data_root": str(root),
        "method": "chefer",
        "target": "",
        "out": place,
        "train_first": False,
    }
    explain_pair(argparse.Namespace(**given | changes))


def test_a_pair_is_the_batch_that_the_run_s_own_data_would_be(tuned, tiny_root):
    data = runs.dataset(tuned.config, tiny_root, "test")
    record = data.records[3]
    batch, pixels = pair(tuned.config, tiny_root, record.img, record.text)
    own = next(batches(data, np.array([3]), 1))
    assert torch.equal(batch["input_ids"], own["input_ids"])
    assert torch.equal(batch["attention_mask"], own["attention_mask"])
    assert torch.allclose(batch["pixel_values"], own["pixel_values"], atol=1e-6)
    assert np.array_equal(pixels, data.pixels[data.image_of[3]])


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_explained_by_every_method(tuned, tiny_root, image, tmp_path, capsys, method):
    asked(tuned, tiny_root, image, tmp_path / "out.png", method=method)
    said = capsys.readouterr().out
    assert "benign" in said and "hateful" in said and f"wrote {tmp_path / 'out.png'}" in said
    with Image.open(tmp_path / "out.png") as picture:
        assert min(picture.size) > 300


def test_the_class_to_explain_can_be_named(tuned, tiny_root, image):
    answers = [
        explain.explain(tuned, tiny_root, image, "a fox", method="integrated_gradients", target=name)
        for name in ("benign", "hateful")
    ]
    assert [answer.explained for answer in answers] == ["benign", "hateful"]
    assert sum(answers[0].shares.values()) == pytest.approx(1, abs=1e-5)
    a, b = (answer.relevance.patches for answer in answers)
    assert np.allclose(a, -b, rtol=1e-3, atol=1e-6)  # of two classes what speaks for one speaks against the other


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"text": " "}, ValueError, "the text is empty"),
        ({"method": "lime"}, ValueError, "method 'lime'"),
        ({"target": "rude"}, ValueError, "label 'rude'"),
        ({"run_id": "hateful_memes/x-s0-00000000"}, FileNotFoundError, "does not exist"),
        ({"out": "picture.gif"}, ValueError, "must end in .png"),
        ({"img": "none.jpg"}, FileNotFoundError, "none.jpg does not exist"),
        ({"data_root": ""}, FileNotFoundError, "name it"),
    ],
)
def test_what_is_wrong_is_named(tuned, tiny_root, image, tmp_path, changes, error, message):
    changes = {n: tmp_path / v if n in ("out", "img") else v for n, v in changes.items()}
    with pytest.raises(error, match=message):
        asked(tuned, tiny_root, image, tmp_path / "out.png", **changes)
    assert not (tmp_path / "out.png").exists()


def test_a_run_whose_results_alone_are_kept_is_trained_on_request(
    tiny_root, tiny_profile, image, tmp_path, monkeypatch, capsys
):
    """As on a clean clone, where the default root of its profile is still to be drawn."""
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VILBERT_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))
    scale = dataclasses.replace(tiny_profile, synthetic_samples=32)
    monkeypatch.setitem(PROFILES, "quick", scale)
    root = synthetic.root_of(scale, "")
    config = runs.configure(scale, root, "hateful_memes", "baseline", train={"epochs": 1})
    runs.ensure([config], root)
    runs.keep(scale)
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "elsewhere"))
    shutil.rmtree(root)
    command = ["explain", "--run", config.id, "--img", str(image), "--text", "a fox", "--out", "why.png"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SystemExit, match=r"keeps its results, not its weights; add --train-first .* took 0 minutes"
    ):
        call(monkeypatch, command)
    described = ["--task", "hateful_memes", "--architecture", "baseline", "--train", "epochs=1"]
    call(monkeypatch, ["train", *described])
    said = capsys.readouterr().out
    assert said.startswith(f"not trained: the results of {config.id} are kept in the archive")
    assert said.endswith(f"python -m vilbert_lib train --run {config.id}\n") and "elsewhere" not in said
    call(monkeypatch, ["train", "--run", config.id])
    assert capsys.readouterr().out.startswith(f"{runs.Run(config).folder}\n") and runs.Run(config).trained
    shutil.rmtree(runs.Run(config).folder)
    with pytest.raises(SystemExit, match="unknown method 'x'"):
        call(monkeypatch, [*command, "--train-first", "--method", "x"])
    assert not runs.Run(config).trained
    call(monkeypatch, [*command, "--train-first"])
    assert (tmp_path / "why.png").stat().st_size > 1000 and runs.Run(config).trained


def call(monkeypatch, arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["vilbert_lib", *arguments])
    __main__.main()


def test_an_explanation_that_cannot_be_written_leaves_the_old_picture(
    tuned, tiny_root, image, tmp_path, monkeypatch
):
    """As on a disk that fills up in the middle of the file."""

    def half(figure, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "out.png").write_bytes(b"the old picture")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    with pytest.raises(OSError, match=r"out\.png could not be written: .*No space left"):
        asked(tuned, tiny_root, image, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == b"the old picture"
