"""Chance levels: exact moments against all permutations, and p and calibrated values worked out by hand."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from made_features import pair
from scipy import stats

from vilbert_lib.metrics import MEASURES, alignment_aggregates, alignment_grid, calibration
from vilbert_lib.metrics import layers as layers_module
from vilbert_lib.metrics.layers import Layers, Settings
from vilbert_lib.metrics.neighbours import Neighbours, mknn_moments
from vilbert_lib.metrics.stacks import SymmetricStack, permutation_moments

CLOSED = [name for name in MEASURES if MEASURES[name].moments]
MEAN_ONLY = ("jaccard", "cycle_knn")
PAIRED = [name for name in MEASURES if MEASURES[name].paired]
SIGN = {name: -1 if MEASURES[name].direction == "distance" else 1 for name in MEASURES}


def three_layers(n: int = 12, d: int = 4) -> dict[str, np.ndarray]:
    return {"x": pair(5, n, d, d)[0], "y": pair(5, n, d, d)[1], "z": pair(6, n, d, d)[0]}


def codes(n: int = 12, d: int = 4) -> dict[str, np.ndarray]:
    """Layers of ones and zeros, with equal rows and many ties."""
    return {name: (x > 0.3).astype(float) for name, x in three_layers(n, d).items()}


def features_of(kind: str, name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Widths differ where a measure allows it."""
    X, Y = pair(3, n, 3, 3 if name == "cosine" else 6)
    if kind == "uneven":
        X[1] *= 8
        Y[:, 0] *= 5
    else:
        X[1], Y[3] = X[0], Y[2]
    return X, Y


# Moments in closed form


CASES = [
    (name, n, k, kind)
    for name in CLOSED
    for n, k in ((4, 2), (5, 2), (5, 4))
    for kind in ("uneven", "equal rows")
    # Only neighbours depend on k, and their closed forms are those of lists without ties.
    if (kind == "uneven" if MEASURES[name].uses_k else k == 2)
]


@pytest.mark.parametrize(("name", "n", "k", "kind"), CASES)
def test_exact_moments_are_those_of_all_permutations(name, n, k, kind):
    X, Y = features_of(kind, name, n)
    for first, second in ((X, Y),) if MEASURES[name].symmetric else ((X, Y), (Y, X)):
        orders = [list(order) for order in permutations(range(n))]
        values = np.array([MEASURES[name](first, second[order], k=k) for order in orders])
        row = alignment_grid({"first": first, "second": second}, [name], null="exact", k=k).iloc[0]
        assert row.chance == pytest.approx(values.mean(), abs=1e-9)
        if name in MEAN_ONLY:
            assert np.isnan([row.chance_sd, row.p, row.calibrated]).all()
        else:
            # A root of a rounding where all permutations give one value.
            assert row.chance_sd == pytest.approx(values.std(), rel=1e-7, abs=1e-7)


def of_all_orders(name: str, features: dict, **settings) -> tuple[np.ndarray, float, float]:
    """Values of the first two layers in all orders of the second, by what was prepared once, and the moments."""
    measure = MEASURES[name]
    state = measure.prepare(Layers(features, Settings(**settings)))
    x, y = torch.tensor([[0], [1]])
    orders = [torch.tensor(order) for order in permutations(range(len(next(iter(features.values())))))]
    values = torch.cat([measure.compare(state, state.permuted(order), x, y) for order in orders]).numpy()
    return values, *(float(moment) for moment in measure.moments(state, state, x, y))


@pytest.mark.parametrize("name", CLOSED)
def test_exact_moments_of_six_samples(name):
    """Another n shows a wrong power of n."""
    X, Y = features_of("uneven", name, 6)
    values, mean, deviation = of_all_orders(name, {"X": X, "Y": Y}, k=3)
    assert mean == pytest.approx(values.mean(), abs=1e-9)
    if name not in MEAN_ONLY:
        assert deviation == pytest.approx(values.std(), rel=1e-7)


def tied(n: int) -> np.ndarray:
    """One-hot codes of three classes, the first with two samples more: the nearest neighbours are tied."""
    return np.eye(3)[[0, 0, 0, *np.arange(n - 3) % 3]]


@pytest.mark.parametrize("name", ["mknn", *MEAN_ONLY])
def test_exact_moments_with_ties_in_one_layer_are_those_of_all_permutations_of_the_other(name):
    other = pair(0, 6, 3, 3)[0]
    values, *_ = of_all_orders(name, {"x": tied(6), "y": other}, k=2)
    row = alignment_grid({"x": tied(6), "y": other}, [name], null="exact", k=2).iloc[0]
    assert row.chance == pytest.approx(values.mean(), abs=1e-9)
    if name == "mknn":
        assert row.chance_sd == pytest.approx(values.std(), rel=1e-7)


def test_ties_in_both_layers_leave_no_exact_chance_level():
    names, n = ["mknn", *MEAN_ONLY, "cka"], 30
    layers = {"x": tied(n), "y": tied(n)[::-1].copy(), "z": pair(0, n, 4, 4)[0]}
    with pytest.warns(UserWarning, match="^mknn, jaccard, cycle_knn: .* 1 of 3 pairs, the first x and y") as said:
        frame = alignment_grid(layers, names, null="exact", k=4)
    assert len(said) == 1 and "use null='permutation'" in str(said[0].message)
    unknown = frame[["chance", "chance_sd", "p", "calibrated"]].isna().all(axis=1)
    assert (unknown == ((frame.x + frame.y == "xy") & (frame.measure != "cka"))).all()
    assert frame.value.notna().all()


def test_ties_that_do_not_decide_who_is_a_neighbour_leave_the_chance_level_exact():
    """Twins are each other's nearest, equally near to all others: with k = 1 none is at the edge."""
    twins = [np.repeat(x, 2, 0) for x in pair(0, 10, 4, 4)]
    for k, known in ((1, True), (2, False)):  # the second and the third neighbour are twins
        frame = alignment_grid(dict(zip("xy", twins, strict=True)), ["mknn"], null="exact", k=k)
        assert frame.p.notna().all() == known


# More samples than integers can count


@pytest.mark.parametrize("n", [7134, 3_000_000])
def test_moments_of_so_many_samples_that_integers_overflow(n):
    """Gram matrices of halves coded +1 and -1: their product is a squared count, which is hypergeometric."""
    diagonal = torch.ones(1, n, dtype=torch.float64)
    halves = SymmetricStack(diagonal, torch.tensor([float(n) * (n - 1)], dtype=torch.float64), torch.empty(1, 0))
    mean, deviation = permutation_moments(halves, halves)
    common = np.arange(n // 2 + 1)
    chance = stats.hypergeom(n, n // 2, n // 2).pmf(common)
    products = (4.0 * common - n) ** 2
    assert float(mean) == pytest.approx(chance @ products, rel=1e-6)
    assert float(deviation) == pytest.approx((chance @ (products - chance @ products) ** 2) ** 0.5, rel=1e-5)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (70_000, 2)])
def test_moments_of_neighbours_of_so_many_samples_that_integers_overflow(n, k):
    """Each sample's neighbours are the next ones in a circle; the counts of Mantel 1967 as fractions."""
    following = (torch.arange(n)[:, None] + torch.arange(1, k + 1)) % n
    circle = Neighbours(following[None], torch.ones(1, n, k), (), torch.tensor([False]))
    entries, row, chained = n * k, n * k * (k - 1), n * k * k
    ways = [n * (n - 1)] * 2 + [n * (n - 1) * (n - 2)] * 3
    counts = [(entries, 1), (0, 1), (row, 1), (row, 1), (chained, 2)]  # none is mutual
    second = sum(Fraction(c * c * times, w) for (c, times), w in zip(counts, ways, strict=True))
    rest = entries**2 - sum(c * times for c, times in counts)
    second += Fraction(rest**2, n * (n - 1) * (n - 2) * (n - 3))
    place = torch.tensor([0])
    mean, deviation = mknn_moments(circle, circle, place, place)
    assert float(mean) == pytest.approx(k / (n - 1))
    variance = float(second - Fraction(n * k * k, n - 1) ** 2) / (n * k) ** 2
    assert float(deviation) == pytest.approx(variance**0.5, rel=1e-6)


def test_known_levels():
    n, k = 12, 3
    table = alignment_grid(three_layers(n), CLOSED, null="exact", k=k).set_index("measure")
    assert table.chance["mknn"].to_numpy() == pytest.approx(k / (n - 1))
    assert table.chance["unbiased_cka"].to_numpy() == pytest.approx(0)
    assert table.chance_sd["unbiased_cka"].to_numpy() == pytest.approx((2 / (n * (n - 3))) ** 0.5)
    assert table.chance["rsa"].to_numpy() == pytest.approx(0)
    assert table.chance["r2_ols"].to_numpy() == pytest.approx(4 / (n - 1))


@pytest.mark.parametrize("name", [name for name in MEASURES if MEASURES[name].skewness])
def test_exact_skewness_is_that_of_all_permutations(name):
    X, Y = features_of("uneven", name, 7)
    features = {"X": X, "Y": Y}
    values, *_ = of_all_orders(name, features, k=3)
    measure = MEASURES[name]
    state = measure.prepare(Layers(features, Settings(k=3)))
    skewness = float(measure.skewness(state, state, *torch.tensor([[0], [1]])))
    assert skewness == pytest.approx(stats.skew(values), rel=1e-7)


@pytest.mark.parametrize("name", ["cka", "unbiased_cka", "r2_ols"])
def test_the_skewness_of_many_samples_is_its_limit(name, monkeypatch):
    """What is computed without matrices of n x n comes close to the exact skewness."""
    features = {"X": pair(1, 400, 3, 3)[0] ** 3, "Y": pair(2, 400, 3, 3)[1]}
    measure, places = MEASURES[name], torch.tensor([[0], [1]])
    exact, limit = [], []
    for found, most in ((exact, 2048), (limit, 1)):
        monkeypatch.setattr(layers_module, "MANY", most)
        state = measure.prepare(Layers(features))
        found.append(float(measure.skewness(state, state, *places)))
    assert limit[0] != exact[0]
    assert limit[0] == pytest.approx(exact[0], rel=0.1)


@pytest.mark.parametrize("name", [name for name in CLOSED if name not in MEAN_ONLY])
def test_p_of_the_moments(name):
    """Pearson type III where the skewness is known, else Cantelli's bound; the bound is a column too."""
    for seed in range(4):
        X, Y = pair(seed, 6, 3, 3)
        row = alignment_grid({"X": X, "Y": Y}, [name], null="exact", k=2).iloc[0]
        values, mean, deviation = of_all_orders(name, {"X": X, "Y": Y}, k=2)
        assert (values >= row.value - 1e-9).mean() <= row.p_bound + 1e-9
        z = (row.value - mean) / deviation
        assert row.p_bound == pytest.approx(1 / (1 + max(0, z) ** 2))
        known = MEASURES[name].skewness
        fitted = stats.pearson3.sf(z, stats.skew(values)) if known else row.p_bound
        assert row.p == pytest.approx(fitted, abs=1e-6)


@pytest.mark.parametrize("name", ["cka", "unbiased_cka", "cka_rbf", "rsa", "r2", "r2_ols", "mknn", "cosine"])
def test_p_of_the_moments_is_close_to_the_share_of_permutations(name):
    for seed in range(3):
        X, Y = pair(seed, 60, 4, 4)
        layers = {"X": X, "Y": Y + 0.25 * X}
        exact = alignment_grid(layers, [name], null="exact", k=5)
        drawn = alignment_grid(layers, [name], null="permutation", permutations=999, k=5)
        assert exact.p[0] == pytest.approx(drawn.p[0], abs=0.045)  # three standard errors of a p of 0.5


def test_p_without_a_skewness_is_the_bound():
    row = alignment_grid(three_layers(5), ["cka"], null="exact").iloc[0]  # fewer than six samples
    assert row.p == row.p_bound


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("name", [name for name in CLOSED if name not in MEAN_ONLY])
def test_the_value_calibrated_by_moments(name, alpha):
    X = pair(1, 40, 4, 4)[0]
    Y = X + 0.1 * pair(2, 40, 4, 4)[0]
    row = alignment_grid({"X": X, "Y": Y}, [name], null="exact", alpha=alpha).iloc[0]
    assert row.calibrated == pytest.approx((row.value - row.threshold) / (1 - row.threshold))
    assert 0 < row.calibrated < 1
    if MEASURES[name].skewness:
        drawn = alignment_grid({"X": X, "Y": Y}, [name], null="permutation", permutations=999, alpha=alpha)
        assert row.threshold == pytest.approx(drawn.threshold[0], abs=0.3 * row.chance_sd)
    else:
        assert row.threshold == pytest.approx(row.chance + row.chance_sd * np.sqrt(1 / alpha - 1))
    apart = alignment_grid(
        {"X": X, "Y": np.random.default_rng(0).permutation(Y)}, [name], null="exact", alpha=alpha
    )
    assert apart.calibrated[0] == 0


# Permutations


def test_orders_within_labels_keep_every_label_in_its_place():
    labels = np.array(["a", "b", "a", "c", "b", "a", "a"])
    orders = [order.numpy() for order in calibration.permutations(7, 600, 0, within=labels)]
    assert all((labels[order] == labels).all() for order in orders)
    assert all(order[3] == 3 for order in orders)  # the only one of its label
    assert len({tuple(order) for order in orders}) == 24 * 2


def test_alignment_by_common_classes_is_no_alignment_within_them():
    """Layers that share the means of classes alone: rows are aligned, samples within a class are not."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    means = rng.normal(size=(4, 8))
    significant = {"rows": 0, "within": 0}
    for _ in range(40):
        layers = {name: means[labels] + 2 * rng.normal(size=(120, 8)) for name in "xy"}
        for question, options in (("rows", {}), ("within", {"within": labels})):
            frame = alignment_grid(layers, ["unbiased_cka"], null="permutation", permutations=99, **options)
            significant[question] += frame.p[0] <= 0.05
    assert significant["rows"] > 30
    assert significant["within"] <= 6  # 2 are expected, more than 6 come once in 700 times


@pytest.mark.parametrize(("make", "alpha"), [(three_layers, 0.05), (three_layers, 0.3), (codes, 0.3)])
@pytest.mark.parametrize("name", PAIRED)
def test_the_permutation_null_by_hand(name, make, alpha):
    """As STATISTICS.md defines it, from single calls with the very same orders; a distance is mirrored."""
    features, pairs = make(), [("x", "y"), ("y", "x"), ("x", "z"), ("z", "z")]
    count, best, sign = 9, MEASURES[name].best, SIGN[name]
    frame = alignment_grid(
        features, [name], pairs=pairs, null="permutation", permutations=count, alpha=alpha, seed=4, k=3
    )
    # Of a symmetric measure the layer that comes later is permuted.
    sides = [sorted(pair) if MEASURES[name].symmetric else pair for pair in pairs]
    orders = [order.numpy() for order in calibration.permutations(12, count, seed=4)]
    null = sign * np.array([[MEASURES[name](features[x], features[y][o], k=3) for x, y in sides] for o in orders])
    best_null = np.repeat(null.max(1)[:, None], len(pairs), 1)
    for end, of_null in (("", null), ("_max", best_null)):
        for i, (x, y) in enumerate(pairs):
            row, level = frame.iloc[i], of_null[:, i]
            value = sign * MEASURES[name](features[x], features[y], k=3)
            assert row[f"chance{end}"] == pytest.approx(sign * level.mean(), abs=1e-6)
            assert row[f"chance{end}_sd"] == pytest.approx(level.std(ddof=1), abs=1e-6)
            assert row[f"p{end}"] == (1 + (level >= value - 1e-6).sum()) / (count + 1)
            tau = np.sort([value, *level])[int(np.ceil((1 - alpha) * (count + 1))) - 1]
            share = 0 if value - tau < 1e-6 else (value - tau) / (sign * best - tau)
            assert row[f"calibrated{end}"] == pytest.approx(min(max(0, share), 1), abs=1e-5)


@pytest.mark.parametrize("name", [name for name in PAIRED if name not in ("cycle_knn", "r2")])
def test_identical_layers_are_calibrated_to_one(name):
    options = {"null": "permutation", "permutations": 39, "k": 3}
    frame = alignment_grid(three_layers(), [name], pairs=[("x", "x"), ("x", "z")], **options)
    assert frame.calibrated[0] == pytest.approx(1, abs=1e-5)
    assert frame.p[0] == 1 / 40


@pytest.mark.parametrize("name", PAIRED)
def test_chance_explains_the_best_of_many_more_easily(name):
    frame = alignment_grid(three_layers(), [name], null="permutation", permutations=39, k=3)
    assert (frame.p_max >= frame.p).all() and (frame.p_max > frame.p).any()
    assert (frame.calibrated_max <= frame.calibrated + 1e-9).all()
    assert frame.chance_max.nunique() == 1
    assert (SIGN[name] * (frame.chance_max - frame.chance) >= 0).all()


def test_the_permutation_null_agrees_with_the_moments():
    closed = [name for name in CLOSED if name not in MEAN_ONLY]
    exact, drawn = (
        alignment_grid(three_layers(), closed, null=null, permutations=2000, k=3)
        for null in ("exact", "permutation")
    )
    error = (drawn.chance - exact.chance).abs() / (exact.chance_sd / 2000**0.5)
    assert error.max() < 4
    np.testing.assert_allclose(drawn.chance_sd, exact.chance_sd, rtol=0.12)


def test_a_seed_fixes_the_permutations_and_all_layers_share_them():
    options = {"null": "permutation", "permutations": 19, "k": 3}
    first = alignment_grid(three_layers(), ["cka", "mknn"], **options)
    assert first.equals(alignment_grid(three_layers(), ["cka", "mknn"], **options))
    assert not first.equals(alignment_grid(three_layers(), ["cka", "mknn"], seed=1, **options))
    fewer = alignment_grid(three_layers(), ["mknn"], pairs=[("x", "z")], **options)
    row = first[(first.measure == "mknn") & (first.y == "z") & (first.x == "x")]
    columns = ["x", "y", "measure", "value", "chance", "chance_sd", "p", "calibrated"]
    pd.testing.assert_frame_equal(fewer[columns], row[columns].reset_index(drop=True))


# Orders


def test_orders_are_permutations_and_all_come():
    orders = [tuple(order.tolist()) for order in calibration.permutations(4, 600, seed=0)]
    assert len(orders) == 600 and set(orders) == set(permutations(range(4)))
    counts = pd.Series(orders).value_counts()
    assert ((counts - 25) ** 2 / 25).sum() < 49.7  # chi-square, 23 degrees of freedom, p = .001


@pytest.mark.parametrize(
    "blocks", [np.repeat(range(5), 4), np.random.default_rng(0).permutation(np.repeat(list("vwxyz"), 4))], ids=str
)
def test_blocks_change_places_as_wholes(blocks):
    rows = {label: np.flatnonzero(blocks == label) for label in blocks}
    sources = set()
    for order in calibration.permutations(20, 30, seed=0, blocks=blocks):
        order = order.numpy()
        taken = {label: blocks[order[places]][0] for label, places in rows.items()}
        assert all((order[places] == rows[taken[label]]).all() for label, places in rows.items())
        assert sorted(taken.values()) == sorted(rows)
        sources.add(tuple(taken.values()))
    assert len(sources) > 20


def test_blocks_of_one_row_are_plain_permutations():
    plain, blocked = (
        list(calibration.permutations(6, 5, seed=0, blocks=blocks)) for blocks in (None, np.arange(6))
    )
    assert all((a == b).all() for a, b in zip(plain, blocked, strict=True))


# Where no permutation changes anything


@pytest.mark.parametrize("null", ["exact", "permutation"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_no_evidence(dtype, null):
    """OLS with more features than samples, and features that are all equally far apart."""
    wide = three_layers(12, 32)
    code = {"code": 3.7 * np.eye(12), "other": 0.3 * np.eye(12)[:, :11]} | three_layers()
    for features, measures, pairs in (
        (wide, ["r2_ols", "mknn"], None),
        (code, ["cka", "cka_rbf", "unbiased_cka", "rsa", "r2"], [("code", "x"), ("code", "other"), ("code", "y")]),
    ):
        given = {name: x.astype(dtype) for name, x in features.items()}
        frame = alignment_grid(given, measures, pairs=pairs, null=null, permutations=39, k=11)
        assert frame.p.min() > 0.99
        assert frame.calibrated.max() == 0
        assert frame.chance_sd.max() < 1e-4
        np.testing.assert_allclose(frame.value, frame.chance, atol=1e-5)


# Aggregates over layers


@pytest.mark.parametrize("name", ["mknn", "procrustes_distance"])
def test_aggregates_are_those_of_the_grid_and_its_permutations(name):
    features = {f"{side}{i}": pair(10 + i, 30, 4, 4)[side == "y"] for side in "xy" for i in range(3)}
    pairs = [(f"x{i}", f"y{j}") for i in range(3) for j in range(3)]
    table = alignment_aggregates(features, [name], pairs=pairs, permutations=19, top=2, seed=3, k=5)
    found = table.set_index("aggregate")
    grid = alignment_grid(features, [name], pairs=pairs, null="permutation", permutations=19, seed=3, k=5)
    values = grid.value.to_numpy().reshape(3, 3)
    best = np.max if SIGN[name] > 0 else np.min
    assert found.value["max"] == pytest.approx(best(values))
    assert found.value["mean"] == pytest.approx(values.mean())
    assert found.value["row_max"] == pytest.approx(best(values, axis=1).mean())
    assert found.value["top_k"] == pytest.approx((SIGN[name] * np.sort(SIGN[name] * values.ravel())[-2:]).mean())
    row = grid.iloc[(SIGN[name] * grid.value).argmax()]
    for column, of_best in (("chance", "chance_max"), ("chance_sd", "chance_max_sd"), ("p", "p_max")):
        assert found[column]["max"] == pytest.approx(row[of_best])
    assert found.threshold["max"] == pytest.approx(row.threshold_max)
    assert found.calibrated["max"] == pytest.approx(row.calibrated_max)


def test_aggregates_of_layers_that_share_nothing_are_seldom_significant():
    significant = np.zeros(4)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        features = {f"l{i}": rng.standard_normal((30, 4)) for i in range(6)}
        table = alignment_aggregates(features, ["cka"], permutations=39, seed=seed)
        significant += table.p <= 0.05
    assert (significant <= 9).all()  # 3 are expected, more than 9 come once in 1,000 times


def test_what_aggregates_refuse():
    with pytest.raises(ValueError, match="unknown aggregate 'median'; known: max, row_max, mean, top_k"):
        alignment_aggregates(three_layers(), ["cka"], ["median"])
    with pytest.raises(ValueError, match="top=0 must be at least 1"):
        alignment_aggregates(three_layers(), ["cka"], top=0)
