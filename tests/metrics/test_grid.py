"""The grid of layers: the same numbers as one pair at a time."""

from itertools import combinations

import numpy as np
import pytest
import torch

from vilbert_lib.metrics import MEASURES, alignment_grid

ALL = list(MEASURES)


@pytest.fixture(scope="module")
def features():
    """Four layers of different widths that share a part."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((24, 4))
    widths = {"t0": 6, "t1": 9, "v0": 30, "v1": 5}
    return {
        name: common @ rng.standard_normal((4, width)) + rng.standard_normal((24, width))
        for name, width in widths.items()
    }


def test_a_grid_equals_single_calls(features):
    frame = alignment_grid(features, ALL, k=4, q=3)
    assert list(frame.columns) == ["x", "y", "measure", "value"]
    assert list(zip(frame.measure, frame.x, frame.y, strict=True)) == [
        (measure, x, y) for measure in ALL for x, y in combinations(features, 2)
    ]
    for row in frame.itertuples():
        assert row.value == pytest.approx(
            MEASURES[row.measure](features[row.x], features[row.y], k=4, q=3), abs=1e-10
        )


def test_only_the_pairs_that_were_asked_in_their_order(features):
    pairs = [("v1", "t0"), ("t0", "v0"), ("t1", "t1")]
    frame = alignment_grid(features, ["cka", "mknn"], k=4, pairs=pairs)
    assert list(zip(frame.x, frame.y, strict=True)) == pairs * 2
    whole = alignment_grid(features, ["cka"], k=4).set_index(["x", "y"]).value
    assert frame.value[:3].tolist() == pytest.approx([whole["t0", "v1"], whole["t0", "v0"], 1])


def test_pairs_may_be_an_iterator(features):
    frame = alignment_grid(features, iter(["cka", "rsa"]), pairs=iter([("t0", "v0")]))
    assert frame.measure.tolist() == ["cka", "rsa"]


def test_values_depend_on_no_other_layer(features):
    alone = alignment_grid({name: features[name] for name in ("t0", "v0")}, ALL, k=4)
    among = alignment_grid(features, ALL, k=4, pairs=[("t0", "v0")])
    np.testing.assert_allclose(alone.value, among.value, atol=1e-12)


def test_tensors_and_arrays_may_be_mixed(features):
    mixed = {name: torch.from_numpy(x) if name[0] == "t" else x for name, x in features.items()}
    assert alignment_grid(mixed, ALL).equals(alignment_grid(features, ALL))


def test_k_reaches_the_neighbours(features):
    few, many = (alignment_grid(features, ["mknn"], k=k).value for k in (2, 23))
    assert (many == 1).all() and (few < 1).all()


def test_an_unknown_measure_is_named_and_the_known_ones_listed(features):
    with pytest.raises(ValueError, match=r"unknown measure 'ckaa'; known: cka, "):
        alignment_grid(features, ["cka", "ckaa"])


def test_an_unknown_layer_is_named_and_the_known_ones_listed(features):
    with pytest.raises(ValueError, match=r"unknown layer 't9'; known: t0, t1, v0, v1"):
        alignment_grid(features, ["cka"], pairs=[("t0", "v0"), ("t9", "v0")])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x: x[:-1], "v0 has n=23 samples but t0 has n=24"),
        (lambda x: x * np.nan, "v0 holds nan at row 0, column 0"),
        (lambda x: x * 0, "v0 is constant"),
        (lambda x: x[:, 0], "v0 has 1 dimension"),
    ],
)
def test_a_layer_that_cannot_be_measured_is_named(features, change, named):
    with pytest.raises(ValueError, match=named):
        alignment_grid(features | {"v0": change(features["v0"])}, ["cka"])


def test_an_impossible_k_is_named(features):
    with pytest.raises(ValueError, match="k=24"):
        alignment_grid(features, ["mknn"], k=24)


@pytest.mark.parametrize(
    ("empty", "named"), [({"features": {}}, "features"), ({"measures": []}, "measures"), ({"pairs": []}, "pairs")]
)
def test_nothing_to_measure_is_named(features, empty, named):
    with pytest.raises(ValueError, match=named):
        alignment_grid(**{"features": features, "measures": ["cka"]} | empty)
