"""Features of every layer, pooled as by hand, and the frame of their alignment."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from vilbert_lib.config import AlignmentConfig, ModelConfig
from vilbert_lib.data import formats
from vilbert_lib.data.datasets import PairDataset
from vilbert_lib.data.tokenizer import of_root
from vilbert_lib.metrics import MEASURES, InfluenceWarning, TiedNeighboursWarning, alignment_grid
from vilbert_lib.model.vilbert import ViLBERT
from vilbert_lib.representations import (
    CHANCE,
    COLUMNS,
    LOG_COLUMNS,
    LOGGED,
    PERMUTATIONS,
    is_constant,
    layer_features,
    log_alignment,
    measure_alignment,
    measure_pairs,
    sample_rows,
)
from vilbert_lib.runs import archive
from vilbert_lib.training import checkpoint

WIDTH = 16


@pytest.fixture(scope="module")
def words(tiny_root):
    return of_root(tiny_root)


@pytest.fixture(scope="module")
def model(words):
    torch.manual_seed(0)
    config = ModelConfig(
        num_layers=2,
        width=WIDTH,
        heads=2,
        image_size=64,
        patch_size=32,
        vocab_size=words.vocab_size,
        coattention_width=WIDTH,
        coattention_heads=2,
        pooled_width=WIDTH,
        dropout=0.5,
        t_biattention_ids=(1,),
        v_biattention_ids=(1,),
    )
    return ViLBERT(config)


@pytest.fixture(scope="module")
def memes(tiny_root, words):
    return PairDataset(formats.task("hateful_memes").splits(tiny_root)["train"], words, 64, 32)


@pytest.fixture(scope="module")
def questions(tiny_root, words):
    return PairDataset(formats.task("easy_vqa").splits(tiny_root)["train"], words, 64, 32)


@torch.no_grad()
def by_hand(model, data, index: int, pooling: str) -> dict[str, torch.Tensor]:
    """Features of one sample by itself, where there is no padding to leave out."""
    item = data.__getitems__([index])
    assert item["attention_mask"].all()
    model.eval()
    output = model(item["input_ids"], item["attention_mask"], item["pixel_values"])
    features = {}
    for stream, states in (("t", output.text_states), ("v", output.vision_states)):
        assert len(states) == 3
        for layer in (0, 1):
            tokens = states[layer + 1][0]
            match pooling:
                case "cls":
                    feature = tokens[0]
                case "mean":
                    feature = sum(tokens[1:]) / (len(tokens) - 1)
                case "full_seq":
                    empty = model.config.max_tokens - len(tokens) if stream == "t" else 0
                    feature = torch.cat([*tokens, torch.zeros(empty * WIDTH)])
            features[f"{stream}{layer}"] = feature
    return features


@pytest.mark.parametrize("pooling", ["cls", "mean", "full_seq"])
def test_pooling_is_that_of_each_sample_alone_padding_left_out(model, memes, pooling):
    order = np.argsort(memes.lengths, kind="stable")
    rows = np.array([order[-1], order[0], order[-2], order[1]])
    assert memes.lengths[order[0]] < memes.lengths[order[-1]]
    features = layer_features(model, memes, rows, pooling, batch_size=4)
    for row, index in enumerate(rows):
        for name, wanted in by_hand(model, memes, int(index), pooling).items():
            torch.testing.assert_close(features[name][row], wanted, atol=1e-5, rtol=1e-4)


def test_the_embeddings_stand_before_the_layers_and_their_first_tokens_are_the_same_in_all_samples(model, memes):
    with_them = layer_features(model, memes, np.arange(6), embeddings=True)
    layers = layer_features(model, memes, np.arange(6))
    assert list(with_them) == ["t-1", "t0", "t1", "v-1", "v0", "v1"]
    assert all(torch.equal(with_them[name], layers[name]) for name in layers)
    for name in ("t-1", "v-1"):
        assert torch.equal(with_them[name], with_them[name][:1].expand(6, -1))


@pytest.mark.parametrize("training", [True, False])
def test_features_are_taken_without_dropout_and_the_mode_is_given_back(model, memes, training):
    model.train(training)
    first, again = (layer_features(model, memes, np.arange(4)) for _ in range(2))
    assert model.training is training
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_one_sample_an_image_the_same_at_every_call(questions):
    rows = sample_rows(questions, 1000)
    images = questions.image_of[rows]
    assert len(set(images)) == len(images) == len(questions.pixels) < len(questions)
    assert (sample_rows(questions, 1000) == rows).all()
    assert (sample_rows(questions, 5) == rows[:5]).all()


CONFIG = AlignmentConfig(measures=("cka", "mknn"), n_samples=12, k=3)


def test_the_whole_grid(model, memes):
    frame = measure_alignment(model, memes, CONFIG, epoch=4, split="val")
    assert list(frame.columns) == COLUMNS
    found = frame[frame.measure == "cka"]
    assert sorted(zip(found.kind, found.x, found.y, found.text_layer, found.vision_layer, strict=True)) == [
        ("tt", "t0", "t1", -1, -1),
        ("tv", "t0", "v0", 0, 0),
        ("tv", "t0", "v1", 0, 1),
        ("tv", "t1", "v0", 1, 0),
        ("tv", "t1", "v1", 1, 1),
        ("vv", "v0", "v1", -1, -1),
    ]
    assert set(frame.epoch) == {4} and set(frame.split) == {"val"} and set(frame.n_samples) == {12}
    assert frame.groupby("measure").k.unique().map(list).to_dict() == {"cka": [0], "mknn": [3]}


def test_values_are_the_measures_of_the_features(model, memes):
    frame = measure_alignment(model, memes, CONFIG, epoch=0, split="val")
    features = layer_features(model, memes, sample_rows(memes, 12))
    for row in frame.itertuples():
        wanted = MEASURES[row.measure](features[row.x], features[row.y], k=3)
        assert row.value == pytest.approx(wanted, abs=1e-6)


def test_chance_stands_beside_the_whole_grid(model, memes):
    """The closed form for every pair where there is one, permutations for layers at the same depth."""
    config = AlignmentConfig(measures=("cka", "procrustes", "wasserstein"), n_samples=12, k=3)
    frame = measure_alignment(model, memes, config, epoch=0, split="val").set_index("measure")
    features = layer_features(model, memes, sample_rows(memes, 12))
    of = {name: frame.loc[name].set_index(["x", "y"]) for name in config.measures}
    exact = alignment_grid(features, ["cka"], null="exact").set_index(["x", "y"])
    assert of["cka"].chance.to_dict() == pytest.approx(exact.chance.to_dict())
    assert set(of["procrustes"].dropna(subset="chance").index) == {("t0", "v0"), ("t1", "v1")}
    assert of["wasserstein"][CHANCE].isna().all(axis=None)

    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(400):
        order = rng.permutation(12)
        permuted = {name: x[order] if name[0] == "v" else x for name, x in features.items()}
        drawn.append([MEASURES["procrustes"](permuted[f"t{i}"], permuted[f"v{i}"]) for i in (0, 1)])
    drawn, found = np.array(drawn), of["procrustes"].dropna(subset="chance")
    error = 4 * drawn.std(0) / np.sqrt(PERMUTATIONS)
    assert (np.abs(found.chance - drawn.mean(0)) < error).all()
    best = drawn.max(1)
    assert np.abs(found.chance_best - best.mean()).max() < 4 * best.std() / np.sqrt(PERMUTATIONS)
    shares = (drawn >= found.value.to_numpy()).mean(0)
    assert np.abs(found.p - shares).max() < 2 / np.sqrt(PERMUTATIONS) and (found.p_best >= found.p).all()


def test_during_training_layers_at_the_same_depth_are_logged(model, memes):
    frame = log_alignment(model, memes, epoch=3, split="val")
    assert list(frame.columns) == LOG_COLUMNS
    assert list(zip(frame.measure, frame.text_layer, frame.vision_layer, strict=True)) == [
        ("unbiased_cka", 0, 0),
        ("unbiased_cka", 1, 1),
        ("mknn", 0, 0),
        ("mknn", 1, 1),
    ]
    features = layer_features(model, memes, sample_rows(memes, LOGGED.n_samples))
    assert frame.value[1] == pytest.approx(MEASURES["unbiased_cka"](features["t1"], features["v1"]), abs=1e-6)


def test_fewer_images_than_asked_are_said(model, questions):
    """Sixteen or so images under 35 questions: n and k are what there is."""
    few = PairDataset(questions.records[:12], questions.tokenizer, 64, 32)
    config = AlignmentConfig(measures=("mknn",), n_samples=100, k=50)
    frame = measure_alignment(model, few, config, epoch=0, split="val")
    images = len({record.img for record in few.records})
    assert set(frame.n_samples) == {images} and set(frame.k) == {images - 1}


def with_last_norms(model, text: float, vision: float = 1.0) -> ViLBERT:
    """A copy with this LayerNorm weight in its last text layer; with ``vision`` 0 every layer is constant."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.bert.encoder.layer[-1].output.LayerNorm.weight.fill_(text)
        if vision == 0:
            changed.bert.encoder.layer[0].output.LayerNorm.weight.fill_(0)
            for parameter in changed.vit.patch_embed.parameters():
                parameter.fill_(0)
            for parameter in changed.coattention.parameters():
                parameter.fill_(0)
    return changed


def test_a_constant_layer_is_nan_and_the_others_are_measured_as_before(model, memes):
    config = AlignmentConfig(measures=("cka", "mknn", "procrustes"), n_samples=12, k=3)
    wanted = measure_alignment(model, memes, config, epoch=4, split="val")
    with pytest.warns(UserWarning, match=r"epoch 4: the features of t1 .* all 12 val samples") as caught:
        found = measure_alignment(with_last_norms(model, 0), memes, config, epoch=4, split="val")
    assert len([w for w in caught if "recorded as NaN" in str(w.message)]) == 1
    affected = (wanted.x == "t1") | (wanted.y == "t1")
    assert found[affected][["value", *CHANCE]].isna().all(axis=None) and affected.sum() == 3 * 3
    columns = [name for name in COLUMNS if name not in ("chance_best", "p_best")]  # over the pairs that are left
    pd.testing.assert_frame_equal(found[columns][~affected], wanted[columns][~affected])
    places = ["x", "y", "kind", "text_layer", "vision_layer", "measure", "k"]
    pd.testing.assert_frame_equal(found[places], wanted[places])

    with pytest.warns(UserWarning, match="epoch 5: the features of t1"):
        logged = log_alignment(with_last_norms(model, 0), memes, epoch=5, split="val")
    assert logged.value.isna().tolist() == [False, True] * 2


def test_a_dominant_feature_and_ties_of_a_trained_model_are_warned_of(model, memes):
    one_feature = copy.deepcopy(model)
    with torch.no_grad():
        for layer in one_feature.bert.encoder.layer:
            layer.output.LayerNorm.weight[1:] = 0
    config = AlignmentConfig(measures=("mknn",), n_samples=12, k=3)
    for epoch, wanted in ((0, []), (1, [InfluenceWarning, TiedNeighboursWarning])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            log_alignment(one_feature, memes, epoch=1, split="val")
            measure_alignment(one_feature, memes, config, epoch=epoch, split="val")
        assert [warning.category for warning in caught] == wanted


def test_rounding_is_no_difference_between_samples(model, memes):
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    assert is_constant(1000 + 1e-4 * x) and not is_constant(1000 + x) and not is_constant(1e-20 * x)
    assert is_constant(torch.zeros(8, 5))
    frame = measure_pairs({"a": x, "b": torch.ones(8, 5)}, ["cka"], 3, [("a", "b"), ("a", "a"), ("a", "a")])
    assert frame.value.isna().tolist() == [True, False, False]


def test_features_that_are_not_finite_are_an_error(model, memes):
    with pytest.raises(ValueError, match=r"t1 holds nan at row 0, column 0"):
        log_alignment(with_last_norms(model, float("nan")), memes, epoch=1, split="val")


@pytest.mark.filterwarnings("ignore:epoch")
def test_a_missing_value_survives_the_run_file_and_the_archive(model, memes, tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_ARCHIVE", str(tmp_path / "archive"))
    frame = log_alignment(with_last_norms(model, 0), memes, epoch=0, split="val")
    checkpoint.record_alignment(tmp_path, 0, frame)
    read = checkpoint.read_frame(tmp_path / "alignment.parquet")
    archive.write("kept", {"a/run": {}}, {"training_alignment": {"a/run": read}})
    kept = archive.table("a/run", "training_alignment")
    for found in (read, kept):
        assert found.value.isna().tolist() == frame.value.isna().tolist()
    assert frame.value.isna().any() and not frame.value.isna().all()
