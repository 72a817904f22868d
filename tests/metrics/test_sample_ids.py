"""Rows are compared with rows of the same sample: ids are checked between layers, or matched."""

import numpy as np
import pandas as pd
import pytest
import torch
from made_features import pair, tokens

from vilbert_lib.metrics import MEASURES, alignment_grid

N = 400
IDS = np.array([f"s{i}" for i in range(N)])
X = np.random.default_rng(0).standard_normal((N, 16))
Y = X + np.random.default_rng(1).standard_normal((N, 16))
ORDER = np.random.default_rng(2).permutation(N)
VALUE = MEASURES["cka"](X, Y)
FRAMES = {"X": pd.DataFrame(X, index=IDS), "Y": pd.DataFrame(Y, index=IDS).iloc[ORDER]}
FIRST = f"row 0 is 's0' in X but 's{ORDER[0]}' in Y"


def of_measure(features: dict, **options) -> float:
    return MEASURES["cka"](features["X"], features["Y"], **options)


def of_grid(features: dict, **options) -> float:
    return alignment_grid(features, ["cka"], **options).value[0]


BOTH = pytest.mark.parametrize("value", [of_measure, of_grid])


@BOTH
def test_data_frames_with_rows_in_another_order(value):
    with pytest.raises(ValueError, match=FIRST):
        value(FRAMES)
    assert value(FRAMES, align=True) == pytest.approx(VALUE)
    assert value({name: frame.loc[IDS] for name, frame in FRAMES.items()}) == pytest.approx(VALUE)
    by_position = {name: frame.to_numpy() for name, frame in FRAMES.items()}
    assert value(by_position) < 0.2 < 0.4 < VALUE


@BOTH
def test_ids_of_arrays_and_tensors(value):
    features = {"X": X, "Y": torch.tensor(Y[ORDER])}
    for ids in ({"X": IDS, "Y": IDS[ORDER]}, {"X": list(IDS), "Y": pd.Index(IDS[ORDER])}):
        with pytest.raises(ValueError, match=FIRST):
            value(features, ids=ids)
        assert value(features, ids=ids, align=True) == pytest.approx(VALUE)
    assert value({"X": X, "Y": Y}, ids=IDS) == VALUE
    assert value({"X": X, "Y": Y}, ids={"X": IDS, "Y": IDS.copy()}) == VALUE


@BOTH
def test_ids_of_all_layers_are_compared_with_those_of_data_frames(value):
    with pytest.raises(ValueError, match=FIRST):
        value({"X": X, "Y": FRAMES["Y"]}, ids=IDS)
    with pytest.raises(ValueError, match="row 3 is"):
        value({"X": FRAMES["X"], "Y": pd.DataFrame(Y, index=[*IDS[:3], "other", *IDS[4:]])})


@BOTH
def test_samples_that_only_one_layer_has_are_left_out_and_counted(value):
    features = {"X": pd.DataFrame(X, index=IDS)[:380], "Y": FRAMES["Y"].drop(index=["s0", "s5", "s9"])}
    kept = np.setdiff1d(np.arange(380), [0, 5, 9])
    with pytest.warns(UserWarning, match="377 samples are in all layers; left out: 3 of X, 20 of Y"):
        aligned = value(features, align=True)
    assert aligned == pytest.approx(MEASURES["cka"](X[kept], Y[kept]))


def test_masks_follow_their_rows():
    text, image, text_mask, image_mask = tokens(0)
    order, names = np.random.default_rng(0).permutation(len(text)), ["a", "b"]
    wanted = alignment_grid(
        dict(zip(names, (text, image), strict=True)), ["max_sim_tp"], masks={"a": text_mask, "b": image_mask}
    )
    ids = {"a": np.arange(len(text)), "b": np.arange(len(text))[order]}
    moved = dict(zip(names, (text, image[order]), strict=True))
    masks = {"a": text_mask, "b": image_mask[order]}
    aligned = alignment_grid(moved, ["max_sim_tp"], masks=masks, ids=ids, align=True)
    assert aligned.value[0] == pytest.approx(wanted.value[0])


A, B = pair(0, 8, 4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": range(7)}, "ids of a has 7 entries: it has n=8 samples"),
        ({"ids": np.ones((8, 2))}, r"ids of all layers has shape \(8, 2\): one id a sample"),
        ({"ids": {"c": range(8)}}, "ids names the layer 'c'; known: a, b"),
        ({"align": True}, "align=True: a has no ids"),
        ({"align": True, "ids": {"a": range(8)}}, "align=True: b has no ids"),
        (
            {"align": True, "ids": {"a": range(8), "b": [0, 0, 1, 2, 3, 4, 5, 6]}},
            "align=True: the id 0 comes twice in b",
        ),
        ({"align": True, "ids": {"a": range(8), "b": range(8, 16)}}, "no id is in all layers; a starts with 0"),
        (
            {"align": True, "ids": range(8), "null": "permutation", "blocks": [0, 1] * 4},
            "blocks are labels of rows",
        ),
    ],
    ids=str,
)
def test_ids_that_cannot_be_used(options, message):
    with pytest.raises(ValueError, match=message):
        alignment_grid({"a": A, "b": B}, ["cka"], **options)


@pytest.mark.filterwarnings("ignore:3 samples are in all layers")
def test_too_few_common_samples():
    with pytest.raises(ValueError, match="a has n=3 samples: at least 4"):
        alignment_grid({"a": A, "b": B}, ["cka"], ids={"a": range(8), "b": range(5, 13)}, align=True)


@pytest.mark.parametrize("measure", ["cosine", "max_sim_tp", "max_sim_pt", "wasserstein"])
def test_columns_in_another_order_are_not_compared_feature_by_feature(measure):
    frames = [pd.DataFrame(x[:, :4], columns=list("abcd")) for x in (X[:20], Y[:20])]
    value = MEASURES[measure](X[:20, :4], Y[:20, :4])
    assert MEASURES[measure](*frames) == value
    for moved in (frames[1][list("acbd")], frames[1].set_axis(list("bxyz"), axis=1)):
        with pytest.raises(ValueError, match="feature by feature need the columns in the same order"):
            MEASURES[measure](frames[0], moved)
    assert MEASURES[measure](frames[0], frames[1].set_axis(list("wxyz"), axis=1)) == value
    assert MEASURES["cka"](frames[0], frames[1][list("acbd")]) == pytest.approx(MEASURES["cka"](*frames))


def test_blocks_of_a_series_belong_to_the_rows_of_the_layers():
    frames = {"X": pd.DataFrame(X[:20], index=IDS[:20]), "Y": pd.DataFrame(Y[:20], index=IDS[:20])}
    blocks = pd.Series(np.repeat(range(5), 4), index=IDS[:20])
    options = {"null": "permutation", "permutations": 9}
    with pytest.raises(ValueError, match="row 0 is 's0' in the layers but 's19' in blocks"):
        alignment_grid(frames, ["cka"], blocks=blocks[::-1], **options)
    found = alignment_grid(frames, ["cka"], blocks=blocks, **options)
    pd.testing.assert_frame_equal(found, alignment_grid(frames, ["cka"], blocks=blocks.to_numpy(), **options))
