"""Layer profiles over n and k, and how they agree."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from vilbert_lib.analysis.sample_size import (
    across_models,
    enough,
    layer_profile,
    profiles_over_k,
    profiles_over_n,
    running_times,
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


def test_profiles_over_n_draw_subsets_of_each_size(features):
    profiles = profiles_over_n(features, ["cka"], [8, 16, 30], k=3, draws=2)
    assert profiles.groupby(["n", "draw"]).size().to_dict() == {
        (8, 0): 11,
        (8, 1): 11,
        (16, 0): 11,
        (16, 1): 11,
        (30, 0): 11,
    }
    first, second = (profiles[(profiles.n == 8) & (profiles.draw == draw)].value for draw in (0, 1))
    assert (first.to_numpy() != second.to_numpy()).all()


def test_the_whole_sample_is_measured_as_it_is(features):
    whole = profiles_over_n(features, ["cka", "mknn"], [30], k=3, draws=5)
    np.testing.assert_allclose(whole.value, layer_profile(features, ["cka", "mknn"], 3).value)


def test_draws_depend_on_the_seed_alone(features):
    first, again, other = (
        profiles_over_n(features, ["cka"], [10], k=3, draws=2, seed=seed).value for seed in (0, 0, 1)
    )
    assert first.equals(again) and not first.equals(other)


def test_more_samples_than_there_are_is_refused(features):
    with pytest.raises(ValueError, match="n=31 is more than the 30 samples"):
        profiles_over_n(features, ["cka"], [8, 31], k=3, draws=1)


def test_profiles_over_k_vary_k_alone(features):
    profiles = profiles_over_k(features, ["mknn", "jaccard"], [2, 7])
    assert profiles.groupby(["measure", "k"]).size().to_dict() == {
        (measure, k): 11 for measure in ("mknn", "jaccard") for k in (2, 7)
    }
    wanted = layer_profile(features, ["jaccard"], 7).value
    np.testing.assert_array_equal(profiles.query("measure == 'jaccard' and k == 7").value, wanted)


def made_profiles(values: dict[tuple[str, int, int], list[float]]) -> pd.DataFrame:
    """Profiles from ``{(model, n, draw): values over layers}``; the architecture is the model's first letter."""
    return pd.concat(
        pd.DataFrame({"layer": range(len(v)), "value": v}).assign(
            model=model, architecture=model[0], measure="cka", n=n, draw=draw
        )
        for (model, n, draw), v in values.items()
    )


def test_within_a_model_two_settings_are_correlated_over_layers():
    whole, first, second = [1.0, 2, 3, 5], [1.0, 2, 4, 4.5], [4.0, 3, 2, 1]
    found = within_models(made_profiles({("a0", 8, 0): first, ("a0", 8, 1): second, ("a0", 16, 0): whole}), "n")
    assert found[["model", "architecture", "measure", "a", "b"]].iloc[0].tolist() == ["a0", "a", "cka", 8, 16]
    each = [stats.pearsonr(x, whole) for x in (first, second)]
    assert found.pearson[0] == pytest.approx(np.mean([r.statistic for r in each]))
    assert found.p[0] == pytest.approx(np.mean([r.pvalue for r in each]))
    assert found.spearman[0] == pytest.approx((1 - 1) / 2)
    assert len(found) == 1


def test_a_constant_profile_has_no_agreement():
    found = within_models(made_profiles({("a0", 8, 0): [1.0, 1, 1], ("a0", 16, 0): [1.0, 2, 3]}), "n")
    assert found.empty


def test_the_table_has_mean_deviation_and_an_interval_around_it():
    rng = np.random.default_rng(0)
    values = {}
    for model in ("a0", "a1", "b0", "b1", "c0"):
        whole = rng.standard_normal(12)
        values |= {(model, 16, 0): list(whole), (model, 8, 0): list(whole + rng.standard_normal(12))}
    within = within_models(made_profiles(values), "n")
    table = tabulated(within)
    row = table.iloc[0]
    assert len(table) == 1 and row.models == 5
    assert row.pearson == pytest.approx(within.pearson.mean()) and row.sd == pytest.approx(within.pearson.std())
    assert row.low < row.pearson < row.high and row.low >= within.pearson.min()
    assert row["p sd"] == pytest.approx(within.p.std())


def test_across_models_their_means_over_layers_are_correlated():
    means = {"a0": (1, 2), "a1": (2, 1), "b0": (3, 4), "b1": (5, 5), "c0": (6, 9)}
    values = {(m, n, 0): [v - 1, v + 1] for m, pair in means.items() for n, v in zip((8, 16), pair, strict=True)}
    found = across_models(made_profiles(values | {("a0", 8, 1): [90.0, 90]}), "n")
    low, high = np.array(list(means.values())).T
    assert found.pearson[0] == pytest.approx(np.corrcoef(low, high)[0, 1])
    assert found.spearman[0] == pytest.approx(stats.spearmanr(low, high).statistic)
    assert found.low[0] <= found.pearson[0] <= found.high[0] and found.models[0] == 5


def test_enough_is_the_smallest_setting_from_which_on_all_intervals_are_high():
    lows = {"steady": (0.95, 0.96, 0.97), "dips": (0.95, 0.5, 0.97), "never": (0.99, 0.99, 0.2)}
    table = pd.DataFrame(
        [
            {"measure": m, "a": a, "b": 64, "low": low}
            for m, values in lows.items()
            for a, low in zip((8, 16, 32), values, strict=True)
        ]
        + [{"measure": "steady", "a": 8, "b": 16, "low": 0.0}]
    )
    assert enough(table, 64, 0.9) == {"steady": 8, "dips": 32, "never": None}


def test_the_thesis_times_stand_beside_the_benchmark_s():
    table = running_times().set_index("n")
    assert table["thesis, s"].to_dict() == {512: 14.12, 1536: 42.64}
    assert (table["here without Procrustes, s"] < table["here, s"]).all()


def test_a_subset_agrees_with_the_whole_though_separate_samples_do_not():
    """The page's caution: these layers are equally aligned and differ by chance alone."""
    generator = torch.Generator().manual_seed(0)
    of_whole, apart = [], []
    for _ in range(15):
        readouts, layers = torch.randn(2, 4, 16, generator=generator), {}
        for i in range(12):
            common = torch.randn(256, 4, generator=generator)
            for stream, readout in zip("tv", readouts, strict=True):
                layers[f"{stream}{i}"] = common @ readout + 3 * torch.randn(256, 16, generator=generator)
        whole, others = ({name: x[part] for name, x in layers.items()} for part in (slice(128), slice(128, 256)))
        profiles = profiles_over_n(whole, ["unbiased_cka"], [64, 128], k=3, draws=1)
        of_whole.append(within_models(profiles.assign(model="a", architecture="a"), "n").pearson.item())
        other = layer_profile(others, ["unbiased_cka"], 3).value
        apart.append(np.corrcoef(other, profiles[profiles.n == 128].value)[0, 1])
    assert np.mean(of_whole) > 0.5
    assert abs(np.mean(apart)) < 0.25
