"""What cannot be measured is refused, by the name and the value that are wrong."""

import numpy as np
import pytest
import torch
from made_features import NEED_EQUAL_WIDTHS, pair, tokens

from vilbert_lib.metrics import MEASURES, alignment_grid, layers
from vilbert_lib.metrics.layers import Settings

GOOD = pair(0, 8, 4, 4)[0]
TOKENS, PATCHES, TOKEN_MASK, _ = tokens(0, n=8)
ONLY_2D = [name for name in MEASURES if not name.startswith("max_sim")]
MATRIX_FREE = ("procrustes", "procrustes_distance", "max_sim_tp", "max_sim_pt")
USE_K = [name for name in MEASURES if MEASURES[name].uses_k]


def with_value(value: float) -> np.ndarray:
    X = GOOD.copy()
    X[2, 1] = value
    return X


def refused(message: str):
    return pytest.raises(ValueError, match=message)


# Features


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (GOOD, pair(0, 9, 4, 4)[0], "X has n=8 samples but Y has n=9"),
        (GOOD[:3], GOOD[:3], "X has n=3 samples: at least 4"),
        (with_value(np.nan), GOOD, "X holds nan at row 2, column 1"),
        (GOOD, with_value(-np.inf), "Y holds -inf at row 2, column 1"),
        (GOOD, np.full((8, 4), 0.1), "Y is constant: all 8 rows are equal"),
        (GOOD[:, 0], GOOD, r"X has 1 dimension\(s\), shape \(8,\)"),
        (GOOD, np.ones((8, 4, 2, 2)), r"Y has 4 dimension\(s\), shape \(8, 4, 2, 2\)"),
        (GOOD, GOOD[:, :0], r"Y has shape \(8, 0\): at least 1 feature"),
        (GOOD + 1j, GOOD, r"X holds complex numbers \(torch.complex128\)"),
        (GOOD, GOOD.astype(str), "Y is no array of numbers: .*str"),
        (GOOD, [[1.0, 2.0], [3.0]], "Y is no array of numbers: .*inhomogeneous"),
    ],
    ids=["n", "n<4", "nan", "inf", "constant", "1-d", "4-d", "no features", "complex", "text", "ragged"],
)
def test_features_that_no_measure_takes(name, X, Y, message):
    with refused(message):
        MEASURES[name](X, Y, k=2)


def test_rows_that_differ_by_nothing_beside_their_size_are_constant():
    X = np.column_stack([np.full(8, 1e200), np.arange(8.0)])
    with refused("X is constant"):
        MEASURES["svcca"](X, GOOD)
    assert MEASURES["svcca"](np.column_stack([np.full(8, 1e10), np.arange(8.0)]), GOOD, q=1) > 0


def test_a_value_in_a_token_is_found():
    broken = TOKENS.copy()
    broken[3, 2, 1] = np.inf
    with refused("X holds inf at row 3, token 2, column 1"):
        MEASURES["max_sim_tp"](broken, PATCHES)


@pytest.mark.parametrize("name", ONLY_2D)
def test_tokens_where_a_measure_needs_one_row_a_sample(name):
    with refused(r"Y has 3 dimensions, shape \(8, 5, 4\): \(n, d\) is needed"):
        MEASURES[name](GOOD, TOKENS, k=2)


@pytest.mark.parametrize("name", MEASURES)
def test_only_measures_that_compare_feature_by_feature_need_equal_widths(name):
    if name in NEED_EQUAL_WIDTHS:
        with refused("has d=[43] features but [XY] has d=[34]: .* equal widths"):
            MEASURES[name](GOOD, GOOD[:, :3], k=2)
    else:
        assert np.isfinite(MEASURES[name](GOOD, GOOD[:, :3], k=2))


def test_masked_entries_are_not_read_as_numbers():
    mask = np.zeros(GOOD.shape, bool)
    plain = np.ma.masked_array(GOOD, mask.copy())
    assert MEASURES["cka"](plain, GOOD) == pytest.approx(1)
    mask[3, 1] = True
    masked = np.ma.masked_array(GOOD, mask)
    with refused("Y has a masked entry at row 3, column 1: leave such rows out"):
        MEASURES["cka"](GOOD, masked)
    with refused("Y has a masked entry at row 3, column 1: leave such rows out"):
        MEASURES["cka"](GOOD, list(masked))
    with refused("1 has a masked entry at row 3, column 1"):
        alignment_grid(np.ma.stack([plain, masked], 1), ["cka"])


def test_tensors_are_refused_like_arrays():
    with refused("Y holds nan at row 2, column 1"):
        MEASURES["cka"](torch.tensor(GOOD), torch.tensor(with_value(np.nan)))
    with refused("X holds complex"):
        MEASURES["cka"](torch.tensor(GOOD) + 1j, GOOD)


# Masks


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"x_mask": TOKEN_MASK[:, :3]}, r"mask of X has shape \(8, 3\), its features \(8, 5, 4\)"),
        ({"x_mask": TOKEN_MASK[0]}, r"mask of X has shape \(5,\)"),
        ({"y_mask": TOKEN_MASK}, r"mask of Y has shape \(8, 5\), its features \(8, 7, 4\)"),
        ({"x_mask": np.arange(8)[:, None] * np.ones(5) != 2}, "mask of X leaves no token of row 2"),
    ],
    ids=["shape", "1-d", "side", "empty"],
)
def test_wrong_masks(masks, message):
    with refused(message):
        MEASURES["max_sim_tp"](TOKENS, PATCHES, **masks)


def test_a_mask_of_what_has_no_tokens():
    with refused(r"mask of X has shape \(8, 4\), its features \(8, 4\)"):
        MEASURES["max_sim_tp"](GOOD, GOOD, x_mask=np.ones((8, 4), bool))


def test_a_mask_of_an_unknown_layer():
    with refused("masks names the layer 'c'; known: a, b"):
        alignment_grid({"a": TOKENS, "b": PATCHES}, ["max_sim_tp"], masks={"c": TOKEN_MASK})


# Settings


@pytest.mark.parametrize("k", [8, 9, 1000])
@pytest.mark.parametrize("name", USE_K)
def test_as_many_neighbours_as_samples(name, k):
    with refused(f"k={k} must be less than n=8"):
        MEASURES[name](GOOD, GOOD, k=k)


def test_measures_without_neighbours_take_any_k():
    assert MEASURES["cka"](GOOD, GOOD, k=100) == pytest.approx(1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("k", value) for value in (0, -1, 2.5, "3", None)),
        *(("q", value) for value in (0, -3, 1.5)),
        *(("variance", value) for value in (0, -0.1, 1.01, float("nan"))),
        *(("threshold", value) for value in (0, -1.0, float("inf"), float("nan"))),
        *(("penalty", value) for value in (0, -1e-3, float("inf"), float("nan"))),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["cka", "mknn"])
def test_settings_out_of_their_range(name, setting, value):
    """Also where the measure does not use them: a mistyped setting is one."""
    with refused(f"{setting}={value!r} must"):
        MEASURES[name](GOOD, GOOD, **{setting: value})
    with refused(f"{setting}={value!r} must"):
        alignment_grid({"a": GOOD, "b": GOOD}, [name], **{setting: value})


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert Settings(k=np.int64(3), q=np.int32(2)).k == 3


def test_a_penalty_that_leaves_the_regression_singular():
    twice = np.hstack([GOOD, GOOD])
    for X in (twice[:, :5], twice, np.tile(twice, 2)):
        with refused("penalty=1e-30 is too small for X"):
            MEASURES["r2"](X, GOOD, penalty=1e-30)


def test_an_unknown_setting():
    for call in (
        lambda: MEASURES["cka"](GOOD, GOOD, neighbours=3),
        lambda: alignment_grid({"a": GOOD, "b": GOOD}, ["cka"], neighbours=3),
    ):
        with pytest.raises(TypeError, match="neighbours"):
            call()


# Grids


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": {}}, "features is empty"),
        ({"measures": []}, "measures is empty"),
        ({"pairs": []}, "pairs is empty"),
        ({"features": {"a": GOOD}}, "pairs is empty"),
        ({"measures": ["cka", "ckaa"]}, "unknown measure 'ckaa'; known: cka, "),
        ({"pairs": [("a", "b"), ("a", "z")]}, "unknown layer 'z'; known: a, b"),
        ({"features": {"a": GOOD, "b": GOOD[:-1]}}, "a has n=8 samples but b has n=7"),
        ({"features": {"a": GOOD, "b": with_value(np.nan)}}, "b holds nan at row 2, column 1"),
        ({"null": "bootstrap"}, "unknown null 'bootstrap'; known: None, 'exact', 'permutation'"),
        ({"null": "exact", "measures": ["cka", "svcca"]}, "null='exact': svcca has no closed form"),
        ({"null": "permutation", "measures": ["wasserstein"]}, "null='permutation': wasserstein does not"),
        *(({"null": "permutation", "permutations": n}, f"permutations={n} must") for n in (0, -1, 1, 2.5)),
        *(({"alpha": alpha, "null": "exact"}, f"alpha={alpha} must") for alpha in (0, 1, -0.1, 1.5)),
        ({"null": "permutation", "blocks": [0] * 3 + [1] * 5}, "blocks have from 3 to 5 samples"),
        *(({"null": n, "blocks": [0, 1] * 4}, f"blocks .* not for null={n!r}") for n in (None, "exact")),
        ({"null": "exact", "within": [0, 1] * 4}, "within is for null='permutation'"),
        ({"null": "permutation", "within": range(8)}, "8 labels of one sample each"),
        ({"null": "permutation", "within": [0, 1] * 3}, r"within has shape \(6,\): \(8,\) is needed"),
        ({"null": "permutation", "within": [0, 1] * 4, "blocks": [0, 1] * 4}, "give one of them"),
        ({"null": "permutation", "blocks": range(7)}, r"blocks has shape \(7,\): \(8,\) is needed"),
        ({"measures": ["mknn"], "k": 8}, "k=8 must be less than n=8"),
        ({"pairs": ["ab"]}, "pairs holds 'ab': two names"),
        ({"pairs": [("a", "b"), ("a",)]}, r"pairs holds \('a',\): two names"),
        ({"device": "meta"}, "device='meta' cannot be used"),
        ({"measures": ["cka", "mknn", "cka"], "k": 2}, "measures names 'cka' 2 times"),
        ({"features": GOOD}, r"features has shape \(8, 4\): a mapping of names"),
        ({"features": np.ones((3, 8, 8, 4))}, r"features has shape \(3, 8, 8, 4\): a mapping of names"),
        ({"features": np.stack([GOOD] * 8)}, r"shape \(8, 8, 4\): as \(n, layers, d\) these are 8 layers of 8"),
        ({"features": torch.ones(12, 512, 1)}, r"512 layers of 12 samples; if it is .*swapaxes"),
        ({"features": []}, "features is empty"),
        ({"features": "ab"}, "features is a str: a mapping of names"),
        ({"features": [GOOD, GOOD[:, 0]]}, r"item 1 of features is of shape \(8,\)"),
        ({"features": [GOOD.tolist()] * 2}, "item 0 of features is a list: an array"),
    ],
    ids=str,
)
def test_what_a_grid_refuses(wrong, message):
    with refused(message):
        alignment_grid(**{"features": {"a": GOOD, "b": GOOD[:, ::-1]}, "measures": ["cka"]} | wrong)


# Memory

NARROW = ("cka", "unbiased_cka", "r2_ols")  # from covariances, where there are many more samples than features
NEIGHBOURS = tuple(name for name, measure in MEASURES.items() if measure.uses_k)  # in blocks of samples


@pytest.mark.parametrize(
    ("name", "null"),
    [
        (name, None)
        for name in MEASURES
        if name not in ("svcca", "cca", "pwcca", "cosine", *MATRIX_FREE, *NARROW, *NEIGHBOURS)
    ]
    + [("cosine", "exact")],
)
def test_matrices_that_do_not_fit_are_refused_before_they_are_made(name, null, monkeypatch):
    monkeypatch.setattr(layers, "available_bytes", lambda device: 60e9)
    X = np.random.default_rng(0).standard_normal((100_000, 3)).astype(np.float32)
    with pytest.raises(
        MemoryError,
        match=r"n=100000 samples need about \d{2,4}\.0 GB .* 60\.0 GB .*random subset .*subsample=\d+000\)",
    ):
        alignment_grid({"a": X, "b": X[:, ::-1]}, [name], null=null)


def test_neighbours_that_do_not_fit_are_refused_before_they_are_found(monkeypatch):
    monkeypatch.setattr(layers, "available_bytes", lambda device: 1e6)
    X = np.random.default_rng(0).standard_normal((100_000, 3)).astype(np.float32)
    with pytest.raises(MemoryError, match="the k=10 neighbours of n=100000 samples in 2 layers need about"):
        alignment_grid({"a": X, "b": X[:, ::-1]}, ["mknn"])


@pytest.mark.parametrize("name", ["svcca", "cca", "procrustes"])
def test_the_measures_that_the_memory_error_names_need_no_such_matrix(name, monkeypatch):
    monkeypatch.setattr(layers, "available_bytes", lambda device: 8 * GOOD.size * 2)
    assert MEASURES[name](GOOD, GOOD) == pytest.approx(1)
    monkeypatch.setattr(layers, "available_bytes", lambda device: 0)
    with pytest.raises(MemoryError, match=r"the (Gram matrix of X|factors of 2 layers) of n=8 samples"):
        MEASURES[name](np.hstack([GOOD, GOOD]), GOOD)


def test_many_ties_must_fit_as_well(monkeypatch):
    one_hot = np.eye(4)[np.arange(40) % 4]
    assert MEASURES["mknn"](one_hot, one_hot, k=3) == 1
    monkeypatch.setattr(layers, "available_bytes", lambda device: 10 * torch.get_num_threads() * 40**2)
    with pytest.raises(MemoryError, match="tied neighbours of n=40 samples"):
        MEASURES["mknn"](one_hot, one_hot, k=3)


def test_the_free_memory_is_that_of_the_machine():
    import os

    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.001 * whole < layers.available_bytes(torch.device("cpu")) <= whole


@pytest.mark.parametrize("name", [name for name in MEASURES if MEASURES[name].moments is None])
def test_an_exact_null_without_a_closed_form_names_the_measures_with_one(name):
    known = ", ".join(measure.name for measure in MEASURES.values() if measure.moments)
    with refused(f"null='exact': {name} has no closed form; those that have one: {known}"):
        alignment_grid({"a": GOOD, "b": GOOD}, [name], null="exact", k=2)
