"""A measure of one's own has what the project's measures have."""

import numpy as np
import pytest

from vilbert_lib import metrics
from vilbert_lib.metrics import MEASURES, alignment_grid, measure


@pytest.fixture(autouse=True)
def _only_here():
    before = dict(MEASURES)
    yield
    for name in set(MEASURES) - set(before):
        del MEASURES[name]


def rv(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    xy, xx, yy = (np.square(a.T @ b).sum() for a, b in ((x, y), (x, x), (y, y)))
    return xy / np.sqrt(xx * yy)


LAYERS = np.random.default_rng(0).standard_normal((40, 3, 5))


def test_a_function_has_grid_null_and_calibration():
    own = measure(rv, range=(0, 1), symmetric=True)
    options = {"null": "permutation", "permutations": 30, "seed": 1}
    frame = alignment_grid(LAYERS, ["rv", "cka"], **options)
    parts = dict(list(frame.drop(columns="measure").groupby(frame.measure)))
    mine, theirs = (parts[name].reset_index(drop=True) for name in ("rv", "cka"))
    numbers = mine.columns.difference(["x", "y"])
    assert np.allclose(mine[numbers], theirs[numbers])
    assert own(LAYERS[:, 0], LAYERS[:, 1]) == pytest.approx(mine.value[0])
    assert metrics.rv is own


def test_an_object_prepares_each_layer_once():
    class Centred:
        prepared = 0

        def prepare(self, x):
            self.prepared += 1
            return x - x.mean(0)

        def compare(self, x, y):
            return np.abs(x - y).mean()

    shared = Centred()
    measure(shared, name="difference", direction="distance", identical=0.0)
    frame = alignment_grid(LAYERS, ["difference"])
    assert shared.prepared <= 2 * LAYERS.shape[1]
    centred = LAYERS - LAYERS.mean(0)
    assert frame.value[0] == pytest.approx(np.abs(centred[:, 0] - centred[:, 1]).mean())


def test_the_unit_of_the_features_is_left():
    measure(lambda x, y: x.std() / y.std(), name="spread")
    assert metrics.spread(1000 * LAYERS[:, 0], LAYERS[:, 1]) > 500


def test_what_is_refused():
    with pytest.raises(ValueError, match="the project has a measure 'cka'"):
        measure(rv, name="cka")
    with pytest.raises(ValueError, match="'<lambda>' is no identifier"):
        measure(lambda x, y: 0)
    with pytest.raises(AttributeError, match="has no attribute 'unknown'"):
        metrics.unknown  # noqa: B018
