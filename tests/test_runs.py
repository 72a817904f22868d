"""A finished run is never trained twice, an interrupted one goes on and ends in the same bits."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from vilbert_lib import runs
from vilbert_lib.config import to_dict

TRAIN = """
import json, sys
from pathlib import Path
from vilbert_lib import runs
from vilbert_lib.config import RunConfig, from_dict
config = from_dict(RunConfig, json.loads(sys.argv[1]))
def report(share, loss):
    print("step", flush=True)
    import time
    time.sleep(float(sys.argv[3]))
runs.train(config, Path(sys.argv[2]), report, checkpoint_seconds=0.0)
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A run store of the test's own."""
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def start(config, root, pause):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(to_dict(config)), str(root), str(pause)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def kill_after(process, steps):
    for _ in range(steps):
        assert process.stdout.readline() == "step\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_run_directory_holds_what_the_contract_names(store, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", seed=3)
    run = runs.train(config, tiny_root)
    assert run.folder == store / "hateful_memes" / f"middle_fusion-s3-{config.hash8}"
    assert {p.name for p in run.folder.iterdir()} == {
        "config.json", "env.json", "metrics.jsonl", "alignment.parquet", "model.safetensors", "summary.json",
    }  # fmt: skip
    assert list(run.metrics.epoch) == [0, 1, 2, 3]
    assert {
        "train_loss",
        "train_plain_loss",
        "train_plain_accuracy",
        "val_loss",
        "val_accuracy",
        "val_auroc",
    } <= set(run.metrics)
    assert 0 <= run.summary["test_accuracy"] <= 1 and run.summary["n_test"] == 16
    frame = run.alignment
    assert list(frame.columns) == [
        "epoch", "split", "text_layer", "vision_layer", "x", "y", "kind", "measure", "k", "n_samples", "value",
    ]  # fmt: skip
    assert set(frame.epoch) == {0, 1, 2, 3} and not frame.duplicated(["epoch", "x", "y", "measure"]).any()
    sizes = frame.groupby("epoch").size()
    best = run.summary["best_epoch"]
    assert sizes[0] == sizes[best] == 6 * 24 * 23 // 2
    assert all(sizes[e] == 6 * 12 for e in (1, 2, 3) if e != best)


def test_a_finished_run_is_not_trained_again(store, tiny_root, tiny_profile, monkeypatch):
    config = runs.configure(tiny_profile, tiny_root, "easy_vqa", "baseline")
    [first] = runs.ensure([config], tiny_root)
    before = {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()}
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained again"))
    [second] = runs.ensure([config], tiny_root)
    assert {p.name: p.stat().st_mtime_ns for p in second.folder.iterdir()} == before


def test_the_same_configuration_gives_the_same_bits(store, tiny_root, tiny_profile, tmp_path, monkeypatch):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "late_fusion")
    first = runs.train(config, tiny_root)
    files = {name: (first.folder / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")}
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "again"))
    second = runs.train(config, tiny_root)
    assert {name: (second.folder / name).read_bytes() for name in files} == files


def what_is_left(run):
    """All that a run leaves but the time it took."""
    summary = {name: value for name, value in run.summary.items() if name != "seconds"}
    files = {
        name: (run.folder / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl", "config.json")
    }
    return files | {"summary": summary, "alignment": run.alignment}


@pytest.mark.parametrize("objectives", [(), ("mlm", "ap")], ids=["finetune", "pretrain"])
def test_a_killed_run_ends_in_the_bits_of_an_unbroken_one(
    store, tiny_root, tiny_profile, tmp_path, monkeypatch, objectives
):
    task = "conceptual_captions" if objectives else "hateful_memes"
    config = runs.configure(
        tiny_profile, tiny_root, task, "middle_fusion", objectives=objectives, train={"epochs": 2}
    )
    killed = start(config, tiny_root, 0.05)
    kill_after(killed, 3)  # in the middle of the first epoch
    folder = runs.Run(config).folder
    assert (folder / "checkpoint.pt").is_file() and not (folder / "summary.json").exists()
    killed = start(config, tiny_root, 0.05)
    kill_after(killed, 3)  # the report of what is done already counts as one
    resumed = what_is_left(runs.train(config, tiny_root))
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "unbroken"))
    unbroken = what_is_left(runs.train(config, tiny_root))
    pd.testing.assert_frame_equal(resumed.pop("alignment"), unbroken.pop("alignment"))
    assert resumed == unbroken


def test_of_two_processes_one_trains_and_the_other_waits(store, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "optuna1", train={"epochs": 1})
    steps = [
        process.communicate()[0].count("step") for process in [start(config, tiny_root, 0.0) for _ in range(2)]
    ]
    assert sorted(steps) == [0, 4]
    assert runs.Run(config).finished


def test_several_runs_are_trained_at_once(store, tiny_root, tiny_profile):
    configs = [
        runs.configure(tiny_profile, tiny_root, "hateful_memes", a, train={"epochs": 1})
        for a in ("baseline", "early_fusion", "optuna2")
    ]
    finished = runs.ensure(configs, tiny_root, jobs=2)
    assert [run.config.architecture for run in finished] == ["baseline", "early_fusion", "optuna2"]
    table = runs.summaries(finished)
    assert list(table.architecture) == ["baseline", "early_fusion", "optuna2"] and table.run.is_unique
    assert set(runs.alignments(finished).run) == set(table.run) == set(runs.histories(finished).run)
    assert not multiprocessing.active_children()


def test_an_error_in_a_worker_reaches_the_caller(store, tiny_root, tiny_profile):
    good, bad = (
        runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", seed=s, train={"epochs": 1, "lr": lr})
        for s, lr in ((0, 1e-3), (1, 1e30))
    )
    with pytest.raises(FloatingPointError, match="lower lr"):
        runs.ensure([good, bad], tiny_root, jobs=2)


def test_finetuning_starts_from_a_pretrained_run(store, tiny_root, tiny_profile):
    pretraining = runs.configure(
        tiny_profile, tiny_root, "conceptual_captions", "middle_fusion", objectives=("mlm",), train={"epochs": 1}
    )
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", start_from=pretraining.id)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        runs.build_model(config, tiny_root)
    start_run = runs.train(pretraining, tiny_root)
    model, pretrained = runs.build_model(config, tiny_root), start_run.model(tiny_root)
    assert all(
        (a == b).all() for a, b in zip(model.vilbert.parameters(), pretrained.vilbert.parameters(), strict=True)
    )


def test_an_unfinished_run_cannot_be_started_from(store, tiny_root, tiny_profile):
    config = runs.configure(
        tiny_profile, tiny_root, "conceptual_captions", "baseline", objectives=("ap",), train={"epochs": 50}
    )
    kill_after(start(config, tiny_root, 0.05), 2)
    with pytest.raises(ValueError, match="is not finished"):
        runs.open_run(config.id)


def test_a_directory_of_another_configuration_is_an_error_that_says_what_differs(store, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline")
    folder = runs.Run(config).folder
    folder.mkdir(parents=True)
    other = to_dict(config) | {"seed": 9}
    (folder / "config.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"holds the run of another configuration: seed differ"):
        runs.train(config, tiny_root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "hateful_meme"}, "unknown task 'hateful_meme'; known: .*hateful_memes"),
        ({"architecture": "middle"}, "unknown architecture 'middle'; known: .*middle_fusion"),
        ({"objectives": ("mlm",)}, "need captions"),
        ({"task": "conceptual_captions"}, "has no labels"),
        ({"task": "conceptual_captions", "objectives": ("mim2",)}, "unknown objective 'mim2'"),
        ({"train": {"epochs": 0}}, "epochs 0 must be at least 1"),
        ({"train": {"lr": -1.0}}, "lr -1.0 must be positive"),
        ({"model": {"fusion": "product"}}, "unknown fusion 'product'"),
    ],
)
def test_a_wrong_configuration_is_found_before_anything_is_trained(tiny_root, tiny_profile, arguments, message):
    with pytest.raises(ValueError, match=message):
        runs.configure(
            tiny_profile, tiny_root, **({"task": "hateful_memes", "architecture": "baseline"} | arguments)
        )


def test_samples_without_labels_cannot_be_learned_from(store, tiny_root, tiny_profile, tmp_path):
    import shutil

    root = shutil.copytree(tiny_root, tmp_path / "root")
    path = root / "hateful_memes" / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "label"}) for row in rows))
    config = runs.configure(tiny_profile, root, "hateful_memes", "baseline")
    with pytest.raises(ValueError, match=r"hateful_memes test: 16 samples have no label"):
        runs.train(config, root)


def test_a_truncated_image_is_named(store, tiny_root, tiny_profile, tmp_path):
    import shutil

    root = shutil.copytree(tiny_root, tmp_path / "root")
    image = root / "hateful_memes" / "img" / "00005.png"
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"00005\.png: broken image"):
        runs.train(runs.configure(tiny_profile, root, "hateful_memes", "baseline", seed=1), root)


def test_progress_is_told_in_shares_that_add_up(store, tiny_root, tiny_profile):
    shares = []
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "centre_fusion", train={"epochs": 2})
    runs.train(config, tiny_root, lambda share, loss: shares.append(share))
    assert sum(shares) == pytest.approx(2.0) and time.monotonic() > 0
