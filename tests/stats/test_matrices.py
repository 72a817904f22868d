"""Mantel's test against brute force."""

from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from vilbert_lib.stats import mantel


def distances(n: int, seed: int) -> np.ndarray:
    return squareform(pdist(np.random.default_rng(seed).standard_normal((n, 2))))


def related(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    a = distances(n, seed)
    return a, a + distances(n, seed + 100)


@pytest.mark.parametrize("seed", range(3))
def test_an_exact_p_equals_brute_force(seed):
    a, b = related(5, seed)
    pairs = np.triu_indices(5, 1)
    found = [np.corrcoef(a[pairs], b[np.ix_(o, o)][pairs])[0, 1] for o in map(list, permutations(range(5)))]
    result = mantel(a, b)
    assert result["r"] == pytest.approx(found[0])
    assert result["p"] == pytest.approx(np.mean(np.abs(found) >= abs(found[0]) - 1e-9))
    assert (result["n"], result["exact"]) == (5, True)


def test_whole_clusters_change_places_where_they_are_named():
    a, b = related(8, 0)
    labels = np.array(list("cabdbacd"))
    rows = [np.flatnonzero(labels == name) for name in "abcd"]
    first = np.concatenate(rows)
    pairs = np.triu_indices(8, 1)
    found = []
    for order in permutations(range(4)):
        moved = np.concatenate([rows[i] for i in order])
        found.append(np.corrcoef(a[np.ix_(first, first)][pairs], b[np.ix_(moved, moved)][pairs])[0, 1])
    result = mantel(a, b, clusters=labels)
    assert result["r"] == pytest.approx(found[0]) and result["r"] == pytest.approx(mantel(a, b)["r"])
    assert result["p"] == pytest.approx(np.mean(np.abs(found) >= abs(found[0]) - 1e-9))
    assert result["exact"]


def test_beyond_seven_models_permutations_are_drawn_and_many_pairs_go_in_parts():
    a, b = related(75, 0)  # 2 775 pairs, so 720 orders at once
    found = mantel(a, b, draws=1500)
    assert found == mantel(a, b, draws=1500) and not found["exact"]
    assert found["p"] == pytest.approx(1 / 1501)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:4], r"b has shape \(4, 5\): a square matrix"),
        (lambda b: b[:2, :2], "over at least 3 models"),
        (lambda b: b[:4, :4], "they must be over the same models"),
        (lambda b: b + np.eye(5)[[1, 0, 2, 3, 4]] * [1, 0, 0, 0, 0], "b is not symmetric"),
        (lambda b: np.where(b == b[3, 1], np.nan, b), "b holds NaN or infinity"),
        (lambda b: np.full((5, 5), 0.1) + np.diag(range(5)), "b is constant off the diagonal"),
    ],
)
def test_what_is_no_table_of_pairs_is_refused(change, message):
    a, b = related(5, 0)
    with pytest.raises(ValueError, match=message):
        mantel(a, change(b))


@pytest.mark.parametrize(
    ("labels", "message"),
    [(list("aabb"), r"shape \(4,\): \(6,\)"), (list("aaabbb"), r"\[3, 3\]"), (list("aabbbc"), r"\[2, 3, 1\]")],
)
def test_clusters_that_cannot_change_places_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        mantel(*related(6, 0), clusters=labels)
