"""Effects of where blocks stand, on made tables: what was put in comes out."""

import numpy as np
import pandas as pd
import pytest

from studies import placement_effects

RNG = np.random.default_rng(4)
PLACEMENTS = {
    f"p{i}": _ids
    for i, _ids in enumerate(
        (tuple(sorted(RNG.choice(12, n, replace=False))), tuple(sorted(RNG.choice(12, n, replace=False))))
        for n in RNG.integers(1, 7, 60)
    )
} | {"baseline": ((), ())}


def table(effect: float, seed_sd: float) -> pd.DataFrame:
    """Scores of two seeds that grow by ``effect`` for each layer later in the image stream."""
    places = placement_effects.places(PLACEMENTS).set_index("architecture")
    rows = []
    for name in PLACEMENTS:
        base = 0.5 + effect * places.vision_centre.get(name, -20)
        rows += [
            {"task": "t", "architecture": name, "seed": s, "score": base + seed_sd * RNG.standard_normal()}
            for s in range(6 if name == "baseline" else 2)
        ]
    return pd.DataFrame(rows)


def test_places_are_means_and_deviations_of_layers():
    found = placement_effects.places({"a": ((1, 3), (4, 4 + 6)), "baseline": ((), ())})
    assert found.to_dict("records") == [
        {
            "architecture": "a",
            "blocks": 2,
            "text_centre": 2,
            "vision_centre": 7,
            "text_spread": 1,
            "vision_spread": 3,
        }
    ]


def test_the_regression_finds_the_term_that_counts_and_no_other():
    means = placement_effects.means_by_place(table(0.01, 0.005), PLACEMENTS, "score")
    found = placement_effects.regression(means, "score").set_index("term")
    assert len(means) == 60 and found.low["vision_centre"] < 0.01 < found.high["vision_centre"]
    assert found.p_holm["vision_centre"] < 1e-6 and (found.p_holm.drop("vision_centre") > 0.05).all()
    few = placement_effects.regression(means[:9], "score")
    assert few.estimate.isna().all() and "9 placements" in few.note[0]


def test_the_surface_is_the_quadratic_that_was_put_in():
    means = placement_effects.means_by_place(table(0, 0), PLACEMENTS, "score")
    means["score"] = 0.3 + 0.02 * means.text_centre - 0.01 * means.vision_centre**2
    found = placement_effects.surface(means, "score")
    expected = 0.3 + 0.02 * found.index.to_numpy()[:, None] - 0.01 * found.columns.to_numpy()[None] ** 2
    known = found.notna().to_numpy()
    assert np.allclose(found.to_numpy()[known], expected[known], atol=2e-3) and found.shape == (23, 23)
    assert 0.4 < known.mean() < 1 and not known[0, 0]  # no placement stands at both corners
    assert placement_effects.surface(means[:17], "score").empty


def test_a_task_counts_where_placements_differ_beyond_seeds():
    placed = pd.concat([table(0.01, 0.003).assign(task="differ"), table(0.0, 0.01).assign(task="alike")]).query(
        "architecture != 'baseline'"
    )
    found = placement_effects.reliable_tasks(placed, "score").set_index("task")
    assert found.reliable.to_dict() == {"differ": True, "alike": False} and found.icc["differ"] > 0.9
    assert placement_effects.left_out(found.reset_index())[0].endswith(": alike.")
    alone = placement_effects.reliable_tasks(placed[placed.task == "alike"], "score")
    assert alone.reliable.all() and alone.note[0].startswith("no task passes")
    verdicts = [row["verdict"] for row in placement_effects.of_reliability(found.reset_index(), "score")]
    assert (
        verdicts == ["supported", "inconclusive"] and found.low["alike"] < found.icc["alike"] < found.high["alike"]
    )
    one_seed = placement_effects.reliable_tasks(placed[placed.seed == 0], "score")
    assert one_seed.reliable.all() and placement_effects.left_out(one_seed) == []


def test_blocks_are_compared_with_none():
    found = placement_effects.beside_baseline(table(0.01, 0.001), "score").iloc[0]
    assert found.low < found.estimate < found.high and found.n == 126
    assert found.estimate == pytest.approx(0.01 * 25.5, abs=0.02)
    [said] = placement_effects.of_blocks(placement_effects.beside_baseline(table(0.01, 0.001), "score"), "score")
    assert said["verdict"] == "supported"
    effects = placement_effects.regression(
        placement_effects.means_by_place(table(0.01, 0.002), PLACEMENTS, "score"), "score"
    )
    verdicts = {row["question"]: row["verdict"] for row in placement_effects.of_places(effects, "score")}
    assert [v for q, v in verdicts.items() if "later in the image" in q] == ["supported"]
