"""One task at known levels: roots as asked, slopes as made."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from studies import correlation, task_structure
from vilbert_lib import config


@pytest.fixture(scope="module")
def profile(tiny_profile):
    return dataclasses.replace(tiny_profile, synthetic_samples=16)


@pytest.fixture(scope="module")
def levels(profile):
    return task_structure.roots(profile, 3)


def test_levels_go_from_redundant_to_unique_and_to_synergy(levels):
    assert list(zip(levels.direction, levels.level, strict=True)) == [
        ("unique", 0), ("unique", 0.5), ("unique", 1), ("synergy", 0), ("synergy", 0.5), ("synergy", 1),
    ]  # fmt: skip
    assert levels.root.nunique() == 5  # the directions share the redundant one
    assert levels.best.nunique() == 1  # what both sides together tell does not change
    last = levels[levels.level == 1].set_index("direction")
    assert last.image["unique"] > last.text["unique"]
    assert last.image["synergy"] == pytest.approx(last.text["synergy"]) and last.image["synergy"] < 0.2


def test_every_level_has_runs_of_its_own(profile, levels):
    """Texts and labels of a level are the same whether the image tells them or only both together."""
    ids = [
        run.id
        for runs in task_structure.configurations(profile, levels, ["baseline"], [0]).values()
        for run in runs
    ]
    assert len(ids) == len(set(ids)) == 5


def test_real_data_have_no_levels():
    with pytest.raises(ValueError, match="profile 'base' has no synthetic data"):
        task_structure.roots(config.profile("base"))


def test_runs_of_all_levels_are_read_with_their_level(profile, levels):
    found = task_structure.measured(
        profile, levels[levels.direction == "synergy"], ["baseline"], [0], "cka", "mean"
    )
    assert list(found.level) == [0, 0.5, 1] and found.run.nunique() == 3
    assert list(found.reached) == pytest.approx(list(found.test_accuracy / found.best))
    assert found.cka.notna().all()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for direction, slope in (("unique", 0.0), ("synergy", -0.4)):
        for architecture, own in zip("abcd", (0, 0.05, 0.1, 0.15), strict=True):
            for seed in (0, 1):
                for level in (0, 0.25, 0.5, 0.75, 1):
                    reached = 0.9 + (slope + (own if direction == "synergy" else 0)) * level
                    rows.append(
                        {
                            "direction": direction,
                            "architecture": architecture,
                            "seed": seed,
                            "level": level,
                            "reached": reached + 0.001 * rng.standard_normal(),
                            "cka": own + 0.001 * rng.standard_normal(),
                        }
                    )
    return pd.DataFrame(rows)


def test_slopes_are_those_that_were_made(table):
    found = task_structure.slopes(table, "reached")
    assert len(found) == 16
    synergy = found[found.direction == "synergy"].groupby("architecture").reached.mean()
    assert list(synergy) == pytest.approx([-0.4, -0.35, -0.3, -0.25], abs=0.005)


def test_a_trend_that_differs_between_architectures_is_told_from_one_that_does_not(table):
    found = task_structure.trends(table, ["reached"]).set_index("direction")
    assert found.low["synergy"] < -0.325 < found.high["synergy"] < 0 and found.icc["synergy"] > 0.9
    assert abs(found["mean"]["unique"]) < 0.005 and found.icc["unique"] < 0.9


def test_an_order_that_changes_with_the_level_is_told_from_one_that_does_not(table):
    found = task_structure.by_level(table, "reached").set_index("direction")
    assert found.p_both["synergy"] < 0.001 < 0.05 < found.p_both["unique"]
    unique = table[table.direction == "unique"]
    cells = unique.groupby(["architecture", "level"]).reached
    within = ((unique.reached - cells.transform("mean")) ** 2).sum() / 20
    means = cells.mean().unstack()
    rest = means.sub(means.mean(axis=1), axis=0).sub(means.mean(), axis=1) + means.to_numpy().mean()
    assert found.both["unique"] == pytest.approx(2 * (rest**2).to_numpy().sum() / 12 / within)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[t.seed == 0], "two runs of each at every level"),
        (lambda t: t[t.architecture == "a"], "two architectures"),
        (lambda t: t.assign(reached=0.5), "column reached is NaN in a run, or the same for all seeds"),
        (lambda t: t.assign(reached=t.reached.where(t.seed == 0)), "column reached is NaN in a run"),
    ],
)
def test_too_few_runs_and_runs_that_are_alike_give_rows_that_say_so(table, change, reason):
    few = change(table)
    factors = task_structure.by_level(few, "reached")
    assert factors.p_both.isna().all() and factors.note.str.contains(reason).all() and len(factors) == 2
    trends = task_structure.trends(few, ["reached", "cka"])
    rows = list(correlation.of_structure(trends))
    assert len(rows) == 4 and "nan" not in " ".join(row["sentence"] for row in rows)


def test_alignment_that_is_nan_at_one_level_is_left_out_there_alone(table):
    lost = table.assign(cka=table.cka.where(table.level != 1))
    found = task_structure.within_levels(lost, "cka", "reached")
    assert found.r[found.level == 1].isna().all() and found.r[found.level < 1].notna().all()
    rows = list(correlation.of_structure(task_structure.trends(lost, ["cka"])))
    assert {row["verdict"] for row in rows} == {"inconclusive"} and "nan" not in " ".join(
        r["sentence"] for r in rows
    )


def test_within_a_level_correlation_is_over_its_runs(table):
    found = task_structure.within_levels(table, "cka", "reached").set_index(["direction", "level"])
    last = table[(table.direction == "synergy") & (table.level == 1)]
    assert found.r["synergy", 1.0] == pytest.approx(last.cka.corr(last.reached))
    assert found.r["synergy", 1.0] > 0.9 and found.n["synergy", 1.0] == 8


def test_who_knows_more_than_one_side_is_counted():
    """Of 1000 samples that one side gets right with .5, more than 531 are beyond its chance of one in forty."""
    levels = pd.DataFrame({"direction": "synergy", "level": [0.0, 1.0], "one_side": [1.0, 0.5], "best": 1.0})
    right = pd.DataFrame({"test_accuracy": [0.5, 0.531, 0.532, 0.9], "n_test": 1000})
    found = task_structure.beyond_one_side(levels.merge(right, how="cross"))
    assert found.to_dict("records") == [
        {"direction": "synergy", "level": 1.0, "one_side": 0.5, "accuracy": pytest.approx(0.61575)}
        | {"runs": 4, "beyond": 2}
    ]
    assert task_structure.beyond_one_side(levels[:1].merge(right, how="cross")).empty


def test_one_level_has_no_slope(table):
    with pytest.raises(ValueError, match="at least two levels"):
        task_structure.slopes(table[table.level == 0], "reached")
