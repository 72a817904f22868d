"""Layer profiles over n and k, and how they agree."""

import numpy as np
import pandas as pd
import pytest
import torch

from vilbert_lib.analysis.sample_size import agreement, layer_profile, profiles_over_k, profiles_over_n
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
        assert row.value == pytest.approx(wanted, abs=1e-10)


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


def test_profiles_over_k(features):
    profiles = profiles_over_k(features, [2, 29])
    assert profiles.k.tolist() == [2] * 11 + [29] * 11
    assert (profiles.measure == "mknn").all()
    assert (profiles[profiles.k == 29].value == 1).all()
    assert profiles[profiles.k == 2].value.tolist() == layer_profile(features, ["mknn"], 2).value.tolist()


def frame(measure: str, values: list[float], **columns) -> pd.DataFrame:
    return pd.DataFrame({"layer": range(len(values)), "measure": measure, "value": values}).assign(**columns)


def test_agreement_is_a_correlation_over_layers():
    reference = pd.concat([frame("cka", [1.0, 2, 3]), frame("rsa", [3.0, 1, 2])])
    profiles = pd.concat(
        [
            frame("cka", [3.0, 5, 7], n=8),
            frame("cka", [1.0, 3, 2], n=16),
            frame("rsa", [-3.0, -1, -2], n=8),
            frame("cka", [1.0, 2, 9], n=32),
        ]
    )
    found = agreement(profiles, reference, ["measure", "n"]).set_index(["measure", "n"])
    assert list(found.columns) == ["pearson", "spearman", "p"]
    assert found.loc[("cka", 8), ["pearson", "spearman"]].tolist() == pytest.approx([1, 1])
    assert found.loc[("cka", 16), ["pearson", "spearman"]].tolist() == pytest.approx([0.5, 0.5])
    assert found.loc[("rsa", 8), ["pearson", "spearman"]].tolist() == pytest.approx([-1, -1])
    assert (
        found.loc[("cka", 32), "pearson"] == pytest.approx(8 / np.sqrt(2 * 38)) and found.spearman["cka", 32] == 1
    )
    # Three points: t with one degree of freedom, p = 1 - 2 atan(t)/pi at t = .5/sqrt(.75).
    assert found.p["cka", 16] == pytest.approx(1 - 2 / np.pi * np.arctan(0.5 / np.sqrt(0.75)))


def test_layers_are_matched_by_number_not_by_place():
    reference = frame("cka", [1.0, 2, 3])
    found = agreement(frame("cka", [1.0, 2, 3], n=8)[::-1], reference, ["n"])
    assert found.pearson.tolist() == pytest.approx([1])
