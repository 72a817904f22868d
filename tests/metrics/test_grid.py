"""The grid of layers: the same numbers as one pair at a time, whatever the layers are."""

import re
from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_features import NEED_EQUAL_WIDTHS, tokens

from vilbert_lib.metrics import (
    MEASURES,
    alignment_grid,
    canonical,
    distances,
    grid,
    kernels,
    layers,
    neighbours,
    regression,
    shape,
    stacks,
)
from vilbert_lib.metrics.layers import Layers, Settings

ALL = list(MEASURES)
ANY_WIDTH = [name for name in ALL if name not in NEED_EQUAL_WIDTHS]
PAIRED = [name for name in ALL if MEASURES[name].paired]
NEIGHBOURS = ["mknn", "cycle_knn", "lcs_knn", "edit_knn", "jaccard", "rank"]
SETTINGS = {"k": 4, "q": 3, "variance": 0.9, "threshold": 0.7, "penalty": 0.5}


def made(widths: dict[str, int], n: int = 24) -> dict[str, np.ndarray]:
    """Layers of the given widths that share a part."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((n, 4))
    return {
        name: common @ rng.standard_normal((4, width)) + rng.standard_normal((n, width))
        for name, width in widths.items()
    }


@pytest.fixture(scope="module")
def features():
    """Four layers of different widths."""
    return made({"t0": 6, "t1": 9, "v0": 30, "v1": 5})


@pytest.fixture(scope="module")
def equal():
    """Five layers of one width, which every measure takes."""
    return made(dict.fromkeys(("a", "b", "c", "d", "e"), 6))


def pairs_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame.x, frame.y, strict=True))


# What is measured


def check_rows(frame: pd.DataFrame, features: dict) -> None:
    for row in frame.itertuples():
        wanted = MEASURES[row.measure](features[row.x], features[row.y], **SETTINGS)
        tolerance = 1e-6 if row.measure == "procrustes_distance" else 1e-10
        assert row.value == pytest.approx(wanted, rel=1e-9, abs=tolerance)


def test_a_grid_equals_single_calls(equal):
    frame = alignment_grid(equal, ALL, **SETTINGS)
    assert list(frame.columns) == ["x", "y", "measure", "value", "largest_sample", "largest_feature"]
    assert list(zip(frame.measure, frame.x, frame.y, strict=True)) == [
        (measure, x, y) for measure in ALL for x, y in combinations(equal, 2)
    ]
    check_rows(frame, equal)


def test_widths_may_differ(features):
    check_rows(alignment_grid(features, ANY_WIDTH, **SETTINGS), features)


def test_the_pairs_that_were_asked_in_their_order(equal):
    """Both directions, a layer with itself, and a pair twice."""
    pairs = [("d", "a"), ("a", "c"), ("b", "b"), ("a", "d"), ("a", "c")]
    frame = alignment_grid(equal, ALL, pairs=pairs, **SETTINGS)
    assert pairs_of(frame) == pairs * len(ALL)
    check_rows(frame, equal)
    value = frame.set_index("measure").value
    differ = [name for name in ALL if abs(value[name].iloc[0] - value[name].iloc[3]) > 1e-9]
    assert differ == [name for name in ALL if not MEASURES[name].symmetric and not name.startswith("max_sim")]


def test_token_states_and_masks():
    X, Y, x_mask, y_mask = tokens(0)
    Z, _, z_mask, _ = tokens(1, texts=3)
    states, masks = {"x": X, "y": Y, "z": Z}, {"x": x_mask, "y": y_mask, "z": z_mask}
    pairs = [("x", "y"), ("y", "x"), ("z", "y")]
    names = ["max_sim_tp", "max_sim_pt"]
    frame = alignment_grid(states, names, pairs=pairs, masks=masks)
    for row in frame.itertuples():
        wanted = MEASURES[row.measure](states[row.x], states[row.y], x_mask=masks[row.x], y_mask=masks[row.y])
        assert row.value == pytest.approx(wanted, abs=1e-12)
    some = alignment_grid(states, names, pairs=pairs, masks={"y": y_mask})
    assert (some.value - frame.value).abs().min() > 1e-3
    tp, pt = (frame[frame.measure == name].value.tolist() for name in names)
    assert tp[:2] == pt[1::-1]


def test_layers_and_measures_may_come_one_at_a_time(features):
    frame = alignment_grid(features, iter(["cka", "rsa"]), pairs=iter([("t0", "v0")]))
    assert frame.equals(alignment_grid(features, ["cka", "rsa"], pairs=[("t0", "v0")]))


def test_values_depend_on_no_other_layer_and_no_other_measure(equal):
    alone = [alignment_grid({"a": equal["a"], "d": equal["d"]}, [name], **SETTINGS).value[0] for name in ALL]
    among = alignment_grid(equal, ALL, pairs=[("a", "d")], **SETTINGS)
    np.testing.assert_allclose(among.value, alone, atol=1e-12)


@pytest.mark.parametrize("name", ANY_WIDTH)
def test_settings_reach_the_measures_that_use_them(features, name):
    others = {"k": 9, "q": 2, "variance": 0.5, "threshold": 2.0, "penalty": 5.0}
    plain = alignment_grid(features, [name], **SETTINGS)
    for setting, other in others.items():
        changed = alignment_grid(features, [name], **SETTINGS | {setting: other})
        assert changed.equals(plain) == (setting not in MEASURES[name].uses)


# What the layers may be


def test_tensors_and_arrays_may_be_mixed(equal):
    mixed = {name: torch.from_numpy(x) if name in "ac" else x for name, x in equal.items()}
    assert alignment_grid(mixed, ALL).equals(alignment_grid(equal, ALL))


def test_float32_is_kept_only_where_all_layers_came_in_it(equal):
    low = {name: x.astype(np.float32) for name, x in equal.items()}
    exact = alignment_grid({name: x.astype(float) for name, x in low.items()}, ALL)
    assert alignment_grid(low | {"c": low["c"].astype(float)}, ALL).equals(exact)
    shown = alignment_grid(low, ALL)
    assert not shown.equals(exact)
    np.testing.assert_allclose(shown.value, exact.value, atol=1e-5)
    assert layers.Layers(low).dtype == torch.float32 and layers.Layers(equal).dtype == torch.float64


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_measured_as_float32(equal, kind):
    low = {name: torch.tensor(x, dtype=kind, requires_grad=True) for name, x in equal.items()}
    as_float = {name: x.detach().float() for name, x in low.items()}
    assert alignment_grid(low, ALL).equals(alignment_grid(as_float, ALL))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.tolist(),
        lambda x: x.astype(">f8"),
        lambda x: np.asfortranarray(x),
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.repeat(x, 2, 1)[:, ::2],
    ],
    ids=["list", "big-endian", "column-major", "reversed", "strided"],
)
def test_other_forms_of_the_same_numbers(equal, change):
    wanted = alignment_grid(equal, ALL, k=4)
    assert alignment_grid({name: change(x) for name, x in equal.items()}, ALL, k=4).equals(wanted)


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_whole_numbers_are_measured_as_float64(equal, dtype):
    whole = {name: np.abs(10 * x).round() for name, x in equal.items()}
    counted = {name: x.astype(dtype) for name, x in whole.items()}
    assert alignment_grid(counted, ALL, k=4).equals(alignment_grid(whole, ALL, k=4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_input_is_not_changed(equal, dtype):
    given = {name: x.astype(dtype) for name, x in equal.items()}
    kept = {name: x.copy() for name, x in given.items()}
    alignment_grid(given, PAIRED, null="permutation", permutations=2)
    for name in ALL:
        MEASURES[name](given["a"], given["b"])
    assert all((given[name] == kept[name]).all() for name in given)


@pytest.mark.parametrize("stack", [lambda x: np.stack(x, 1), lambda x: torch.tensor(np.stack(x, 1)), list, tuple])
def test_layers_without_names_are_numbered(equal, stack):
    given = stack(list(equal.values()))
    numbered = dict(zip("01234", equal.values(), strict=True))
    assert alignment_grid(given, ALL, **SETTINGS).equals(alignment_grid(numbered, ALL, **SETTINGS))


# What dominates a layer


def test_the_largest_shares_of_one_sample_and_one_feature(equal):
    given = equal | {"tokens": np.random.default_rng(0).standard_normal((24, 3, 6))}
    frame = alignment_grid(given, ["max_sim_tp"], pairs=[("a", "b"), ("c", "tokens"), ("tokens", "tokens")])
    squares = {name: (x - x.mean(0)) ** 2 for name, x in equal.items()}
    largest = {name: ((s.sum(1) / s.sum()).max(), (s.sum(0) / s.sum()).max()) for name, s in squares.items()}
    shares = frame[["largest_sample", "largest_feature"]].to_numpy()
    assert shares[0] == pytest.approx(np.maximum(largest["a"], largest["b"]))
    assert shares[1] == pytest.approx(largest["c"])
    assert np.isnan(shares[2]).all()


def spoiled(rows=slice(None), columns=slice(None)) -> dict[str, np.ndarray]:
    layers = made({"a": 6, "b": 6}, n=200)
    layers["b"][rows, columns] *= 1000
    return layers


@pytest.mark.parametrize(
    ("given", "ids", "named"),
    [
        (spoiled(rows=7), None, r"sample 7 holds 9\d\.\d% of the variance of b:"),
        (spoiled(rows=7), [f"s{i}" for i in range(200)], "sample 's7' in row 7 holds"),
        (spoiled(columns=2), None, r"feature 2 holds 100\.0% of the variance of b:"),
    ],
    ids=["sample", "sample with id", "feature"],
)
def test_one_sample_or_feature_that_dominates_is_warned_of(given, ids, named):
    for call in (
        lambda: alignment_grid(given, ["cka", "mknn"], ids=ids),
        lambda: MEASURES["cka"](given["a"], given["b"], ids=ids),
    ):
        with pytest.warns(UserWarning) as warned:
            call()
        assert len(warned) == 1 and re.search(named.replace("of b", "of [bY]"), str(warned[0].message))


def test_ordinary_layers_are_not_warned_of(recwarn):
    """Of two features one has more than half of the variance, whatever they are."""
    alignment_grid(made({"a": 6, "b": 2, "c": 1}, n=200), ["cka", "mknn"], null="exact")
    assert not recwarn.list


# Where the work is done


@pytest.mark.parametrize("null", [None, "permutation"])
def test_matrices_that_do_not_fit_are_kept_on_disk(equal, null, monkeypatch):
    options = {"null": null, "permutations": 3, **SETTINGS}
    pairs = [*combinations(equal, 2), ("e", "a"), ("c", "c"), ("b", "a")]
    names = PAIRED if null else ALL
    whole = alignment_grid(equal, names, pairs=pairs, **options)
    for room in (10, 4 * 24**2 * 4):
        monkeypatch.setattr(stacks, "STACK_BYTES", room)
        parts = alignment_grid(equal, names, pairs=pairs, **options)
        pd.testing.assert_frame_equal(parts, whole, rtol=1e-9, atol=1e-9)


def test_matrices_on_disk_give_the_same_exact_null(equal, monkeypatch):
    names = [name for name in ALL if MEASURES[name].moments]
    whole = alignment_grid(equal, names, null="exact", k=4)
    monkeypatch.setattr(stacks, "STACK_BYTES", 10)
    pd.testing.assert_frame_equal(alignment_grid(equal, names, null="exact", k=4), whole, rtol=1e-9, atol=1e-9)


def test_what_is_on_disk_is_permuted_in_small_parts(equal, monkeypatch):
    monkeypatch.setattr(stacks, "STACK_BYTES", 10)
    counts, memmap = Counter(), np.memmap
    monkeypatch.setattr(stacks.np, "memmap", lambda *of, **how: counts.update(["made"]) or memmap(*of, **how))
    state = MEASURES["cka"].prepare(Layers(equal))
    assert counts["made"] == 1
    places = torch.tensor([*combinations(range(5), 2), (3, 3)])
    parts = list(grid._in_memory(state, places))
    assert max(len(part) for part, *_ in parts) == 2
    assert sorted(row for _, rows, _ in parts for row in rows.tolist()) == list(range(11))


def test_a_full_disk_is_refused_before_anything_is_made(equal, monkeypatch):
    monkeypatch.setattr(stacks, "STACK_BYTES", 10)
    monkeypatch.setattr(stacks.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1e3))
    with pytest.raises(MemoryError, match=r"similarity matrices of 5 layers of n=24 .*TMPDIR.*subsample="):
        alignment_grid(equal, ["cka"])


def test_float64_takes_twice_the_room(equal, monkeypatch):
    monkeypatch.setattr(stacks, "STACK_BYTES", 4 * 24 * 23 // 2 * 5)
    low = {name: x.astype(np.float32) for name, x in equal.items()}
    assert [MEASURES["cka"].prepare(Layers(x)).fitting for x in (low, equal)] == [5, 2]


@pytest.mark.parametrize("null", [None, "exact", "permutation"])
def test_every_layer_is_prepared_once(equal, null, monkeypatch):
    """Whatever is kept on disk: matrices of n x n are made and neighbours found once a layer."""
    counts = Counter()
    for owner, name in (
        (Layers, "gram"),
        (neighbours, "_nearest"),
        (kernels, "_rbf"),
        (distances, "_ranks"),
        (regression, "_left_out"),
        (shape, "_factor"),
        (canonical, "_left_vectors"),
    ):
        monkeypatch.setattr(owner, name, _counted(getattr(owner, name), counts, name))
    monkeypatch.setattr(stacks, "STACK_BYTES", 10)
    monkeypatch.setattr(layers, "CACHED_BYTES", 0)
    for name, made in (
        ("cka", "gram"),
        ("unbiased_cka", "gram"),
        ("cka_rbf", "_rbf"),
        ("rsa", "_ranks"),
        ("r2", "_left_out"),
        ("mknn", "_nearest"),
        ("svcca", "_left_vectors"),
        ("procrustes", "_factor"),
    ):
        if null != "exact" or MEASURES[name].moments:
            counts.clear()
            alignment_grid(equal, [name], null=null, permutations=3, **SETTINGS)
            assert counts[made] == len(equal), (name, counts)


def _counted(function, counts: Counter, name: str):
    def counted(*arguments):
        counts[name] += 1
        return function(*arguments)

    return counted


def test_gram_matrices_that_are_not_kept_are_made_again(equal, monkeypatch):
    whole = alignment_grid(equal, ALL)
    monkeypatch.setattr(layers, "CACHED_BYTES", 0)
    # Cosines come from the Gram matrices that are kept.
    pd.testing.assert_frame_equal(alignment_grid(equal, ALL), whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_twice_and_on_more_threads_the_same_but_for_rounding(dtype):
    given = {name: x.astype(dtype) for name, x in made(dict.fromkeys("abcdefg", 40), n=64).items()}
    threads = torch.get_num_threads()
    frames = {}
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            frames[count], again = (
                alignment_grid(given, PAIRED, null="permutation", permutations=2) for _ in range(2)
            )
            assert again.equals(frames[count])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    # How a product is cut among threads is up to the linear algebra of the machine.
    tolerance = 1e-13 if dtype == np.float64 else 1e-6
    neighbours = frames[1].measure.isin(NEIGHBOURS)
    for count in (2, 3):
        assert frames[count][neighbours].equals(frames[1][neighbours])
        pd.testing.assert_frame_equal(frames[count], frames[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("null", [None, "permutation"])
def test_neighbours_in_blocks_of_samples_are_those_of_all_at_once(null, monkeypatch):
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((60, 5)), np.eye(4)[rng.integers(0, 4, 60)]  # the second has ties
    features = {"a": X, "b": X[:, :3] + rng.standard_normal((60, 3)), "ties": labels}
    names = [name for name, measure in MEASURES.items() if measure.uses_k]
    found = {}
    for block in (neighbours.BLOCK, 60 * 7):
        monkeypatch.setattr(neighbours, "BLOCK", block)
        found[block] = alignment_grid(features, names, k=4, null=null, permutations=5)
    pd.testing.assert_frame_equal(*found.values())


def test_ranks_from_a_table_are_those_from_comparison():
    features = Layers({"a": np.random.default_rng(0).standard_normal((30, 4))}, Settings(k=3))
    near = neighbours.nearest_neighbours(features)
    itself, everyone = torch.arange(30)[:, None], torch.arange(30).expand(30, -1)
    by_table = near.ranks(0, everyone[None], itself)  # 900 entries: the table is the cheaper way
    by_comparison = torch.stack(
        [near.ranks(0, everyone[None, :, j : j + 3], itself)[0] for j in range(0, 30, 3)], 1
    )
    assert torch.equal(by_table[0], by_comparison.flatten(1))
    assert by_table.max() == 3 and (by_table > 0).sum() == 90


def test_a_subsample_is_those_rows_of_everything():
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((2, 50, 4))
    labels = pd.Series(rng.integers(0, 3, 50), index=[f"s{i}" for i in range(50)])
    ids = labels.index.to_numpy()
    rows = np.sort(np.random.default_rng(7).choice(50, 20, replace=False))
    settings = {"null": "permutation", "permutations": 5, "seed": 7}
    found = alignment_grid({"x": X, "y": Y}, ids=ids, within=labels, subsample=20, **settings)
    wanted = alignment_grid({"x": X[rows], "y": Y[rows]}, ids=ids[rows], within=labels.iloc[rows], **settings)
    pd.testing.assert_frame_equal(found, wanted)
    wanted = MEASURES["rsa"](X[rows], Y[rows])
    assert MEASURES["rsa"](X, Y, subsample=20, seed=7) == wanted  # what the MemoryError of one measure offers
    with pytest.raises(ValueError, match="within has 49 entries: there are n=50 samples"):
        alignment_grid({"x": X, "y": Y}, within=labels.to_numpy()[1:], subsample=20, **settings)
    states, mask = rng.standard_normal((50, 3, 4)), rng.random((50, 3)) < 0.7
    mask[:, 0] = True
    of_subset = MEASURES["max_sim_tp"](states[rows], X[rows], x_mask=mask[rows])
    assert MEASURES["max_sim_tp"](states, X, x_mask=mask, subsample=20, seed=7) == of_subset
    with pytest.raises(ValueError, match=r"mask of X has shape \(49, 3\), its features \(50, 3, 4\)"):
        MEASURES["max_sim_tp"](states, X, x_mask=mask[1:], subsample=20)
    with pytest.raises(ValueError, match="subsample=51 must be a whole number of samples between 4 and n=50"):
        alignment_grid({"x": X, "y": Y}, subsample=51)
