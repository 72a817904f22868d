"""Runs are described, trained once, found again and read back."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest
from interrupted import PROCESSES, started, train_and_count
from PIL import Image

from vilbert_lib import runs, synthetic
from vilbert_lib.config import to_dict
from vilbert_lib.representations import LOG_COLUMNS, LOGGED
from vilbert_lib.runs import inputs, training
from vilbert_lib.training import checkpoint


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
    frame = run.training_alignment
    assert list(frame.columns) == LOG_COLUMNS
    assert (frame.groupby("epoch").size() == len(LOGGED.measures) * 12).all() and set(frame.epoch) == {0, 1, 2, 3}


def test_a_finished_run_is_not_trained_again(store, tiny_root, tiny_profile, monkeypatch):
    config = runs.configure(tiny_profile, tiny_root, "easy_vqa", "baseline")
    [first] = runs.ensure([config], tiny_root)
    before = {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()}
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("trained again"))
    [second] = runs.ensure([config], tiny_root)
    assert {p.name: p.stat().st_mtime_ns for p in second.folder.iterdir()} == before


def test_the_same_configuration_gives_the_same_bits(store, tiny_root, tiny_profile, tmp_path, monkeypatch):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "late_fusion")
    first = runs.train(config, tiny_root)
    files = {name: (first.folder / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")}
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "again"))
    second = runs.train(config, tiny_root)
    assert {name: (second.folder / name).read_bytes() for name in files} == files


def test_of_two_processes_one_trains_and_the_other_waits(store, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "optuna1", train={"epochs": 1})
    counts = [PROCESSES.Value("i", 0) for _ in range(2)]
    processes = [started(train_and_count, config, tiny_root, count) for count in counts]
    for process in processes:
        process.join()
    steps = [count.value for count in counts]
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
    assert set(runs.training_alignments(finished).run) == set(table.run) == set(runs.histories(finished).run)
    assert not multiprocessing.active_children()


def test_the_first_failure_is_reported_at_once_and_names_its_run(store, tiny_root, tiny_profile):
    """A training that is under way is ended, and resumes; one that is queued does not begin."""

    def configure(seed, **train):
        return runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", seed=seed, train=train)

    long, bad, queued = configure(0, epochs=1000), configure(1, lr=1e30), configure(2)
    with pytest.raises(FloatingPointError, match=rf"run {bad.id}|{bad.hash8}"):
        runs.ensure([long, bad, queued], tiny_root, jobs=2)
    assert not runs.Run(long).finished and not runs.Run(queued).finished
    assert not multiprocessing.active_children()


def test_runs_whose_names_have_dots_have_locks_of_their_own(store, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline")
    searched = [runs.Run(dataclasses.replace(config, architecture=name)) for name in ("t3.6-v6.9", "t3.6-v6.10")]
    assert [run.lock.name for run in searched] == [f"{run.folder.name}.lock" for run in searched]
    assert searched[0].lock != searched[1].lock


# The data are those that the configuration names


@pytest.fixture
def real_root(tiny_root, tmp_path):
    """The synthetic samples as real data: known by the contents of their images."""
    root = shutil.copytree(tiny_root, tmp_path / "real")
    (root / "MANIFEST.json").unlink()
    return root


def replace(image) -> None:
    """Other pixels in a file of the same size, with the times of the old one."""
    with Image.open(image) as picture:
        other = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).convert(picture.mode)
    stat, size = image.stat(), image.stat().st_size
    other.save(image)
    content = image.read_bytes()
    image.write_bytes(content[:size] + b"\0" * (size - len(content)))
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def image_of(root) -> Path:
    return root / "hateful_memes" / "img" / "00005.png"


def test_a_run_is_not_trained_on_the_data_of_another_root(store, tiny_root, tiny_profile, tmp_path):
    other = synthetic.make_root(tmp_path / "other", n_train=32, seed=5)
    config, others = (
        runs.configure(tiny_profile, root, "hateful_memes", "baseline", train={"epochs": 1})
        for root in (tiny_root, other)
    )
    with pytest.raises(ValueError, match=rf"{other} does not hold the hateful_memes of run {config.id}"):
        runs.ensure([config, others], other)
    with pytest.raises(ValueError, match="does not hold the hateful_memes"):
        runs.train(config, other)
    assert not runs.Run(config).finished and not runs.Run(others).finished
    run = runs.train(config, tiny_root)
    with pytest.raises(ValueError, match="does not hold the hateful_memes"):
        run.model(other)
    with pytest.raises(ValueError, match="does not hold the hateful_memes"):
        runs.dataset(config, other, "test")


def test_labels_that_are_replaced_in_a_list_of_the_same_size_and_time_are_noticed(store, real_root, tiny_profile):
    for path in (real_root / "hateful_memes").glob("*.jsonl"):
        os.utime(path, (1e9, 1e9))
    time.sleep(2.1)  # until then lists are read at every call
    config = runs.configure(tiny_profile, real_root, "hateful_memes", "baseline", train={"epochs": 1})
    path = real_root / "hateful_memes" / "train.jsonl"
    text, stat = path.read_text(), path.stat()
    path.write_text(text.replace('"label": 1', '"label": 0'))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    with pytest.raises(ValueError, match="does not hold the hateful_memes"):
        runs.train(config, real_root)


@pytest.mark.parametrize("back", [False, True], ids=["replaced", "replaced and restored"])
def test_images_that_are_replaced_before_they_are_decoded_are_noticed(
    store, real_root, tiny_profile, monkeypatch, back
):
    config = runs.configure(tiny_profile, real_root, "hateful_memes", "baseline", train={"epochs": 1})
    content, made = image_of(real_root).read_bytes(), inputs.PairDataset

    def meanwhile(*arguments, **options):
        replace(image_of(real_root))
        try:
            return made(*arguments, **options)
        finally:
            if back:
                image_of(real_root).write_bytes(content)

    monkeypatch.setattr(inputs, "PairDataset", meanwhile)
    with pytest.raises(ValueError, match=r"changed while they were read|does not hold"):
        runs.train(config, real_root)
    assert not runs.Run(config).finished


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
    count = PROCESSES.Value("i", 0)
    process = started(train_and_count, config, tiny_root, count)
    while count.value < 2:
        time.sleep(0.01)
    process.kill()
    process.join()
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
        ({"train": {"n_train": 33}}, "n_train 33: hateful_memes has 32 training samples"),
        ({"start_from": "a/b", "task": "conceptual_captions", "objectives": ("ap",)}, "is for fine-tuning"),
        ({"model": {"frozen_layers": 13}}, "frozen_layers 13"),
    ],
)
def test_a_wrong_configuration_is_found_before_anything_is_trained(tiny_root, tiny_profile, arguments, message):
    with pytest.raises(ValueError, match=message):
        runs.configure(
            tiny_profile, tiny_root, **({"task": "hateful_memes", "architecture": "baseline"} | arguments)
        )


def test_a_start_that_does_not_fit_is_told_before_anything_is_trained(
    store, tiny_root, tiny_profile, tmp_path, monkeypatch
):
    def configure(architecture, root=tiny_root, **settings):
        return runs.configure(tiny_profile, root, "hateful_memes", architecture, train={"epochs": 1}, **settings)

    pretraining = runs.configure(
        tiny_profile, tiny_root, "conceptual_captions", "middle_fusion", objectives=("ap",), train={"epochs": 1}
    )
    unknown = configure("middle_fusion", start_from=pretraining.id)
    monkeypatch.setattr(training, "train_all", lambda *_: pytest.fail("trained before all was checked"))
    with pytest.raises(FileNotFoundError, match=f"run {pretraining.id} does not exist"):
        runs.ensure([configure("baseline"), unknown], tiny_root)
    runs.Run(pretraining).folder.mkdir(parents=True)
    checkpoint.write_json(runs.Run(pretraining).folder / "config.json", to_dict(pretraining))
    assert configure("middle_fusion", start_from=pretraining.id) == unknown  # begun, and not yet finished
    with pytest.raises(ValueError, match="is not finished"):
        runs.ensure([configure("baseline"), unknown], tiny_root)
    runs.train(pretraining, tiny_root)
    assert configure("middle_fusion", start_from=pretraining.id, model={"fusion": "sum", "dropout": 0.3})
    with pytest.raises(ValueError, match="t_biattention_ids, v_biattention_ids differ from those of this run"):
        configure("late_fusion", start_from=pretraining.id)  # tensors of the same names and shapes
    with pytest.raises(ValueError, match="coattention_heads differ"):
        configure("middle_fusion", start_from=pretraining.id, model={"coattention_heads": 4})
    with pytest.raises(ValueError, match="streams differ"):
        configure("single_stream", start_from=pretraining.id)
    other = synthetic.make_root(tmp_path / "other", n_train=24, seed=5)
    with pytest.raises(ValueError, match="tokenizer differ"):
        configure("middle_fusion", other, start_from=pretraining.id)


def test_samples_without_labels_cannot_be_learned_from(store, tiny_root, tiny_profile, tmp_path):
    root = shutil.copytree(tiny_root, tmp_path / "root")
    path = root / "hateful_memes" / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "label"}) for row in rows))
    config = runs.configure(tiny_profile, root, "hateful_memes", "baseline")
    with pytest.raises(ValueError, match=r"hateful_memes test: 16 samples have no label"):
        runs.train(config, root)
