"""Single settings of a profile, as a study's parameters give them."""

import pytest
import yaml

from vilbert_lib.config import PROFILES, SETTINGS, with_settings

QUICK = PROFILES["quick"]


def test_a_setting_goes_where_it_belongs():
    given = {"lr": 1e-4, "dropout": 0.2, "fusion": "sum", "n_samples": 64, "pooling": "mean", "on_error": "skip"}
    changed = with_settings(QUICK, given)
    assert changed.finetune.lr == changed.pretrain.lr == 1e-4
    assert (changed.model.dropout, changed.model.fusion) == (0.2, "sum")
    assert changed.model.pooling == QUICK.model.pooling
    assert (changed.alignment.n_samples, changed.alignment.pooling, changed.on_error) == (64, "mean", "skip")
    assert with_settings(QUICK, {}) == QUICK


def test_settings_of_one_task_and_of_all():
    changed = with_settings(
        QUICK,
        {
            "train": {"epochs": 3, "mm_imdb": {"lr": 1e-5}},
            "model": {"mm_imdb": {"dropout": 0.3}, "pooling": "mean"},
        },
    )
    assert changed.finetune.epochs == 3 and changed.model.pooling == "mean"
    assert changed.of_task == {"mm_imdb": {"train": {"lr": 1e-5}, "model": {"dropout": 0.3}}}
    assert changed.finetune.lr == QUICK.finetune.lr


def test_numbers_that_yaml_takes_for_text():
    changed = with_settings(QUICK, yaml.safe_load("{lr: 1e-4, train: {mm_imdb: {lr: 5E-5}}}"))
    assert changed.finetune.lr == 1e-4
    assert changed.of_task["mm_imdb"]["train"]["lr"] == 5e-5


def test_every_setting_of_the_thesis_programme_has_a_name():
    named = {
        *("lr", "batch_size", "accumulation", "dropout", "frozen_layers", "n_train", "epochs", "floor_fraction"),
        *("text_weights", "vision_weights", "on_error", "n_samples", "k", "pooling", "split", "measures"),
    }
    assert named <= set(SETTINGS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lrr": 1}, "unknown setting 'lrr'; known: .*lr, "),
        ({"train": {"lrr": 1}}, "unknown setting of train 'lrr'; known: accumulation"),
        ({"train": {"mm_imdb": {"dropout": 1}}}, "unknown setting of train 'dropout'"),
        ({"train": 3}, "train 3 must be a mapping"),
        ({"lr": -1.0}, "lr -1.0 must be"),
        ({"train": {"mm_imdb": {"lr": -1.0}}}, "lr -1.0 must be"),
        ({"measures": []}, "measures is empty"),
        ({"on_error": "ignore"}, "on_error 'ignore' must be raise or skip"),
        ({"streams": "text"}, "streams follows from the architecture"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        with_settings(QUICK, settings)
