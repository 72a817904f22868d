"""A disk that fills up leaves what was there, is told by file, and the run goes on when there is room again."""

import contextlib
import resource
import signal

import numpy as np
import pandas as pd
import pytest
from interrupted import small_run, what_is_left

from vilbert_lib import runs
from vilbert_lib.config import arrange
from vilbert_lib.model.heads import Classifier
from vilbert_lib.training import checkpoint

pytestmark = pytest.mark.slow  # a file system of its own


@contextlib.contextmanager
def room_of(size: int):
    """No file can grow beyond ``size`` bytes: writing fails in the middle of it, as on a full disk."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN, "a write that is too large would end the process"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def classifier(tiny_profile):
    return Classifier(arrange(tiny_profile.model, "middle_fusion"), 2)


WRITERS = {
    "checkpoint.pt": lambda path, model: checkpoint.write_state(path, {"model": model.state_dict(), "step": 2}),
    "model.safetensors": checkpoint.write_weights,
    "alignment.parquet": lambda path, _: checkpoint.write_frame(path, pd.DataFrame({"x": np.arange(5000.0)})),
    "summary.json": lambda path, _: checkpoint.write_json(path, {"loss": 1.5, "n": list(range(5000))}),
    "metrics.jsonl": lambda path, _: checkpoint.write_json_lines(path, [{"epoch": i} for i in range(5000)]),
}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9999])
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_the_old_file_and_names_it(tmp_path, classifier, name, share):
    path, write = tmp_path / name, WRITERS[name]
    write(path, classifier)
    size = path.stat().st_size
    path.write_bytes(b"the old file")
    with (
        room_of(int(share * size)),
        pytest.raises(OSError, match=rf"{name} could not be written: .*File too large"),
    ):
        write(path, classifier)
    assert [p.name for p in tmp_path.iterdir()] == [name] and path.read_bytes() == b"the old file"
    write(path, classifier)
    assert path.stat().st_size == size


@pytest.fixture(scope="module")
def unbroken(tiny_root, tiny_profile, tmp_path_factory):
    """Configuration of a small run, and what it leaves when there is room."""
    config = small_run(tiny_profile, tiny_root, ("mlm", "ap"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VILBERT_RUNS", str(tmp_path_factory.mktemp("unbroken")))
        run = runs.train(config, tiny_root)
        assert run.summary["best_epoch"] == 2, "the second epoch has weights to write"
        return config, what_is_left(run)


@pytest.mark.parametrize(
    ("file", "room", "seconds", "done"),
    [
        ("checkpoint.pt", 0.9, 0.0, (1, 1)),
        ("best-2.safetensors", 0.3, 3600.0, (1, 0)),
        ("alignment.parquet", 0.004, 3600.0, (1, 0)),
        ("metrics.jsonl", 0.0003, 3600.0, (1, 0)),
    ],
)
def test_a_run_on_a_full_disk_keeps_its_last_checkpoint_and_goes_on(
    store, tiny_root, unbroken, file, room, seconds, done
):
    """From the second step of the second epoch on there is ``room``, as a share of the last checkpoint's size."""
    config, left = unbroken
    folder, steps = runs.Run(config).folder, 0
    with contextlib.ExitStack() as stack:

        def report(share, loss):
            nonlocal steps
            steps += 1
            if steps == 5:
                stack.enter_context(room_of(int(room * (folder / "checkpoint.pt").stat().st_size)))

        with pytest.raises(OSError, match=rf"{file} could not be written: .*File too large"):
            runs.train(config, tiny_root, report, checkpoint_seconds=seconds)
    position = checkpoint.read_state(folder / "checkpoint.pt")["position"]
    assert (position["epoch"], position["batch"]) == done
    assert not list(folder.glob(".*")) and not runs.Run(config).finished
    assert what_is_left(runs.train(config, tiny_root)) == left
