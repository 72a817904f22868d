"""The best epoch is chosen by a metric that a constant prediction cannot win, and that is a number."""

import dataclasses
import json
import math
import shutil
import warnings
from types import SimpleNamespace

import pytest
import torch
from fixed import Fixed
from torch import nn

from vilbert_lib import runs
from vilbert_lib.config import AlignmentConfig, TrainConfig, profile
from vilbert_lib.training import finetune


def evaluated(monkeypatch, predictions, labels, classes, kind="multiclass"):
    logits = nn.functional.one_hot(torch.tensor(predictions), classes).float()
    batch = {"input_ids": None, "attention_mask": None, "pixel_values": logits, "label": torch.tensor(labels)}
    monkeypatch.setattr(finetune, "evaluation_batches", lambda *_: iter([batch]))
    return finetune.evaluate(Fixed(classes), SimpleNamespace(), kind=kind, prefix="val")


def test_a_constant_prediction_has_the_better_accuracy_but_not_the_better_macro_f1(monkeypatch):
    labels = [0] * 57 + [1] * 43
    constant = evaluated(monkeypatch, [0] * 100, labels, 2, "binary")
    weak = evaluated(monkeypatch, [0] * 45 + [1] * 12 + [0] * 32 + [1] * 11, labels, 2, "binary")
    assert constant["val_accuracy"] == pytest.approx(0.57) and weak["val_accuracy"] == pytest.approx(0.56)
    assert constant["val_macro_f1"] == pytest.approx(2 * 57 / (57 + 100) / 2)
    assert weak["val_macro_f1"] == pytest.approx((2 * 45 / (57 + 77) + 2 * 11 / (43 + 23)) / 2)
    assert weak["val_macro_f1"] > constant["val_macro_f1"] + 0.1
    assert (constant["val_classes_predicted"], weak["val_classes_predicted"]) == (1, 2)


def test_classes_that_neither_occur_nor_are_predicted_do_not_count(monkeypatch):
    assert evaluated(monkeypatch, [0, 0, 1, 1], [0, 0, 0, 1], 5)["val_macro_f1"] == pytest.approx(
        (4 / 5 + 2 / 3) / 2
    )
    predicted = evaluated(monkeypatch, [0, 0, 2, 1], [0, 0, 0, 1], 5)
    assert predicted["val_macro_f1"] == pytest.approx((4 / 5 + 1 + 0) / 3)
    assert predicted["val_classes_predicted"] == 3


@pytest.mark.parametrize("label", [0, 1])
def test_the_auroc_of_one_class_is_nan(monkeypatch, label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(evaluated(monkeypatch, [0, 1, 1], [label] * 3, 2, "binary")["val_auroc"])
        assert evaluated(monkeypatch, [0, 1, 1], [0, 0, 1], 2, "binary")["val_auroc"] == 0.75


@pytest.fixture(scope="session")
def brief(tiny_profile):
    """The tiny profile with one measure of alignment."""
    return dataclasses.replace(tiny_profile, alignment=AlignmentConfig(measures=("cka",), n_samples=12, k=3))


@pytest.fixture
def real_root(tiny_root, tmp_path, monkeypatch):
    """A root that is not known to be synthetic, all of whose test samples have label 0."""
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    root = tmp_path / "real"
    shutil.copytree(tiny_root, root)
    (root / "MANIFEST.json").unlink()
    with_label(root / "hateful_memes" / "test.jsonl", 0)
    return root


def with_label(path, label):
    rows = [json.loads(line) | {"label": label} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_test_split_of_one_class_is_warned_of_once_and_recorded(real_root, brief):
    train = {"epochs": 2, "n_train": 16, "n_eval": 6}
    config = runs.configure(brief, real_root, "hateful_memes", "baseline", train=train)
    with pytest.warns(UserWarning) as caught:
        run = runs.train(config, real_root)
    found = [str(warning.message) for warning in caught if "AUROC" in str(warning.message)]
    assert len(found) == 1 and found[0].startswith("hateful_memes test: all 16 evaluated samples have label 0")
    run = runs.open_run(config.id)
    assert math.isnan(run.summary["test_auroc"]) and run.metrics.val_auroc.notna().all()
    best = run.metrics.set_index("epoch").loc[run.summary["best_epoch"]]
    assert best.val_macro_f1 == run.metrics.val_macro_f1[1:].max()
    assert run.summary["select"] == "macro_f1"
    for name in ("val_macro_f1", "val_accuracy", "val_classes_predicted"):
        assert run.summary[name] == best[name]
    assert (run.summary["n_val"], run.summary["n_val_used"], run.summary["n_train_plain_used"]) == (8, 6, 6)
    assert run.summary["test_classes_predicted"] in (1, 2)


SCRIPTED = {"loss": [9, 3, 2, 4], "accuracy": [0, 0.568, 0.562, 0.56], "macro_f1": [0, 0.36, 0.5, 0.55]}


@pytest.mark.parametrize(("select", "best"), [("accuracy", 1), ("loss", 2), ("auroc", 2)])
def test_the_best_epoch_is_that_of_the_criterion_and_never_one_without_a_number(
    real_root, brief, monkeypatch, select, best
):
    scripted = SCRIPTED | {"auroc": [math.nan, math.nan, 0.6, math.nan], "classes_predicted": [1, 1, 2, 2]}
    epochs = iter(range(4))

    def evaluate(*_, prefix, **__):
        epoch = next(epochs) if prefix == "val" else 0
        return {f"{prefix}_{name}": values[epoch] for name, values in scripted.items()}

    config = runs.configure(brief, real_root, "hateful_memes", "baseline", train={"select": select, "n_train": 8})
    monkeypatch.setattr(finetune, "evaluate", evaluate)
    summary = runs.train(config, real_root).summary
    assert summary["best_epoch"] == best and summary["select"] == select
    assert summary[f"val_{select}"] == scripted[select][best]
    assert summary["val_accuracy"] == SCRIPTED["accuracy"][best]


def test_a_criterion_without_a_number_in_any_epoch_is_named(real_root, brief, monkeypatch):
    config = runs.configure(brief, real_root, "hateful_memes", "baseline", train={"select": "auroc", "n_train": 8})
    monkeypatch.setattr(finetune, "evaluate", lambda *_, prefix, **__: {f"{prefix}_auroc": math.nan})
    with pytest.raises(FloatingPointError, match=r"val_auroc, which selects the best epoch, is NaN.*of 3 epochs"):
        runs.train(config, real_root)
    assert not runs.Run(config).finished


def test_a_criterion_that_is_not_defined_is_refused_before_training(real_root, brief):
    def configure(task, select, **more):
        return runs.configure(brief, real_root, task, "baseline", train={"select": select}, **more)

    assert configure("hateful_memes", "auroc").train.select == "auroc"
    with_label(real_root / "hateful_memes" / "dev.jsonl", 1)
    with pytest.raises(ValueError, match=r"'auroc': all 8 validation samples of hateful_memes .* have label 1"):
        configure("hateful_memes", "auroc")
    with pytest.raises(ValueError, match="'auroc' needs a binary task: upmc_food is multiclass; choose macro_f1"):
        configure("upmc_food", "auroc")
    with pytest.raises(ValueError, match="'auroc': pretraining selects by validation loss"):
        configure("conceptual_captions", "auroc", objectives=("mlm",))


def test_only_synthetic_data_is_selected_by_accuracy_unless_that_is_asked_for(real_root, tiny_root):
    def select(root, **train):
        return runs.configure(profile("quick"), root, "hateful_memes", "baseline", train=train).train.select

    assert (select(tiny_root), select(real_root), select(real_root, select="accuracy")) == (
        "accuracy", "macro_f1", "accuracy",
    )  # fmt: skip
    assert profile("base").finetune.select == TrainConfig().select == "macro_f1"
