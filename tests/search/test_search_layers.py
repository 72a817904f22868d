"""A count, a centre and a spread always lead to layers that can be; every choice that can be reached is found."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilbert_lib.config import ARCHITECTURES, arrange, profile
from vilbert_lib.search import layer_ids, support
from vilbert_lib.search.space import centers, counts, ranges, settings_of, spreads

LAYERS = 12


@given(st.integers(1, 24), st.data())
def test_any_setting_leads_to_as_many_distinct_layers_of_the_stream(num_layers, data):
    count = data.draw(st.integers(1, num_layers))
    center = data.draw(st.floats(0, num_layers - 1))
    spread = data.draw(st.floats(0.01, 10 * num_layers))
    ids = layer_ids(count, center, spread, num_layers)
    assert len(ids) == count and list(ids) == sorted(set(ids))
    assert ids[0] >= 0 and ids[-1] < num_layers
    layer_ids.cache_clear()
    assert layer_ids(count, center, spread, num_layers) == ids


def test_one_layer_lies_at_the_centre_and_more_lie_around_it():
    assert [layer_ids(1, center, 0.5, LAYERS) for center in (1.0, 6.0, 10.0)] == [(1,), (6,), (10,)]
    assert layer_ids(3, 7.0, 0.5, LAYERS) == (6, 7, 8)
    assert layer_ids(4, 6.0, 2.5, LAYERS) == (3, 5, 7, 9)
    assert layer_ids(3, 0.0, 0.5, LAYERS) == (0, 1, 2) and layer_ids(3, 11.0, 0.5, LAYERS) == (9, 10, 11)


@pytest.mark.parametrize("num_layers", [1, 4, LAYERS])
def test_the_support_is_what_the_settings_lead_to_and_all_of_it(num_layers):
    settings = list(product(counts(num_layers), centers(num_layers), spreads(num_layers)))
    found = support(num_layers)
    assert sum(map(len, found.values())) == len(settings)
    for ids, ways in found.items():
        assert all(layer_ids(*way, num_layers) == ids for way in ways)
    assert {layer_ids(*setting, num_layers) for setting in settings} == set(found)


def test_the_thesis_architectures_can_be_found_and_two_named_ones_cannot():
    """The baseline has no block; the layers 5, 6 and 9 lie closer on one side than a normal distribution does."""
    found = support(LAYERS)
    for count in counts(LAYERS):  # all neighbours can be found
        assert {tuple(range(i, i + count)) for i in range(LAYERS - count + 1)} <= set(found)
    missing = {name for name, ids in ARCHITECTURES.items() if not all(stream in found for stream in ids)}
    assert {"baseline", "spread_fusion"} <= missing
    assert not missing & {name for name in ARCHITECTURES if name.startswith(("early", "middle", "late", "optuna"))}


@given(st.data())
def test_every_point_of_the_space_is_a_model_that_can_be_made(data):
    space = ranges(("placement", "training"), profile("quick"))
    parameters = {}
    for name, values in space.items():
        if hasattr(values, "choices"):
            parameters[name] = data.draw(st.sampled_from(values.choices))
        elif values.step:
            steps = round((values.high - values.low) / values.step)
            parameters[name] = type(values.low)(values.low + values.step * data.draw(st.integers(0, steps)))
        else:
            parameters[name] = data.draw(st.floats(values.low, values.high))
    settings = settings_of(parameters, profile("quick"), "baseline")
    placed = arrange(profile("quick").model, settings["architecture"])
    assert len(placed.t_biattention_ids) == parameters["num_coattn_layers"]
    assert set(settings["train"]) == {"lr", "epochs"} and set(settings["model"]) == {"dropout", "fusion"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ((0, 3.0, 1.0, 12), "count 0 must lie in 1..12"),
        ((13, 3.0, 1.0, 12), "count 13 must lie in 1..12"),
        ((2, -0.5, 1.0, 12), r"center -0.5 must lie in 0..11"),
        ((2, 3.0, 0.0, 12), "spread 0.0 be positive"),
    ],
)
def test_a_setting_that_cannot_be_is_named(setting, message):
    with pytest.raises(ValueError, match=message):
        layer_ids(*setting)
