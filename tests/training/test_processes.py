"""Two processes train as one does: the same figures, one writer, and they go on where they were killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from vilbert_lib import runs
from vilbert_lib.config import RunConfig, from_dict
from vilbert_lib.training import processes

pytestmark = pytest.mark.slow  # several processes train together

TINY = [
    "width=16", "heads=2", "coattention_width=16", "coattention_heads=2", "pooled_width=16", "patch_size=32",
]  # fmt: skip
TRAIN = [
    "epochs=2", "batch_size=4", "accumulation=2", "n_train=26", "n_eval=8", "contrastive_weight=0.5",
    "augment=false", "lr=0.001",
]  # fmt: skip


def command(root, *more: str, train: list[str] = TRAIN) -> list[str]:
    """Pretrain a tiny model with every objective."""
    return [
        "train", "--task", "conceptual_captions", "--architecture", "middle_fusion", "--objectives", "mlm,ap,mim",
        "--data-root", str(root), "--model", *TINY, "--train", *train, *more,
    ]  # fmt: skip


def launched(number: int, *arguments: str) -> list[str]:
    """The command line that starts ``number`` processes."""
    return [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(number),
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
        "-m", "vilbert_lib", *arguments,
    ]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def on_the_cpu():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")  # --cpu alone would start one process only
        yield


def run_in(store, arguments: list[str]) -> tuple[runs.Run, str]:
    """Train in a store of its own; the run, and what was printed."""
    made = subprocess.run(
        arguments, env=os.environ | {"VILBERT_RUNS": str(store)}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return only_run(store), made.stdout


def only_run(store) -> runs.Run:
    [path] = store.glob("*/*/config.json")
    return runs.Run(from_dict(RunConfig, json.loads(path.read_text())))


def left(run: runs.Run) -> dict:
    files = {name: (run.folder / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")}
    return files | {"summary": {name: value for name, value in run.summary.items() if name != "seconds"}}


@pytest.fixture(scope="module")
def together(tiny_root, tmp_path_factory):
    """A run of two processes that nobody disturbed: its store, and what was printed."""
    store = tmp_path_factory.mktemp("together")
    return store, run_in(store, launched(2, *command(tiny_root)))[1]


def test_two_processes_give_the_curve_of_one(tiny_root, tmp_path, together, monkeypatch):
    store, printed = together
    monkeypatch.setenv("VILBERT_RUNS", str(store))
    two = only_run(store)
    figures, weights = two.metrics, two.model(tiny_root).state_dict()
    folder, scores = printed.splitlines()  # of one writer
    assert folder == str(two.folder) and scores.startswith("val_")
    assert json.loads((two.folder / "env.json").read_text())["processes"] == 2
    assert {p.name for p in two.folder.iterdir()} == {
        "config.json", "env.json", "metrics.jsonl", "alignment.parquet", "model.safetensors", "summary.json",
    }  # fmt: skip
    one, _ = run_in(tmp_path, [sys.executable, "-m", "vilbert_lib", *command(tiny_root)])
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path))
    assert one.config.id == two.config.id
    assert {"train_mlm_loss", "train_ap_accuracy", "train_mim_loss", "train_contrastive_accuracy"} <= set(figures)
    pd.testing.assert_frame_equal(one.metrics, figures, rtol=1e-4, atol=1e-5)
    # What is added to all keys of a head changes no softmax: the gradient of their bias is rounding alone, and
    # Adam, which divides by a gradient's size, makes steps of it.
    ones = {name: x for name, x in one.model(tiny_root).state_dict().items() if not name.endswith("key.bias")}
    assert len(weights) > len(ones) > 0.9 * len(weights)
    apart = torch.cat([(ones[name] - weights[name]).flatten().float() for name in ones])
    assert apart.norm() < 1e-6 * torch.cat([x.flatten().float() for x in ones.values()]).norm()


def test_fine_tuned_together_the_streams_are_pushed_over_the_whole_batch(tiny_root, tmp_path):
    pushed = [
        "epochs=1", "batch_size=8", "accumulation=2", "n_train=28", "n_eval=8", "lr=0.001",
        "alignment_weight=0.5", "balance=weights",
    ]  # fmt: skip
    arguments = [
        "train", "--task", "hateful_memes", "--architecture", "middle_fusion", "--data-root", str(tiny_root),
        "--model", *TINY, "--train", *pushed,
    ]  # fmt: skip
    two = run_in(tmp_path / "two", launched(2, *arguments))[0].config.id
    one = run_in(tmp_path / "one", [sys.executable, "-m", "vilbert_lib", *arguments])[0].config.id
    assert one == two
    curves = [pd.read_json(tmp_path / store / one / "metrics.jsonl", lines=True) for store in ("one", "two")]
    assert curves[0].train_alignment.notna().any()
    pd.testing.assert_frame_equal(*curves, rtol=1e-4, atol=1e-5)


def test_killed_together_they_go_on_together(tiny_root, tmp_path, together, monkeypatch):
    arguments = launched(2, *command(tiny_root, "--checkpoint-seconds", "0"))
    environment = os.environ | {"VILBERT_RUNS": str(tmp_path)}
    killed = subprocess.Popen(arguments, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*/*/checkpoint.pt")):
        assert killed.poll() is None
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not list(tmp_path.glob("*/*/summary.json"))
    resumed, _ = run_in(tmp_path, arguments)
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path))
    again = left(resumed)
    monkeypatch.setenv("VILBERT_RUNS", str(together[0]))
    assert again == left(only_run(together[0]))


@pytest.mark.parametrize(("changes", "message"), [
    ("batch_size=9", "batch_size 9 cannot be split evenly among 2 processes"),
    ("n_train=25", "25 samples leave 1 for the last batch of 4, fewer than the 2 processes"),
])  # fmt: skip
def test_what_cannot_be_shared_is_an_error_before_anything_is_trained(tiny_root, tmp_path, changes, message):
    others = [setting for setting in TRAIN if setting.split("=")[0] != changes.split("=")[0]]
    made = subprocess.run(
        launched(2, *command(tiny_root, train=[*others, changes])),
        env=os.environ | {"VILBERT_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode != 0 and message in made.stderr
    assert not list(tmp_path.glob("*/*/metrics.jsonl"))


def test_alone_everything_is_ones_own():
    value = torch.tensor([1.0, 2.0], requires_grad=True)
    rows, begin = processes.gathered(value)
    assert rows is value and begin == 0 and processes.total(value) is value
    assert processes.count() == 1 and processes.is_first() and processes.shared("x") == "x"
    assert processes.collected("x") == ["x"]
