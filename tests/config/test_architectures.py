"""Architectures and profiles are found by their names."""

import dataclasses

import pytest

from vilbert_lib.config import ARCHITECTURES, PROFILES, ModelConfig, arrange, profile

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


def test_placing_coattention_changes_nothing_else():
    model = ModelConfig(width=128, dropout=0.3)
    placed = arrange(model, "optuna1")
    assert dataclasses.replace(placed, t_biattention_ids=(), v_biattention_ids=()) == model


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_profiles_are_found_by_name_and_hold_every_architecture(name):
    found = profile(name)
    assert found.name == name
    for architecture in ARCHITECTURES:
        arrange(found.model, architecture)
