"""Architectures and profiles are found by their names."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilbert_lib.config import (
    ARCHITECTURES,
    PROFILES,
    ModelConfig,
    RunConfig,
    architecture_of,
    arrange,
    check_arranged,
    placement,
    profile,
    to_dict,
)
from vilbert_lib.runs.planning import read_plan

THESIS = {
    "baseline": ([], []),
    "early_fusion": ([3, 4, 5], [3, 4, 5]),
    "middle_fusion": ([6, 7, 8], [6, 7, 8]),
    "late_fusion": ([9, 10, 11], [9, 10, 11]),
    "asymmetric_fusion": ([6, 7, 8, 9], [3, 5, 7, 9]),
    "optuna1": ([3, 6], [6, 8]),
    "optuna2": ([7, 9, 10, 11], [6, 7, 9, 10]),
}


@pytest.mark.parametrize("name", sorted(THESIS))
def test_the_thesis_architectures_have_their_ids(name):
    t_ids, v_ids = ARCHITECTURES[name]
    assert (list(t_ids), list(v_ids)) == THESIS[name]


def test_there_are_at_least_twelve_architectures_all_different_and_valid():
    assert len(ARCHITECTURES) >= 12
    assert len(set(ARCHITECTURES.values())) == len(ARCHITECTURES)
    for name, (t_ids, v_ids) in ARCHITECTURES.items():
        placed = arrange(ModelConfig(num_layers=12), name)
        assert (placed.t_biattention_ids, placed.v_biattention_ids) == (t_ids, v_ids)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_profiles_are_found_by_name_and_hold_every_architecture(name):
    found = profile(name)
    assert found.name == name
    for architecture in ARCHITECTURES:
        arrange(found.model, architecture)


def test_an_architecture_without_a_name_is_spelled_by_its_layers():
    assert architecture_of((3, 10), (0, 11)) == "t3.10-v0.11"
    assert architecture_of([4], [4]) == "t4-v4"
    assert architecture_of((9, 10, 11), (9, 10, 11)) == "late_fusion"
    assert architecture_of((), ()) == "baseline"
    assert placement("text_only") == ((), ())
    placed = arrange(ModelConfig(), "t3.10-v0.11")
    assert (placed.t_biattention_ids, placed.v_biattention_ids) == ((3, 10), (0, 11))


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(*[st.sets(st.integers(0, 11), min_size=n, max_size=n)] * 2)))
def test_every_placement_is_read_back_from_what_it_is_called(ids):
    t_ids, v_ids = (tuple(sorted(stream)) for stream in ids)
    assert placement(architecture_of(t_ids, v_ids)) == (t_ids, v_ids)


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("t9.10.11-v9.10.11", "'t9.10.11-v9.10.11' is called 'late_fusion'"),
        ("t03-v4", "'t03-v4' is called 't3-v4'"),
        ("t3.4-v6", "must be equally many"),
        ("t4.3-v6.7", "ids must increase"),
        ("t3.3-v6.7", "each at most once"),
        ("t3-v12", r"must lie in 0..11"),
        ("t-v", "unknown architecture 't-v'; known: .*late_fusion"),
        ("t3.-v4", "unknown architecture"),
        ("t3-v4 ", "unknown architecture"),
    ],
)
def test_a_spelling_that_means_nothing_or_has_another_form_is_an_error(spelled, message):
    with pytest.raises(ValueError, match=message):
        arrange(ModelConfig(), spelled)


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        (
            "middle_fusion",
            {"t_biattention_ids": (1, 2, 3)},
            r"not \(1, 2, 3\): name it 't1.2.3-v6.7.8'",
        ),
        ("t1-v2", {"v_biattention_ids": (3,)}, r"v_biattention_ids \(2,\), not \(3,\): name it 't1-v3'"),
        ("linear_probe", {"frozen_layers": 0}, "frozen_layers -1, not 0: leave frozen_layers out"),
        ("linear_probe", {"t_biattention_ids": (1,), "v_biattention_ids": (1,)}, "name it 't1-v1'"),
    ],
)
def test_a_name_stands_for_one_architecture(architecture, changes, message):
    placed = arrange(ModelConfig(), architecture)
    check_arranged(dataclasses.replace(placed, dropout=0.5), architecture)
    with pytest.raises(ValueError, match=f"architecture '{architecture}' has .*{message}"):
        check_arranged(dataclasses.replace(placed, **changes), architecture)


@pytest.mark.parametrize("name", ["../x", "/a", "..", "", "a b", "a\n", "ä"])
def test_an_architecture_cannot_lead_out_of_the_run_store(name, tmp_path):
    with pytest.raises(ValueError, match=r"architecture .* must be made of letters"):
        RunConfig(task="t", architecture=name)
    with pytest.raises(ValueError, match="must be the name of a folder, without a path"):
        RunConfig(task="../x", architecture="baseline")
    values = to_dict(RunConfig(task="t", architecture="baseline")) | {"architecture": name}
    (tmp_path / "plan.json").write_text(json.dumps({"data_root": "/data", "config": values}))
    with pytest.raises(ValueError, match=r"plan\.json describes no run: .* must be made of letters"):
        read_plan(tmp_path / "plan.json")
