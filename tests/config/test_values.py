"""Configurations refuse what cannot be meant."""

import dataclasses

import pytest

from vilbert_lib.config import AlignmentConfig, ModelConfig, RunConfig, TrainConfig, arrange, profile
from vilbert_lib.metrics import MEASURES


def make(**changes) -> RunConfig:
    return RunConfig(**{"task": "hateful_memes", "architecture": "mine"} | changes)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: arrange(ModelConfig(), "lat_fusion"), "unknown architecture 'lat_fusion'.*late_fusion"),
        (lambda: profile("tiny"), "unknown profile 'tiny'.*base, quick, small"),
        (lambda: ModelConfig(residual="answerer"), "unknown residual 'answerer'; known: asker, none, normed"),
        (lambda: ModelConfig(fusion="product"), "unknown fusion 'product'.*concat, hadamard, sum"),
        (lambda: AlignmentConfig(pooling="max"), "unknown pooling 'max'.*cls, mean"),
        (lambda: AlignmentConfig(split="dev"), "unknown split 'dev'.*test, train, val"),
        (
            lambda: RunConfig(task="t", architecture="a", objectives=("mum",)),
            "unknown objective 'mum'.*ap, mim, mlm",
        ),
        (lambda: TrainConfig(precision="fp16"), "precision 'fp16'.*bf16, fp32"),
    ],
    ids=["architecture", "profile", "residual", "fusion", "pooling", "split", "objective", "precision"],
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


NAN, INFINITE = float("nan"), float("inf")
WHOLE = {
    ModelConfig: (
        "num_layers width heads image_size patch_size vocab_size max_tokens coattention_width coattention_heads"
        " pooled_width vision_passes frozen_layers"
    ),
    TrainConfig: "epochs batch_size accumulation threads n_train n_eval alignment_k",
    AlignmentConfig: "n_samples k",
}
REAL = {
    ModelConfig: "dropout",
    TrainConfig: (
        "lr weight_decay warmup_fraction floor_fraction clip_norm mlm_weight ap_weight mim_weight"
        " contrastive_weight temperature alignment_weight"
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
        (lambda: ModelConfig(width=65), "width 65 is not a multiple of 4"),
        (lambda: ModelConfig(coattention_width=30), "coattention_width 30"),
        (lambda: ModelConfig(image_size=60), "image_size 60"),
        (lambda: ModelConfig(dropout=1.0), r"dropout 1\.0"),
        (lambda: ModelConfig(vision_passes=3), "vision_passes 3: the image passes once"),
        (lambda: ModelConfig(vision_passes=2, streams="single"), "vision_passes 2: streams 'single'"),
        (
            lambda: ModelConfig(num_layers=6, t_biattention_ids=(6,), v_biattention_ids=(5,)),
            r"t_biattention_ids \[6\]",
        ),
        (lambda: TrainConfig(epochs=0), "epochs 0"),
        (lambda: TrainConfig(lr=0.0), r"lr 0\.0"),
        (lambda: AlignmentConfig(k=256, n_samples=256), "k 256"),
        (lambda: TrainConfig(threads=9999), "threads 9999 must be at most 1024"),
        (lambda: TrainConfig(betas=(0.9,)), r"betas \[0\.9\] must be two"),
        (lambda: TrainConfig(betas=(0.9, 1.0)), r"betas \[0\.9, 1\.0\]"),
        (lambda: TrainConfig(betas=0.9), "betas 0.9 must be a list"),
        (lambda: TrainConfig(warmup_fraction=2), r"warmup_fraction 2\.0"),
        (lambda: TrainConfig(clip_norm=0), r"clip_norm 0\.0 must be positive"),
        (lambda: TrainConfig(weight_decay=-0.1), r"weight_decay -0\.1"),
        (lambda: TrainConfig(mlm_weight=-1), r"mlm_weight -1\.0"),
        (lambda: TrainConfig(temperature=0), r"temperature 0\.0 must be positive"),
        (lambda: TrainConfig(contrastive_weight=1, batch_size=1), r"contrastive_weight 1\.0: a batch of one"),
        (lambda: TrainConfig(augment=1), "augment 1 must be of type bool"),
        (lambda: ModelConfig(frozen_layers=13), "frozen_layers 13: the streams have 12"),
        (lambda: ModelConfig(max_tokens=2), "max_tokens 2 must be at least 3"),
        (lambda: ModelConfig(pixel_mean=(0.5,)), r"pixel_mean \[0\.5\] must be three"),
        (lambda: ModelConfig(pixel_std=(0.5, 0.0, 0.5)), r"pixel_std .* must be positive"),
        (lambda: ModelConfig(t_biattention_ids=(3.0,), v_biattention_ids=(3,)), r"t_biattention_id 3\.0"),
        (lambda: ModelConfig(text_weights=None), "text_weights None must be of type str"),
        (lambda: AlignmentConfig(measures=()), "measures is empty"),
        (lambda: AlignmentConfig(measures=("cka", "cka")), "measure 'cka' is named twice"),
        (lambda: AlignmentConfig(n_samples=3, k=1), "n_samples 3 must be at least 4"),
        (lambda: make(seed=2**31), r"seed 2147483648 must lie in"),
        (lambda: make(objectives=("mlm", "mlm")), "objective 'mlm' is named twice"),
        (lambda: make(on_error="ignore"), "unknown on_error 'ignore'"),
        (lambda: make(model={"width": 64}), "model .* must be of type ModelConfig"),
        (lambda: make(objectives=("mlm",), start_from="x"), "start_from 'x' is for fine-tuning"),
        (lambda: text_only(objectives=("mlm", "ap")), r"objectives \['ap'\] cannot be learned from"),
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


def test_the_profile_small_asks_for_every_measure():
    assert set(profile("small").alignment.measures) <= set(MEASURES)
