"""Captions and tables give the samples that were used, and all settings that determined a result."""

from types import SimpleNamespace

import pandas as pd

from vilbert_lib import notebooks
from vilbert_lib.config import ModelConfig, RunConfig, TrainConfig


def run(seed=0, architecture="baseline", task="memes", start_from="", model=None, summary=None, **train):
    """A finished run that used 1,500 training samples, and 200 of 572 validation samples in every epoch."""
    settings = {"epochs": 4, "batch_size": 8, "lr": 5e-5, "n_train": 1500, "n_eval": 200, "select": "accuracy"}
    config = RunConfig(
        task=task,
        architecture=architecture,
        seed=seed,
        start_from=start_from,
        model=ModelConfig(**(model or {})),
        train=TrainConfig(**settings | train),
    )
    summary = {"n_train": 1500, "n_val": 572, "n_test": 600} if summary is None else summary
    return SimpleNamespace(
        config=config, summary=summary, training_alignment=pd.DataFrame({"n_samples": [256, 256]})
    )


def test_a_caption_gives_the_samples_that_were_used(tmp_path):
    caption = notebooks.provenance(tmp_path, "base", [run(0), run(1)])
    assert caption.endswith("profile base, n = 1500 for training, 600 evaluated, 256 for alignment, seeds 0, 1")


def test_runs_that_were_trained_alike_share_a_column():
    several = [run(seed, name) for name in ("baseline", "early_fusion") for seed in (1, 0)]
    table = notebooks.training_settings([*several, several[0]])
    assert table.columns.tolist() == [1]
    assert table[1].to_dict() == {
        "task": "memes",
        "training samples": 1500,
        "validation samples, every epoch": 200,
        "test samples": 600,
        "epochs": 4,
        "batch size": "8",
        "learning rate": 5e-5,
        "starting weights": "random",
        "epoch selected by": "validation accuracy",
        "seeds": "0, 1",
        "runs": 4,
        "run ids, baseline": f"{several[1].config.hash8} {several[0].config.hash8}",
        "run ids, early_fusion": f"{several[3].config.hash8} {several[2].config.hash8}",
    }


def test_what_differs_between_groups_has_a_row():
    weights = {"text_weights": "bert-base-uncased", "vision_weights": "vit_base"}
    loss = {"n_train": 1500, "n_val": 572, "n_val_used": 190, "n_test": 600, "select": "loss"}
    table = notebooks.training_settings(
        [run(model=weights, accumulation=4), run(contrastive_weight=0.2, summary=loss, select="loss"), run(1)]
    )
    assert table.loc["starting weights"].tolist() == [
        "text: bert-base-uncased, vision: vit_base",
        "random",
        "random",
    ]
    assert table.loc["batch size"].tolist() == ["8 x 4 accumulated", "8", "8"]
    assert table.loc["epoch selected by"].tolist() == [f"validation {s}" for s in ("accuracy", "loss", "accuracy")]
    assert table.loc["validation samples, every epoch"].tolist() == [200, 190, 200]
    assert table.loc["train.contrastive_weight"].tolist() == ["0.0", "0.2", "0.0"]
    assert "model.fusion" not in table.index


def test_all_validation_samples_and_a_pretraining_run():
    captions = {"n_train": 3200, "n_val": 800}
    start = run(task="captions", n_train=0, n_eval=0, summary=captions)
    start = SimpleNamespace(
        config=RunConfig(task="captions", architecture="baseline", objectives=("mlm", "ap")), summary=captions,
        training_alignment=start.training_alignment,
    )  # fmt: skip
    table = notebooks.training_settings([start, run(start_from=start.config.id)])
    assert table.loc["task"].tolist() == ["captions mlm+ap", "memes"]
    assert table.loc["validation samples, every epoch"].tolist() == [800, 200]
    assert table.loc["test samples"].tolist() == ["none", 600]
    assert table.loc["epoch selected by"].tolist() == ["validation loss", "validation accuracy"]
    assert table.loc["starting weights"].tolist() == ["random", "those of a pretraining run"]
