"""A run's file that was cut, swapped or written to is an error that names it, never a wrong result."""

import shutil

import numpy as np
import pytest
from interrupted import small_run, what_is_left

from vilbert_lib import runs
from vilbert_lib.config import arrange
from vilbert_lib.model.heads import Classifier
from vilbert_lib.training import checkpoint


class Enough(Exception):
    """Raised in the middle of a run."""


def stop_at(config, root, last: int) -> None:
    """Train ``config`` up to the report of step ``last``."""
    steps = 0

    def report(share, loss):
        nonlocal steps
        steps += 1
        if steps == last:
            raise Enough

    with pytest.raises(Enough):
        runs.train(config, root, report, checkpoint_seconds=0.0)


@pytest.fixture(scope="module")
def made(tiny_root, tiny_profile, tmp_path_factory):
    """A configuration, a store in which its run stands in the second epoch, one in which it is finished."""
    config = small_run(tiny_profile, tiny_root)
    stores = tmp_path_factory.mktemp("stores")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VILBERT_RUNS", str(stores / "begun"))
        stop_at(config, tiny_root, 5)
        patch.setenv("VILBERT_RUNS", str(stores / "finished"))
        runs.train(config, tiny_root)
    return config, stores


@pytest.fixture
def begun(made, tmp_path, monkeypatch):
    """The run in its second epoch, in a store of the test's own."""
    config, stores = made
    monkeypatch.setenv("VILBERT_RUNS", str(shutil.copytree(stores / "begun", tmp_path / "runs")))
    return runs.Run(config)


@pytest.fixture
def finished(made, tmp_path, monkeypatch):
    """The finished run, in a store of the test's own."""
    config, stores = made
    monkeypatch.setenv("VILBERT_RUNS", str(shutil.copytree(stores / "finished", tmp_path / "runs")))
    return runs.Run(config)


def cut(path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


SHARES = [0.0, *np.random.default_rng(0).random(6).round(4).tolist(), 0.9999]


@pytest.mark.parametrize("share", SHARES)
def test_a_cut_checkpoint_is_named(begun, tiny_root, share):
    cut(begun.folder / "checkpoint.pt", share)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged: .*remove it"):
        runs.train(begun.config, tiny_root)


def test_what_the_error_advises_helps(begun, made, tiny_root, monkeypatch):
    """Without the damaged checkpoint the run starts from its beginning, and ends in the same bits."""
    (begun.folder / "checkpoint.pt").write_bytes(b"no state at all")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged: .*remove it"):
        runs.train(begun.config, tiny_root)
    (begun.folder / "checkpoint.pt").unlink()
    left = what_is_left(runs.train(begun.config, tiny_root))
    monkeypatch.setenv("VILBERT_RUNS", str(made[1] / "finished"))
    assert left == what_is_left(runs.Run(begun.config))


def test_a_checkpoint_of_another_run_is_not_gone_on_from(begun, tiny_root, tiny_profile):
    """Of another learning rate: all tensors have the same names and shapes."""
    other = runs.Run(small_run(tiny_profile, tiny_root, lr=2e-3))
    other.folder.mkdir()
    shutil.copy(begun.folder / "checkpoint.pt", other.folder)
    with pytest.raises(ValueError, match=rf"checkpoint\.pt belongs to run {begun.folder.name}; remove it"):
        runs.train(other.config, tiny_root)


def test_a_checkpoint_of_other_shapes_is_named(begun, tiny_root):
    path = begun.folder / "checkpoint.pt"
    state = checkpoint.read_state(path)
    state["model"]["head.weight"] = state["model"]["head.weight"][:1]
    checkpoint.write_state(path, state)
    with pytest.raises(ValueError, match=r"(?s)checkpoint\.pt does not fit the model; remove it.*head\.weight"):
        runs.train(begun.config, tiny_root)


@pytest.mark.parametrize("share", SHARES)
def test_cut_weights_are_named(finished, tiny_root, share):
    cut(finished.folder / "model.safetensors", share)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged: .*trained anew"):
        finished.model(tiny_root)


@pytest.mark.parametrize("other", ["late_fusion", "optuna1"], ids=["placed elsewhere", "fewer blocks"])
def test_weights_of_another_architecture_are_named(tiny_profile, tmp_path, other):
    """Early and late fusion have tensors of the same names and shapes, and yet are not each other's."""
    early, others = (Classifier(arrange(tiny_profile.model, name), 2) for name in ("early_fusion", other))
    checkpoint.write_weights(tmp_path / "model.safetensors", early)
    with pytest.raises(
        ValueError, match=r"model\.safetensors holds another architecture.*v_biattention_ids differ"
    ):
        checkpoint.read_weights(tmp_path / "model.safetensors", others)


@pytest.mark.parametrize("line", ['{"epoch": 1, "val_', "[1]", "nonsense"])
def test_a_broken_line_of_the_metrics_is_named(begun, tiny_root, line):
    path = begun.folder / "metrics.jsonl"
    path.write_text(path.read_text().splitlines()[0] + f"\n{line}\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: line 2, .*remove .*trained anew"):
        runs.train(begun.config, tiny_root)
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: line 2"):
        _ = begun.metrics


@pytest.mark.parametrize("name", ["metrics.jsonl", "alignment.parquet"])
def test_a_run_does_not_go_on_without_the_epochs_that_it_had_recorded(begun, tiny_root, name):
    (begun.folder / name).unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        runs.train(begun.config, tiny_root)
    assert not begun.finished


def test_epochs_that_are_missing_in_the_alignments_are_told(begun, tiny_root):
    path = begun.folder / "alignment.parquet"
    frame = checkpoint.read_frame(path)
    checkpoint.write_frame(path, frame[frame.epoch > 0])
    with pytest.raises(ValueError, match=r"alignment\.parquet is damaged: not all of the epochs 0\.\.1"):
        runs.train(begun.config, tiny_root)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9999])
def test_cut_alignments_are_named(begun, tiny_root, share):
    cut(begun.folder / "alignment.parquet", share)
    with pytest.raises(ValueError, match=r"alignment\.parquet is damaged: .*trained anew"):
        runs.train(begun.config, tiny_root)


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
def test_a_cut_description_is_named(finished, tiny_root, name):
    cut(finished.folder / name, 0.5)
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*trained anew"):
        _ = runs.open_run(finished.config.id).summary


def test_a_directory_under_the_name_of_another_run_is_not_started_from(finished, tiny_root, tiny_profile):
    other = small_run(tiny_profile, tiny_root, lr=2e-3)
    shutil.copytree(finished.folder, runs.Run(other).folder)
    with pytest.raises(ValueError, match=rf"{other.id} holds the run {finished.config.id}"):
        runs.open_run(other.id)
