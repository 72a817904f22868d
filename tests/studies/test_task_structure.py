"""Tasks that differ in how one bit is told: roots as asked, contrasts as made."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from studies import placement_effects, task_structure
from studies.task_structure import AREA
from vilbert_lib import config

PARAMETERS = SimpleNamespace(
    placements=["early", "late"], structures_compared=["synergy", "unique"], primary_measure="cka"
)


@pytest.fixture(scope="module")
def profile(tiny_profile):
    return dataclasses.replace(tiny_profile, synthetic_samples=16)


@pytest.fixture(scope="module")
def where(profile):
    return task_structure.roots(profile, ["redundant", "unique", "synergy"])


def test_roots_differ_in_what_one_side_can_tell(where):
    found = where.set_index("structure")
    assert found.root.nunique() == 3 and found.best.nunique() == 1
    assert found.one_side["redundant"] == found.one_side["unique"] == found.best["unique"]
    assert found.one_side["synergy"] == pytest.approx(found.best["synergy"] / 2, abs=0.02)


def test_the_number_of_bits_can_be_told(profile):
    assert task_structure.roots(profile, ["synergy"], bits=4).one_side[0] < 0.2


def test_unknown_structures_and_real_data_are_refused(profile):
    with pytest.raises(ValueError, match=r"structures \['other'\] are not known"):
        task_structure.roots(profile, ["other"])
    with pytest.raises(ValueError, match="profile 'base' has no synthetic data"):
        task_structure.roots(config.profile("base"), ["unique"])


def test_runs_are_read_with_their_structure(profile, where, monkeypatch):
    monkeypatch.setattr(task_structure, "EPOCHS", 2)
    found = task_structure.measured(profile, where[1:], {"baseline": [0]}, "cka")
    assert list(found.structure) == ["unique", "synergy"] and found.run.nunique() == 2
    assert found[AREA].between(0, 1).all() and found.cka.notna().all()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Early beats late by .2 on synergy and .05 on unique; the baseline is worst; cka follows the seed."""
    means = {
        "unique": {"baseline": 0.7, "early": 0.85, "late": 0.8},
        "synergy": {"baseline": 0.4, "early": 0.8, "late": 0.6},
    }
    rng = np.random.default_rng(0)
    rows = [
        {"structure": structure, "architecture": name, "seed": seed, "best": 0.95}
        | {"one_side": 0.95 if structure == "unique" else 0.48, AREA: mean + 0.01 * rng.standard_normal()}
        for structure, of_structure in means.items()
        for name, mean in of_structure.items()
        for seed in range(6)
    ]
    found = pd.DataFrame(rows)
    return found.assign(test_accuracy=found[AREA], cka=found[AREA] + 0.001 * rng.standard_normal(len(found)))


def test_the_declared_interaction_is_the_one_that_was_made(table):
    found = task_structure.interaction(table, AREA, ["early", "late"], ["synergy", "unique"])
    assert found["low"] < 0.15 < found["high"] and found["p"] < 0.001 and found["n"] == 24


def test_differences_on_every_structure(table):
    found = task_structure.differences(table, AREA, ["early", "late"]).set_index("structure")
    assert found.low["synergy"] < 0.2 < found.high["synergy"]
    assert found.low["unique"] < 0.05 < found.high["unique"]
    blocks = placement_effects.beside_baseline(table, AREA, by="structure").set_index("structure")
    assert blocks.low["synergy"] < 0.3 < blocks.high["synergy"]


def test_cells_at_the_floor_and_the_ceiling_are_named(table):
    changed = table.assign(
        test_accuracy=table.test_accuracy.where(table.architecture != "early", 0.94).where(
            (table.architecture != "late") | (table.structure != "synergy"), 0.5
        )
    )
    found = task_structure.room(changed).set_index(["structure", "placement"])["at"]
    assert found["synergy", "late"] == "floor" and found["synergy", "early"] == "ceiling"
    assert found["unique", "late"] == "between"  # one side tells all: there is no floor but chance


def test_findings_tell_the_contrast_in_points(table):
    declared = task_structure.interaction(table, AREA, ["early", "late"], ["synergy", "unique"])
    parts = (
        task_structure.differences(table, AREA, ["early", "late"]),
        placement_effects.beside_baseline(table, AREA, by="structure"),
        task_structure.within_placements(table, "cka", AREA),
    )
    rows = pd.DataFrame(task_structure.of_structure(declared, *parts, PARAMETERS))
    assert list(rows.verdict) == ["supported"] * 7
    assert rows.estimate[0] == pytest.approx(15, abs=2) and rows.unit[0] == "points"


def test_one_seed_and_no_baseline_give_findings_that_say_so(table):
    few = table[table.seed == 0]
    declared = task_structure.interaction(few, AREA, ["early", "late"], ["synergy", "unique"])
    parts = (
        task_structure.differences(few, AREA, ["early", "late"]),
        placement_effects.beside_baseline(table[:0], AREA, by="structure"),
        task_structure.within_placements(few, "cka", AREA),
    )
    rows = pd.DataFrame(task_structure.of_structure(declared, *parts, PARAMETERS))
    assert set(rows.verdict) == {"inconclusive"} and set(rows.sentence) == {"Not estimated."}
