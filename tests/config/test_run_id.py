"""Configurations survive JSON, and name a run by all that they hold."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from vilbert_lib.config import ModelConfig, RunConfig, TrainConfig, arrange, from_dict, to_dict


def make(**changes) -> RunConfig:
    """A configuration with nothing at its default that could be mistaken for another."""
    model = ModelConfig(t_biattention_ids=(3,), v_biattention_ids=(3,))
    return dataclasses.replace(RunConfig(task="hateful_memes", architecture="mine", model=model), **changes)


def test_a_configuration_survives_json():
    config = make(
        objectives=("mlm", "ap"),
        model=arrange(ModelConfig(fusion="concat", dropout=0.25), "asymmetric_fusion"),
        train=TrainConfig(lr=3e-5, betas=(0.9, 0.999)),
    )
    restored = from_dict(RunConfig, json.loads(json.dumps(to_dict(config))))
    assert restored == config
    assert restored.id == config.id
    assert hash(restored) == hash(config)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"seeed": 1}, "RunConfig has no field seeed"),
        ({"model": {"widht": 64}}, "ModelConfig has no field widht"),
        ({"train": {"epoch": 3}}, "TrainConfig has no field epoch"),
    ],
)
def test_an_unknown_field_is_named(values, named):
    with pytest.raises(ValueError, match=named):
        from_dict(RunConfig, {"task": "t", "architecture": "a"} | values)


def test_runs_from_before_select_were_selected_by_accuracy():
    before = to_dict(TrainConfig(select="accuracy"))
    assert "select" not in before and from_dict(TrainConfig, before).select == "accuracy"
    assert to_dict(TrainConfig())["select"] == "macro_f1"
    for select in ("loss", "accuracy", "auroc", "macro_f1"):
        assert from_dict(TrainConfig, to_dict(TrainConfig(select=select))).select == select


def test_numbers_of_other_libraries_are_the_same_run():
    plain = make(train=TrainConfig(epochs=3, lr=0.5, betas=(0.5, 0.75)))
    others = make(train=TrainConfig(epochs=np.int64(3), lr=np.float32(0.5), betas=[np.float64(0.5), 0.75]))
    assert others == plain and others.id == plain.id and hash(others) == hash(plain)
    whole, real = (make(train=TrainConfig(weight_decay=value)) for value in (0, 0.0))
    assert whole == real and whole.id == real.id


def test_the_id_says_task_architecture_seed_and_hash():
    config = make(seed=7)
    assert config.id == f"hateful_memes/mine-s7-{config.hash8}"
    assert len(config.hash8) == 8 and set(config.hash8) <= set("0123456789abcdef")


def leaves(cls, prefix: str = "") -> list[str]:
    names = []
    for field in dataclasses.fields(cls):
        inner = {"model": ModelConfig, "train": TrainConfig}.get(field.name)
        names += leaves(inner, f"{field.name}.") if inner and not prefix else [prefix + field.name]
    return names


@pytest.mark.parametrize("place", leaves(RunConfig))
def test_any_changed_field_makes_another_run(place):
    """Also one that is added later."""
    base = make()
    changed = copy.deepcopy(base)
    part, _, name = place.rpartition(".")
    object.__setattr__(getattr(changed, part) if part else changed, name, "another value")
    assert changed != base
    assert changed.hash8 != base.hash8
