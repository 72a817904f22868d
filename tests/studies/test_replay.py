"""Searches replayed from a made placement table."""

import numpy as np
import pandas as pd
import pytest

from studies import make_placement_table, placement_effects, placement_search
from vilbert_lib import config

SCALE = config.profile("small")


def table(effect: float, noise: float) -> pd.DataFrame:
    """Two seeds of every placement, better by ``effect`` for each layer later in the image stream."""
    rng = np.random.default_rng(0)
    names = make_placement_table.placements()
    places = placement_effects.places({name: config.placement(name) for name in names}).set_index("architecture")
    rows = [
        {"architecture": name, "seed": seed, "score": effect * places.vision_centre[name] + noise * rng.normal()}
        for name in places.index
        for seed in (0, 1)
    ]
    return pd.DataFrame([*rows, {"architecture": "baseline", "seed": 0, "score": 99.0}])


def test_where_a_place_counts_tpe_finds_it_and_random_search_lags_behind():
    found = placement_search.replay(table(0.01, 0), SCALE, searches=6)
    assert len(found) == 6 * 2 * 40 and found.regret.min() >= 0
    assert (found.groupby(["sampler", "seed"]).regret.diff().dropna() <= 1e-12).all()  # judged as it was seen
    starts = found[found.trial <= 10].pivot(index=["seed", "trial"], columns="sampler", values="value")
    assert (starts.tpe == starts.random).all()
    later = found[found.trial > 20].groupby("sampler").value.mean()
    assert later["tpe"] > later["random"] + 0.01
    again = placement_search.replay(table(0.01, 0), SCALE, searches=2)
    pd.testing.assert_frame_equal(again, found[found.seed < 2].reset_index(drop=True))


def test_where_there_is_only_noise_the_choice_is_judged_by_other_seeds():
    found = placement_search.replay(table(0, 0.01), SCALE, searches=4, trials=12)
    ends = found[found.trial == 12]
    assert ends.judged.mean() < 0.01 and found.value.max() > 0.015  # of 60 the largest lies at 2.3 deviations
    budget = placement_search.by_budget(found)
    assert len(budget) == 24 and (budget.low <= budget.regret).all()
    [said] = placement_search.of_replay(found, "noise", 10)
    assert said["verdict"] != "supported" and said["n"] == 4
    assert said["estimate"] == pytest.approx(
        100 * (ends[ends.sampler == "tpe"].judged.mean() - ends[ends.sampler == "random"].judged.mean())
    )
