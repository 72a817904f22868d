"""Alignment batch by batch is that of all samples at once."""

import numpy as np
import pytest
import torch

from vilbert_lib.metrics import StreamingAlignment, alignment_grid

MEASURES = ["cka", "unbiased_cka", "r2_ols", "procrustes", "svcca", "cca"]


def layers(n: int = 300, count: int = 6) -> dict[str, torch.Tensor]:
    """Layers that share something, of scales from 1e-4 to 1e4, some far from 0."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((n, 4))
    made = {}
    for i in range(count):
        x = common @ rng.standard_normal((4, 3 + i)) + rng.standard_normal((n, 3 + i))
        made[f"l{i}"] = torch.from_numpy(10.0 ** rng.integers(-4, 5) * x + 100 * (i % 2))
    return made


def streamed(features: dict[str, torch.Tensor], sizes: list[int]) -> StreamingAlignment:
    metric = StreamingAlignment(MEASURES)
    parts = zip(*(x.split(sizes) for x in features.values()), strict=True)
    for part in parts:
        metric.update(dict(zip(features, part, strict=True)))
    return metric


@pytest.mark.parametrize("sizes", [[300], [1] * 300, [200, 7, 93]])
def test_batches_give_the_values_of_all_samples(sizes):
    features = layers()
    expected = alignment_grid(features, MEASURES)
    found = streamed(features, sizes).compute()
    assert found[["x", "y", "measure"]].equals(expected[["x", "y", "measure"]])
    assert np.abs(found.value - expected.value).max() < 1e-9


def test_merged_metrics_and_gathered_states_give_the_same():
    features = layers()
    halves = [{name: x[part] for name, x in features.items()} for part in (slice(0, 120), slice(120, None))]
    one, other = (streamed(half, [len(half["l0"])]) for half in halves)
    states = {name: torch.stack([getattr(m, name) for m in (one, other)]) for name in one._defaults}
    expected = alignment_grid(features, MEASURES).value
    one.merge(other)
    assert np.abs(one.compute().value - expected).max() < 1e-9
    for name, value in states.items():  # as torchmetrics leaves them after gathering
        setattr(other, name, value.reshape(2) if name == "count" else value)
    other._computed = None
    assert np.abs(other.compute().value - expected).max() < 1e-9


def test_a_dead_layer_is_nan_and_leaves_the_others():
    features = layers() | {"dead": torch.full((300, 3), 0.1, dtype=torch.float64)}
    found = streamed(features, [100] * 3).compute()
    dead = (found.x == "dead") | (found.y == "dead")
    assert (found.value.isna() == dead).all()


def test_single_precision_features_and_a_reset():
    features = {name: x.float() for name, x in layers().items()}
    metric = streamed(features, [64, 236])
    expected = alignment_grid({name: x.double() for name, x in features.items()}, MEASURES).value
    assert np.abs(metric.compute().value - expected).max() < 1e-9
    metric.reset()
    with pytest.raises(ValueError, match="0 samples so far"):
        metric.compute()
    metric.update({name: x[:50] for name, x in features.items()})
    again = alignment_grid({name: x[:50].double() for name, x in features.items()}, MEASURES).value
    assert np.abs(metric.compute().value - again).max() < 1e-9


def test_what_is_refused():
    with pytest.raises(ValueError, match="'mknn' cannot be streamed; those that can: cka"):
        StreamingAlignment(["mknn"])
    x = torch.randn(5, 2)
    with pytest.raises(ValueError, match="pairs names the layer 'c'; known: a, b"):
        StreamingAlignment(pairs=[("a", "c")]).update({"a": x, "b": x})
    metric = StreamingAlignment()
    metric.update({"a": x, "b": x})
    for batch, message in (
        ({"a": x}, "the batch has the layers a, earlier ones a, b"),
        ({"a": x, "b": x[:4]}, r"b has shape \(4, 2\): \(5, 2\) is needed"),
        ({"a": x, "b": x / 0}, "b holds values that are not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.update(batch)
