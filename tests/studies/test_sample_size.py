"""Layer profiles over n and k, and how they agree."""

import numpy as np
import pandas as pd
import pytest
import torch

from studies import sample_size
from studies.sample_size import (
    across_models,
    enough,
    halves,
    layer_profile,
    profiles_over_n,
    running_times,
    steadiest,
    tabulated,
    within_models,
)
from vilbert_lib.metrics import MEASURES


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(0)
    names = [f"{stream}{layer}" for stream in "tv" for layer in range(11)]
    common = torch.randn(30, 5, generator=generator)
    return {
        name: common + (i % 11 + 1) / 4 * torch.randn(30, 5, generator=generator) for i, name in enumerate(names)
    }


def test_a_profile_compares_the_layers_of_equal_number(features):
    profile = layer_profile(features, ["cka", "mknn"], k=4)
    assert list(profile.columns) == ["layer", "measure", "value"]
    assert profile.layer.tolist() == list(range(11)) * 2
    for row in profile.itertuples():
        wanted = MEASURES[row.measure](features[f"t{row.layer}"], features[f"v{row.layer}"], k=4)
        assert row.value == pytest.approx(wanted, abs=1e-5)


def test_profiles_over_n_draw_subsets_of_one_half_and_measure_the_other(features):
    profiles = profiles_over_n(features, ["cka"], [8, 10, 15], k=3, draws=2)
    assert profiles.groupby(["part", "n", "draw"]).size().to_dict() == {
        (0, 8, 0): 11,
        (0, 8, 1): 11,
        (0, 10, 0): 11,
        (0, 10, 1): 11,
        (0, 15, 0): 11,
        (1, 15, 0): 11,
    }
    first, second = (profiles[(profiles.n == 8) & (profiles.draw == draw)].value for draw in (0, 1))
    assert (first.to_numpy() != second.to_numpy()).all()


def test_a_whole_half_is_measured_as_it_is(features):
    profiles = profiles_over_n(features, ["cka", "mknn"], [15], k=3, draws=5)
    for part, half in enumerate(halves(features)):
        wanted = layer_profile(half, ["cka", "mknn"], 3).value
        np.testing.assert_allclose(profiles[profiles.part == part].value, wanted)


def made_profiles(values: dict[tuple[str, int, int, int], list[float]]) -> pd.DataFrame:
    """Profiles from ``{(model, part, n, draw): values}``; the architecture is the model's first letter."""
    return pd.concat(
        pd.DataFrame({"layer": range(len(v)), "value": v}).assign(
            model=model, architecture=model[0], measure="cka", n=n, draw=draw, part=part
        )
        for (model, part, n, draw), v in values.items()
    )


@pytest.mark.parametrize(
    ("compared", "pairs"),
    [("reference", [(8, 16), (16, 16)]), ("own", [(8, 8), (16, 16)]), ("together", [(8, 16)])],
)
def test_settings_are_compared_with_the_reference_their_own_or_together(compared, pairs):
    rng = np.random.default_rng(0)
    made = {(m, part, n, 0): list(rng.random(5)) for m in ("a0", "b0", "c0") for part in (0, 1) for n in (8, 16)}
    within, across = (f(made_profiles(made), "n", compared) for f in (within_models, across_models))
    assert list(zip(across.a, across.b, strict=True)) == pairs
    assert list(zip(within.a, within.b, strict=True)) == pairs * 3
    a, b = pairs[0]
    wanted = np.corrcoef(made["a0", 0, a, 0], made["a0", int(compared != "together"), b, 0])[0, 1]
    assert within.pearson[0] == pytest.approx(wanted)


def test_models_that_are_all_alike_have_no_agreement(recwarn):
    made = {(m, part, n, 0): [n / 2, 1.0] for m in ("a0", "b0", "c0") for part in (0, 1) for n in (8, 16)}
    made |= {(m, 1, 16, 0): [i, 1.0] for i, m in enumerate(("a0", "b0", "c0"))}
    assert across_models(made_profiles(made), "n", "reference").empty and not recwarn.list


def test_the_table_has_mean_deviation_and_an_interval_around_it():
    rng = np.random.default_rng(0)
    values = {}
    for model in ("a0", "a1", "b0", "b1", "c0"):
        whole = rng.standard_normal(12)
        values |= {(model, 1, 16, 0): list(whole), (model, 0, 8, 0): list(whole + rng.standard_normal(12))}
    within = within_models(made_profiles(values), "n", "reference")
    table = tabulated(within)
    row = table.iloc[0]
    assert len(table) == 1 and row.models == 5
    assert row.pearson == pytest.approx(within.pearson.mean()) and row.sd == pytest.approx(within.pearson.std())
    assert row.low < row.pearson < row.high and row.low >= within.pearson.min()
    assert row["p sd"] == pytest.approx(within.p.std())


def test_enough_is_the_smallest_setting_from_which_on_all_intervals_are_high():
    lows = {"steady": (0.95, 0.96, 0.97), "dips": (0.95, 0.5, 0.97), "never": (0.99, 0.99, 0.2)}
    table = pd.DataFrame(
        [
            {"measure": m, "a": a, "b": 64, "low": low}
            for m, values in lows.items()
            for a, low in zip((8, 16, 32), values, strict=True)
        ]
    )
    assert enough(table, 0.9) == {"steady": 8, "dips": 32, "never": None}


def test_the_steadiest_setting_agrees_best_with_its_own():
    table = pd.DataFrame(
        [
            {"measure": m, "a": k, "b": k, "pearson": r}
            for m, values in {"mknn": (0.4, 0.9, 0.9), "jaccard": (0.8, 0.7, 0.6)}.items()
            for k, r in zip((5, 10, 16), values, strict=True)
        ]
    )
    assert steadiest(table).a.to_dict() == {"mknn": 10, "jaccard": 5}


def test_layers_that_differ_by_chance_alone_do_not_agree():
    """A subset of the samples that it is compared with would."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(15):
        readouts, layers = torch.randn(2, 4, 16, generator=generator), {}
        for i in range(12):
            common = torch.randn(256, 4, generator=generator)
            for stream, readout in zip("tv", readouts, strict=True):
                layers[f"{stream}{i}"] = common @ readout + 3 * torch.randn(256, 16, generator=generator)
        profiles = profiles_over_n(layers, ["unbiased_cka"], [128], k=3, draws=1)
        made = profiles.assign(model="a", architecture="a")
        found.append(within_models(made, "n", "reference").pearson.item())
    assert abs(np.mean(found)) < 0.25


def test_models_without_a_value_leave_tables_without_rows():
    rows = [
        {
            "model": m,
            "architecture": m,
            "measure": "cka",
            "layer": layer,
            "draw": 0,
            "part": part,
            "n": 8,
            "value": np.nan,
        }
        for m in "ab"
        for layer in range(3)
        for part in (0, 1)
    ]
    profiles = pd.DataFrame(rows)
    within = sample_size.within_models(profiles, "n", "reference")
    tables = sample_size.tabulated(within), sample_size.across_models(profiles, "n", "reference")
    for table in (within, *tables):
        assert table.empty and {"measure", "a", "pearson"} <= set(table.columns)
    assert sample_size.enough(tables[0]) == {} and sample_size.steadiest(tables[0]).empty


def test_more_samples_than_half_of_them_are_refused(features):
    with pytest.raises(ValueError, match="n=16 is more than half of the 30 samples"):
        profiles_over_n(features, ["cka"], [8, 16], k=3, draws=1)


def test_the_thesis_times_stand_beside_the_benchmark_s():
    table = running_times().set_index("n")
    assert table["thesis, s"].to_dict() == {512: 14.12, 1536: 42.64}
    assert (table["here without Procrustes, s"] < table["here, s"]).all()
