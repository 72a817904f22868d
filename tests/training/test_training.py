"""The loop learns, its sums are right, and a batch with nothing to learn is harmless."""

import math

import pytest
import torch

from vilbert_lib import runs
from vilbert_lib.config import TASK_METRICS, TrainConfig
from vilbert_lib.data.datasets import PairDataset, batches, epoch_order
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.training import checkpoint, finetune, losses
from vilbert_lib.training.loop import optimizer_of
from vilbert_lib.training.pretrain import evaluate
from vilbert_lib.training.samples import training_samples


def whole_batch(data: PairDataset):
    return next(batches(data, torch.arange(len(data)).numpy(), len(data)))


def test_a_tiny_model_overfits_32_pairs(tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", model={"dropout": 0.0})
    batch = whole_batch(runs.dataset(config, tiny_root, "train"))
    assert len(batch["label"]) == 32
    torch.manual_seed(0)
    model = Classifier(config.model, 2)
    optimizer = optimizer_of(model, TrainConfig(lr=2e-3))
    for _ in range(150):
        loss, sums = losses.classification(TrainConfig(), "binary")(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.05 and float(sums["accuracy"]) == 32


def test_masked_words_loss_equals_the_dense_one(tiny_root, tiny_profile):
    config = runs.configure(
        tiny_profile,
        tiny_root,
        "conceptual_captions",
        "late_fusion",
        objectives=("mlm", "ap"),
        model={"dropout": 0.0},
    )
    batch = whole_batch(runs.dataset(config, tiny_root, "val"))
    model = PretrainingModel(config.model)
    total, sums = losses.pretraining(("mlm", "ap"), TrainConfig())(model, batch)
    ap, output = losses.forward(model, batch)
    words = model.predict_words(output.text_states[-1].flatten(0, 1))
    mlm = torch.nn.functional.cross_entropy(words, batch["mlm_targets"].flatten(), ignore_index=IGNORED)
    expected = mlm + torch.nn.functional.cross_entropy(ap, batch["aligned"])
    torch.testing.assert_close(total, expected)
    means = losses.means(sums, "val")
    assert means["val_loss"] == pytest.approx(float(expected), rel=1e-5)
    assert means["val_mlm_loss"] == pytest.approx(float(mlm), rel=1e-5)
    assert means["val_ap_accuracy"] == pytest.approx(float((ap.argmax(1) == batch["aligned"]).float().mean()))


def train_still(root, profile, task, objectives, **changes) -> runs.Run:
    """A run of one epoch in which the weights hardly move, on as many samples as validation has."""
    train = {"lr": 1e-12, "epochs": 1, "n_train": 8, "n_eval": 8, "batch_size": 4} | changes
    dropout = train.pop("dropout", 0.0)
    return runs.train(
        runs.configure(
            profile, root, task, "middle_fusion", objectives=objectives, train=train, model={"dropout": dropout}
        ),
        root,
    )


TASKS = pytest.mark.parametrize(
    ("task", "objectives"), [("hateful_memes", ()), ("conceptual_captions", ("mlm", "ap"))]
)


@pytest.mark.parametrize("change", [{"augment": True}, {"dropout": 0.5}], ids=["augmentation", "dropout"])
@TASKS
def test_augmentation_and_dropout_are_in_the_loss_as_trained_alone(
    tiny_root, tiny_profile, task, objectives, change
):
    as_it_is, changed = (
        train_still(tiny_root, tiny_profile, task, objectives, **c).metrics.iloc[1] for c in ({}, change)
    )
    assert changed.train_plain_loss == pytest.approx(as_it_is.train_plain_loss, rel=1e-5)
    assert changed.val_loss == pytest.approx(as_it_is.val_loss, rel=1e-5)
    assert changed.train_loss != pytest.approx(as_it_is.train_loss, rel=1e-5)


def test_the_plain_training_loss_is_that_of_the_model_at_rest_on_trained_pairs(tiny_root, tiny_profile):
    run = train_still(
        tiny_root, tiny_profile, "conceptual_captions", ("mlm", "ap"), lr=1e-3, n_train=12, augment=True
    )
    assert run.summary["best_epoch"] == 1
    data = runs.dataset(run.config, tiny_root, "train").plain()
    trained = training_samples(len(data), 12, run.config.seed)
    chosen = trained[epoch_order(12, 0, 0)][:8]
    objective, model = losses.pretraining(("mlm", "ap"), TrainConfig()), run.model(tiny_root)
    size, sums = run.config.train.batch_size, {}
    with torch.no_grad():
        for first in range(0, len(chosen), size):
            for name, value in objective(model, data.__getitems__(chosen[first : first + size]))[1].items():
                sums[name] = sums.get(name, 0) + value
    last = run.metrics.iloc[1]
    for name, value in losses.means(sums, "train_plain").items():
        assert last[name] == pytest.approx(value, rel=1e-4), name


def test_patches_are_told_from_as_many_others_in_validation_as_in_training(tiny_root, tiny_profile):
    """An objective that cannot tell them at all has the logarithm of their number for a loss."""
    found = {}
    for size in (4, 8):
        config = runs.configure(
            tiny_profile,
            tiny_root,
            "conceptual_captions",
            "baseline",
            objectives=("mim",),
            train={"batch_size": size, "temperature": 1e6},
        )
        data = runs.dataset(config, tiny_root, "val")
        assert len(data) % 8 == 0
        found[size] = evaluate(runs.build_model(config, tiny_root), data, config)["val_mim_loss"]
        assert found[size] == pytest.approx(math.log(size * config.model.num_patches), abs=1e-3)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_it(tiny_root, tiny_profile):
    config = runs.configure(
        tiny_profile, tiny_root, "hateful_memes", "baseline", train={"lr": 1e30, "clip_norm": 1e30}
    )
    with pytest.raises(FloatingPointError, match="lower lr"):
        runs.train(config, tiny_root)
    assert not runs.Run(config).finished


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "state"
    checkpoint.write_state(path, {"step": 1})

    def full_disk(unfinished):
        unfinished.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"state could not be written.*No space left"):
        checkpoint.write(path, full_disk)
    assert checkpoint.read_state(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("kind", TASK_METRICS)
def test_a_task_records_the_metrics_that_are_named_for_its_kind(kind):
    assert set(finetune.measures_of(kind, 2)) == set(TASK_METRICS[kind])
