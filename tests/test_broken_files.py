"""A run's file that was cut, swapped or changed in one bit is an error that names it, never a wrong result."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from interrupted import small_run

from vilbert_lib import runs
from vilbert_lib.runs import training
from vilbert_lib.training import checkpoint
from vilbert_lib.training.loop import Loop, Position


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


def flipped(path, count: int = 60):
    """Flip one random bit of the file, ``count`` times another one; afterwards the file is as it was."""
    content, random = path.read_bytes(), np.random.default_rng(len(path.name))
    for place in random.integers(8 * len(content), size=count):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)
        yield int(place)
    path.write_bytes(content)


def tables(run):
    run.table("norms", lambda: pd.DataFrame({"layer": np.arange(50), "value": np.arange(50) / 3}), k=3)
    return run.tables()


READERS = {
    "model.safetensors": lambda run, root: run.model(root).state_dict(),
    "metrics.jsonl": lambda run, root: run.metrics,
    "alignment.parquet": lambda run, root: run.training_alignment,
    "env.json": lambda run, root: run.env,
    "summary.json": lambda run, root: run.summary,
    "config.json": lambda run, root: runs.open_run(run.config.id).config,
    "norms-*.parquet": lambda run, root: tables(run),
}


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return a.equals(b) if isinstance(a, pd.DataFrame) else a == b


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_of_a_finished_run_is_named_or_changes_nothing(finished, tiny_root, name):
    """Spaces of a JSON file may be other spaces; all other bits are noticed."""
    right, harmless = READERS[name](finished, tiny_root), 0
    [path] = finished.folder.glob(name)
    for _ in flipped(path):
        try:
            found = READERS[name](runs.Run(finished.config), tiny_root)
        except ValueError as error:
            assert path.name in str(error) or "holds the run" in str(error)
            assert str(error).count("remove") == 1 or "holds the run" in str(error)
        else:
            assert same(found, right)
            harmless += 1
    assert harmless <= (10 if name in ("summary.json", "config.json") else 0)


def test_a_flipped_bit_of_a_checkpoint_is_named(begun):
    path = begun.folder / "checkpoint.pt"
    for _ in flipped(path):
        with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged: .*remove it"):
            checkpoint.read_state(path)


@pytest.mark.parametrize("name", ["metrics.jsonl", "alignment.parquet"])
def test_a_flipped_bit_of_what_an_unfinished_run_recorded_is_named_or_changes_nothing(begun, tiny_root, name):
    loop = Loop.__new__(Loop)
    state = checkpoint.read_state(begun.folder / "checkpoint.pt")
    loop.folder, loop.config, loop.digests = begun.folder, begun.config.train, state["digests"]
    loop.position = Position(**state["position"])
    read = checkpoint.read_json_lines if name == "metrics.jsonl" else checkpoint.read_frame
    path, detected = begun.folder / name, []
    right = pd.DataFrame(read(path))
    for place in flipped(path):
        try:
            loop._verify_recorded()
        except ValueError as error:
            assert f"{name} is damaged" in str(error)
            detected.append(place)
        else:
            assert pd.DataFrame(read(path)).equals(right)
    content = bytearray(path.read_bytes())
    content[detected[0] // 8] ^= 1 << (detected[0] % 8)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*remove .*trained anew"):
        runs.train(begun.config, tiny_root)


def test_a_flipped_bit_of_the_best_weights_is_named(begun, tiny_root, monkeypatch):
    """Between the last epoch and the summary, when the weights of the best epoch are read."""

    def stop(*_):
        raise Enough

    monkeypatch.setattr(training, "_finish", stop)
    with pytest.raises(Enough):
        runs.train(begun.config, tiny_root)
    [path] = begun.folder.glob("best-*.safetensors")
    recorded = checkpoint.read_state(begun.folder / "checkpoint.pt")["digests"]["best"]
    checkpoint.verify(path, recorded)
    for count, _ in enumerate(flipped(path)):
        with pytest.raises(ValueError, match=rf"{path.name} is damaged: .*remove .*trained anew"):
            runs.train(begun.config, tiny_root) if count == 0 else checkpoint.verify(path, recorded)


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_another_seed_is_not_taken_for_the_runs_own(finished, made, tiny_root, tiny_profile, name):
    other = runs.Run(dataclasses.replace(finished.config, seed=1))
    if not other.trained:
        runs.train(other.config, tiny_root)
    for run in (finished, other):
        READERS[name](run, tiny_root)
    [own], [others] = (list(run.folder.glob(name)) for run in (finished, other))
    if others.read_bytes() == own.read_bytes() and name == "env.json":
        return  # both were trained by the same versions
    shutil.copy(others, finished.folder)
    if own.name != others.name:
        own.unlink()
    with pytest.raises(ValueError, match=r"damaged|holds the run"):
        READERS[name](runs.Run(finished.config), tiny_root)


def test_a_checkpoint_of_another_run_is_not_gone_on_from(begun, tiny_root, tiny_profile):
    """Of another learning rate: all tensors have the same names and shapes."""
    other = runs.Run(small_run(tiny_profile, tiny_root, lr=2e-3))
    other.folder.mkdir()
    shutil.copy(begun.folder / "checkpoint.pt", other.folder)
    with pytest.raises(ValueError, match=rf"checkpoint\.pt belongs to run {begun.folder.name}; remove it"):
        runs.train(other.config, tiny_root)


@pytest.mark.parametrize("line", ['{"epoch": 1, "val_', "[1]", "nonsense"])
def test_a_broken_line_of_the_metrics_is_named(begun, tiny_root, line):
    path = begun.folder / "metrics.jsonl"
    path.write_text(path.read_text().splitlines()[0] + f"\n{line}\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: line 2, .*remove .*trained anew"):
        runs.train(begun.config, tiny_root)
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: line 2"):
        _ = begun.metrics
    with pytest.raises(ValueError, match="is not finished"):
        _ = begun.training_alignment


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9999])
@pytest.mark.parametrize("name", ["checkpoint.pt", "alignment.parquet"])
def test_a_cut_file_of_an_unfinished_run_is_named(begun, tiny_root, name, share):
    cut(begun.folder / name, share)
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*remove"):
        runs.train(begun.config, tiny_root)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9999])
@pytest.mark.parametrize("name", ["config.json", "summary.json", "model.safetensors"])
def test_a_cut_file_of_a_finished_run_is_named(finished, tiny_root, name, share):
    cut(finished.folder / name, min(share, 0.9) if name.endswith(".json") else share)  # not the last newline alone
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*trained anew"):
        runs.open_run(finished.config.id).model(tiny_root)


def test_a_directory_under_the_name_of_another_run_is_not_started_from(finished, tiny_root, tiny_profile):
    other = small_run(tiny_profile, tiny_root, lr=2e-3)
    shutil.copytree(finished.folder, runs.Run(other).folder)
    with pytest.raises(ValueError, match=rf"{other.id} holds the run {finished.config.id}"):
        runs.open_run(other.id)
