"""Configurations survive JSON, refuse what cannot be meant, and name a run by all that they hold."""

import dataclasses
import json

import numpy as np
import pytest

from vilbert_lib.config import (
    ARCHITECTURES,
    PROFILES,
    AlignmentConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    arrange,
    from_dict,
    profile,
    to_dict,
)

THESIS = {
    "baseline": ([], []),
    "early_fusion": ([3, 4, 5], [3, 4, 5]),
    "middle_fusion": ([6, 7, 8], [6, 7, 8]),
    "late_fusion": ([9, 10, 11], [9, 10, 11]),
    "asymmetric_fusion": ([6, 7, 8, 9], [3, 5, 7, 9]),
    "optuna1": ([3, 6], [6, 8]),
    "optuna2": ([7, 9, 10, 11], [6, 7, 9, 10]),
}


def make(**changes) -> RunConfig:
    """A configuration with nothing at its default that could be mistaken for another."""
    model = ModelConfig(t_biattention_ids=(3,), v_biattention_ids=(3,))
    return dataclasses.replace(RunConfig(task="hateful_memes", architecture="mine", model=model), **changes)


@pytest.mark.parametrize("name", sorted(THESIS))
def test_the_thesis_architectures_have_their_ids(name):
    t_ids, v_ids = ARCHITECTURES[name]
    assert (list(t_ids), list(v_ids)) == THESIS[name]


def test_there_are_at_least_twelve_architectures_all_different_and_valid():
    assert len(ARCHITECTURES) >= 12
    assert len(set(ARCHITECTURES.values())) == len(ARCHITECTURES)
    for name, (t_ids, v_ids) in ARCHITECTURES.items():
        placed = arrange(ModelConfig(num_layers=12), name)
        assert (placed.t_biattention_ids, placed.v_biattention_ids) == (t_ids, v_ids)


def test_placing_coattention_changes_nothing_else():
    model = ModelConfig(width=128, dropout=0.3)
    placed = arrange(model, "optuna1")
    assert dataclasses.replace(placed, t_biattention_ids=(), v_biattention_ids=()) == model


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_profiles_are_found_by_name_and_hold_every_architecture(name):
    found = profile(name)
    assert found.name == name
    for architecture in ARCHITECTURES:
        arrange(found.model, architecture)


def test_a_configuration_survives_json():
    config = make(
        objectives=("mlm", "ap"),
        model=arrange(ModelConfig(fusion="concat", dropout=0.25), "asymmetric_fusion"),
        train=TrainConfig(lr=3e-5, betas=(0.9, 0.999)),
        alignment=AlignmentConfig(measures=("cka", "mknn"), pooling="mean"),
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


def test_a_missing_field_is_a_value_error_that_names_it():
    with pytest.raises(ValueError, match="architecture"):
        from_dict(RunConfig, {"task": "hateful_memes"})


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: arrange(ModelConfig(), "lat_fusion"), "unknown architecture 'lat_fusion'.*late_fusion"),
        (lambda: profile("tiny"), "unknown profile 'tiny'.*base, quick, small"),
        (lambda: ModelConfig(residual="answerer"), "unknown residual 'answerer'; known: asker, none, normed"),
        (lambda: ModelConfig(fusion="product"), "unknown fusion 'product'.*concat, hadamard, sum"),
        (lambda: AlignmentConfig(pooling="max"), "unknown pooling 'max'.*cls, mean"),
        (
            lambda: RunConfig(task="t", architecture="a", objectives=("mum",)),
            "unknown objective 'mum'.*ap, mim, mlm",
        ),
        (lambda: TrainConfig(precision="fp16"), "precision 'fp16'.*bf16, fp32"),
    ],
    ids=["architecture", "profile", "residual", "fusion", "pooling", "objective", "precision"],
)
def test_an_unknown_name_is_refused_and_the_known_ones_listed(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.parametrize(
    ("t_ids", "v_ids", "named"),
    [
        ((3, 12), (3, 4), r"t_biattention_ids \[3, 12\].*0\.\.11"),
        ((3, 4), (-1, 4), r"v_biattention_ids \[-1, 4\].*0\.\.11"),
        ((3, 4, 5), (3, 4), r"t_biattention_ids \[3, 4, 5\] and v_biattention_ids \[3, 4\]"),
        ((4, 3), (3, 4), r"t_biattention_ids \[4, 3\].*increase"),
        ((3, 4), (4, 4), r"v_biattention_ids \[4, 4\].*once"),
    ],
    ids=["text out of range", "vision out of range", "unequal number", "unsorted", "duplicate"],
)
def test_impossible_coattention_ids_are_named(t_ids, v_ids, named):
    with pytest.raises(ValueError, match=named):
        ModelConfig(t_biattention_ids=t_ids, v_biattention_ids=v_ids)


def test_a_single_stream_has_no_vision_stream_to_pass_twice():
    with pytest.raises(ValueError, match="vision_passes 2: streams 'single'"):
        ModelConfig(vision_passes=2, streams="single")


def test_ids_are_held_against_the_number_of_layers():
    with pytest.raises(ValueError, match=r"t_biattention_ids \[6\]"):
        ModelConfig(num_layers=6, t_biattention_ids=(6,), v_biattention_ids=(5,))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ModelConfig(width=65), "width 65 is not a multiple of 4"),
        (lambda: ModelConfig(coattention_width=30), "coattention_width 30"),
        (lambda: ModelConfig(image_size=60), "image_size 60"),
        (lambda: ModelConfig(dropout=1.0), r"dropout 1\.0"),
        (lambda: ModelConfig(heads=0), "heads 0"),
        (lambda: ModelConfig(num_layers=0), "num_layers 0"),
        (lambda: ModelConfig(vision_passes=3), "vision_passes 3: the image passes once"),
        (lambda: ModelConfig(vision_passes=0), "vision_passes 0"),
        (lambda: TrainConfig(epochs=0), "epochs 0"),
        (lambda: TrainConfig(batch_size=0), "batch_size 0"),
        (lambda: TrainConfig(lr=0.0), r"lr 0\.0"),
        (lambda: TrainConfig(n_train=-1), "n_train -1"),
        (lambda: AlignmentConfig(k=256, n_samples=256), "k 256"),
        (lambda: AlignmentConfig(k=0), "k 0"),
    ],
)
def test_an_impossible_number_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


NAN, INFINITE = float("nan"), float("inf")
WHOLE = {
    ModelConfig: (
        "num_layers width heads image_size patch_size vocab_size max_tokens coattention_width coattention_heads"
        " pooled_width vision_passes frozen_layers"
    ),
    TrainConfig: "epochs batch_size accumulation threads n_train n_eval",
    AlignmentConfig: "n_samples k",
}
REAL = {
    ModelConfig: "dropout",
    TrainConfig: (
        "lr weight_decay warmup_fraction floor_fraction clip_norm mlm_weight ap_weight mim_weight"
        " contrastive_weight temperature"
    ),
}


def fields_of(table: dict) -> list[tuple[type, str]]:
    return [(cls, name) for cls, names in table.items() for name in names.split()]


def test_every_number_of_a_configuration_is_tried():
    for table, kind in ((WHOLE, int), (REAL, float)):
        for cls in (ModelConfig, TrainConfig, AlignmentConfig):
            declared = {field.name for field in dataclasses.fields(cls) if field.type is kind}
            assert declared == set(table.get(cls, "").split())


@pytest.mark.parametrize("value", [4.0, 2.5, "4", None, True, NAN])
@pytest.mark.parametrize(("cls", "name"), fields_of(WHOLE))
def test_what_is_no_whole_number_is_named(cls, name, value):
    with pytest.raises(ValueError, match=f"{name} {value!r} must be a whole number"):
        cls(**{name: value})


@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE, "0.1", None, True])
@pytest.mark.parametrize(("cls", "name"), fields_of(REAL))
def test_what_is_no_finite_number_is_named(cls, name, value):
    with pytest.raises(ValueError, match=f"{name} {value!r} must be a finite number"):
        cls(**{name: value})


def test_numbers_of_other_libraries_are_the_same_run():
    plain = make(train=TrainConfig(epochs=3, lr=0.5, betas=(0.5, 0.75)))
    others = make(train=TrainConfig(epochs=np.int64(3), lr=np.float32(0.5), betas=[np.float64(0.5), 0.75]))
    assert others == plain and others.id == plain.id and hash(others) == hash(plain)


def text_only(**train) -> RunConfig:
    return RunConfig(
        task="t",
        architecture="a",
        objectives=train.pop("objectives", ()),
        model=ModelConfig(streams=train.pop("streams", "text")),
        train=TrainConfig(**train),
    )


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: TrainConfig(batch_size=-1), "batch_size -1"),
        (lambda: TrainConfig(accumulation=0), "accumulation 0"),
        (lambda: TrainConfig(threads=0), "threads 0"),
        (lambda: TrainConfig(n_eval=-2), "n_eval -2"),
        (lambda: TrainConfig(betas=(0.9,)), r"betas \[0\.9\] must be two"),
        (lambda: TrainConfig(betas=(0.9, 1.0)), r"betas \[0\.9, 1\.0\]"),
        (lambda: TrainConfig(betas=(-0.1, 0.9)), r"betas \[-0\.1, 0\.9\]"),
        (lambda: TrainConfig(betas=0.9), "betas 0.9 must be a list"),
        (lambda: TrainConfig(betas=(0.9, NAN)), "beta nan must be a finite number"),
        (lambda: TrainConfig(warmup_fraction=2), r"warmup_fraction 2\.0"),
        (lambda: TrainConfig(warmup_fraction=-0.1), r"warmup_fraction -0\.1"),
        (lambda: TrainConfig(floor_fraction=2), r"floor_fraction 2\.0"),
        (lambda: TrainConfig(clip_norm=0), r"clip_norm 0\.0 must be positive"),
        (lambda: TrainConfig(clip_norm=-1), r"clip_norm -1\.0 must be positive"),
        (lambda: TrainConfig(weight_decay=-0.1), r"weight_decay -0\.1"),
        (lambda: TrainConfig(mim_weight=-1), r"mim_weight -1\.0"),
        (lambda: TrainConfig(contrastive_weight=1, batch_size=1), r"contrastive_weight 1\.0: a batch of one"),
        (lambda: TrainConfig(balance="weight"), "unknown balance 'weight'; known: none, sampling, weights"),
        (lambda: TrainConfig(augment=1), "augment 1 must be of type bool"),
        (lambda: TrainConfig(gradient_checkpointing="no"), "gradient_checkpointing 'no'"),
        (lambda: ModelConfig(frozen_layers=13), "frozen_layers 13: the streams have 12"),
        (lambda: ModelConfig(frozen_layers=-2), "frozen_layers -2"),
        (lambda: ModelConfig(max_tokens=2), "max_tokens 2 must be at least 3"),
        (lambda: ModelConfig(image_size=0), "image_size 0"),
        (lambda: ModelConfig(coattention_width=0), "coattention_width 0"),
        (lambda: ModelConfig(vocab_size=0), "vocab_size 0"),
        (lambda: ModelConfig(pixel_mean=(0.5,)), r"pixel_mean \[0\.5\] must be three"),
        (lambda: ModelConfig(pixel_std=(0.5, 0.0, 0.5)), r"pixel_std .* must be positive"),
        (lambda: ModelConfig(t_biattention_ids=(3.0,), v_biattention_ids=(3,)), r"t_biattention_id 3\.0"),
        (lambda: ModelConfig(text_weights=None), "text_weights None must be of type str"),
        (lambda: AlignmentConfig(measures=()), "measures is empty"),
        (lambda: AlignmentConfig(measures="cka"), "measures 'cka' must be a list"),
        (lambda: AlignmentConfig(measures=("cka", "cka")), "measure 'cka' is named twice"),
        (lambda: AlignmentConfig(n_samples=3, k=1), "n_samples 3 must be at least 4"),
        (lambda: make(seed=-1), r"seed -1 must lie in 0\.\."),
        (lambda: make(seed=2**31), r"seed 2147483648 must lie in"),
        (lambda: make(seed=0.5), "seed 0.5 must be a whole number"),
        (lambda: make(objectives=("mlm", "mlm")), "objective 'mlm' is named twice"),
        (lambda: make(objectives="mlm"), "objectives 'mlm' must be a list"),
        (lambda: make(on_error="ignore"), "unknown on_error 'ignore'"),
        (lambda: make(model={"width": 64}), "model .* must be of type ModelConfig"),
        (lambda: make(objectives=("mlm",), start_from="x"), "start_from 'x' is for fine-tuning"),
        (lambda: text_only(objectives=("mlm", "ap")), r"objectives \['ap'\] cannot be learned from"),
        (lambda: text_only(objectives=("mlm",), streams="image"), r"objectives \['mlm'\] cannot be learned"),
        (lambda: text_only(contrastive_weight=0.5), r"contrastive_weight 0\.5: streams 'text' leave no pairs"),
        (lambda: text_only(objectives=("mlm",), mlm_weight=0), r"objectives \['mlm'\]: the weight of each is 0"),
    ],
)  # fmt: skip
def test_what_would_fail_or_mean_nothing_in_training_is_refused(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: TrainConfig(precision="bf16"),
        lambda: TrainConfig(warmup_fraction=0, floor_fraction=1, weight_decay=0, betas=(0, 0)),
        lambda: ModelConfig(frozen_layers=12),
        lambda: text_only(objectives=("mlm",)),
        lambda: text_only(objectives=("mim",), streams="image"),
        lambda: text_only(objectives=("mlm", "ap", "mim"), streams="single", contrastive_weight=1),
        lambda: make(objectives=("mlm", "ap"), train=TrainConfig(mlm_weight=0)),
    ],
)
def test_what_can_be_meant_is_allowed(call):
    call()


def test_the_number_of_patches_follows_from_the_sizes():
    assert ModelConfig(image_size=64, patch_size=16).num_patches == 16


def test_the_id_says_task_architecture_seed_and_hash():
    config = make(seed=7)
    assert config.id == f"hateful_memes/mine-s7-{config.hash8}"
    assert len(config.hash8) == 8 and set(config.hash8) <= set("0123456789abcdef")


def test_equal_configurations_are_the_same_run():
    assert make() == make() and make().id == make().id


def test_a_whole_number_and_its_float_are_the_same_run():
    """0 == 0.0: two configurations that compare equal must have one id."""
    whole, real = (make(train=TrainConfig(weight_decay=value)) for value in (0, 0.0))
    assert whole == real
    assert whole.id == real.id


CHANGES = {
    "task": "easy_vqa",
    "architecture": "other",
    "seed": 1,
    "data": "abc",
    "objectives": ("mlm",),
    "start_from": "conceptual_captions/x-s0-00000000",
    "on_error": "skip",
    "model.t_biattention_ids": (4,),
    "model.v_biattention_ids": (4,),
    "model.num_layers": 6,
    "model.width": 128,
    "model.heads": 2,
    "model.image_size": 32,
    "model.patch_size": 8,
    "model.vocab_size": 100,
    "model.max_tokens": 16,
    "model.coattention_width": 128,
    "model.coattention_heads": 2,
    "model.pooled_width": 32,
    "model.fusion": "sum",
    "model.dropout": 0.2,
    "model.text_weights": "bert-base-uncased",
    "model.vision_weights": "vit_base_patch16_224",
    "model.streams": "text",
    "model.pooling": "mean",
    "model.pooler": "none",
    "model.residual": "normed",
    "model.vision_passes": 2,
    "model.frozen_layers": 2,
    "model.pixel_mean": (0.4, 0.4, 0.4),
    "model.pixel_std": (0.2, 0.2, 0.2),
    "model.interpolation": "bilinear",
    "train.epochs": 11,
    "train.batch_size": 16,
    "train.accumulation": 2,
    "train.lr": 2e-3,
    "train.weight_decay": 0.1,
    "train.betas": (0.9, 0.999),
    "train.warmup_fraction": 0.2,
    "train.floor_fraction": 0.1,
    "train.clip_norm": 2.0,
    "train.precision": "bf16",
    "train.gradient_checkpointing": True,
    "train.mlm_weight": 0.5,
    "train.ap_weight": 0.5,
    "train.mim_weight": 0.5,
    "train.mim_positions": "unmasked",
    "train.contrastive_weight": 0.5,
    "train.temperature": 0.2,
    "train.balance": "weights",
    "train.threads": 2,
    "train.augment": True,
    "train.n_train": 5,
    "train.n_eval": 5,
    "alignment.measures": ("cka",),
    "alignment.n_samples": 128,
    "alignment.k": 5,
    "alignment.pooling": "mean",
}


def leaves(cls, prefix: str = "") -> list[str]:
    names = []
    for field in dataclasses.fields(cls):
        inner = {"model": ModelConfig, "train": TrainConfig, "alignment": AlignmentConfig}.get(field.name)
        names += leaves(inner, f"{field.name}.") if inner and not prefix else [prefix + field.name]
    return names


@pytest.mark.parametrize("place", leaves(RunConfig))
def test_any_changed_field_makes_another_run(place):
    part, _, name = place.rpartition(".")
    value = CHANGES[place]
    base = make(model=ModelConfig()) if name == "streams" else make()
    changed = dataclasses.replace(
        base, **({part: dataclasses.replace(getattr(base, part), **{name: value})} if part else {name: value})
    )
    assert changed != base
    assert changed.hash8 != base.hash8
