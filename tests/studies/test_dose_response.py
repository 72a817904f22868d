"""Alignment pushed on purpose: what is said where it moved, where it did not, and which way accuracy went."""

import dataclasses

import pandas as pd
import pytest

from studies import dose_response
from studies.contrasts import EVERYWHERE, contrasts
from vilbert_lib import synthetic


def made(weight_to_alignment: float, alignment_to_accuracy: float, architectures=("a", "b", "c")) -> pd.DataFrame:
    return pd.DataFrame(
        {"task": "t", "architecture": name, "seed": seed, "weight": weight}
        | {"cka": 0.3 + weight_to_alignment * weight + 0.01 * seed}
        | {"test_accuracy": 0.7 + alignment_to_accuracy * weight_to_alignment * weight - 0.02 * seed}
        for name in architectures
        for seed in (0, 1, 2)
        for weight in (-1.0, 0.0, 1.0)
    )


def compared(table: pd.DataFrame) -> pd.DataFrame:
    return dose_response.compared(
        *(contrasts(table, value, of="weight", against=0.0) for value in ("cka", "test_accuracy"))
    )


def test_where_alignment_was_not_moved_or_the_wrong_way_nothing_follows():
    table = compared(made(0.0, 1.0))
    assert not table.reached.any() and not compared(made(-0.2, 1.0)).reached.any()
    rows = list(dose_response.of_weights(table, "cka"))
    assert len(rows) == 2 and not any(row["verdict"] == "supported" for row in rows)


@pytest.mark.parametrize(
    ("effect", "verdict"), [(0.5, "supported"), (-0.5, "contradicted"), (0.0, "contradicted")]
)
def test_the_verdict_follows_accuracy_where_alignment_was_moved(effect, verdict):
    """Without an effect the interval lies within the margin of 5 points."""
    table = compared(made(0.2, effect))
    assert set(table.architecture) == {EVERYWHERE} and table.reached.all()
    moved, followed = list(dose_response.of_weights(table, "cka"))[-2:]
    assert moved["verdict"] == "supported" and moved["estimate"] == pytest.approx(0.2)
    assert followed["verdict"] == verdict and followed["estimate"] == pytest.approx(20 * effect)


@pytest.mark.parametrize("architectures", [("a",), ("a", "b", "c")])
def test_the_slope_is_the_one_that_was_put_in(architectures):
    [row] = dose_response.per_unit(made(0.2, 0.5, architectures), "cka", "test_accuracy").to_dict("records")
    assert row["mean"] == pytest.approx(0.5) and row["low"] == pytest.approx(0.5)
    assert row["models"] == 3 * len(architectures)


def test_one_seed_has_a_slope_and_no_interval():
    one = made(0.2, 0.5, ("a",)).query("seed == 0")
    [row] = dose_response.per_unit(one, "cka", "test_accuracy").to_dict("records")
    assert (
        row["mean"] == pytest.approx(0.5)
        and row["note"] == "not estimated: 1 seed(s): an interval needs at least 2"
    )
    table = compared(one)
    assert not table.reached.any()
    assert {row["verdict"] for row in dose_response.of_weights(table, "cka")} == {"inconclusive"}


def test_weights_without_zero_and_strange_structures_are_refused(tiny_root, tiny_profile):
    where = dose_response.places(tiny_profile, tiny_root, ["hateful_memes"], [])
    with pytest.raises(ValueError, match="0, which the others are held against"):
        dose_response.configurations(tiny_profile, where, ["baseline"], [0], [1.0, 2.0], "mknn", [])
    with pytest.raises(ValueError, match=r"structures \['uniqe'\] are not known; known: redundant"):
        dose_response.places(tiny_profile, tiny_root, [], ["uniqe"])
    with pytest.raises(ValueError, match="nothing to train on"):
        dose_response.places(tiny_profile, tiny_root, [], [])


def test_structures_are_roots_whose_label_is_told_in_different_ways(tiny_root, tiny_profile):
    profile = dataclasses.replace(tiny_profile, synthetic_samples=16)
    where = dose_response.places(profile, tiny_root, ["hateful_memes"], ["redundant", "synergy", "unique"])
    assert where.task.tolist() == ["hateful_memes", "dishes, redundant", "dishes, synergy", "dishes, unique"]
    assert where.root.nunique() == 4 and where.best.between(0, 1).all()
    sides = where.root[1:].map(lambda root: synthetic.read_manifest(root)["best_possible_accuracy"]["upmc_food"])
    redundant, synergy, unique = sides
    assert redundant["text"] > 0.9 > synergy["text"] and redundant["image"] > 0.9 > synergy["image"]
    assert unique["image"] > 0.9 > unique["text"]


def test_the_run_with_weight_zero_is_the_ordinary_one(tiny_root, tiny_profile, tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path))
    where = dose_response.places(tiny_profile, tiny_root, ["hateful_memes"], [])
    configs = dose_response.configurations(
        tiny_profile, where, ["middle_fusion"], [0, 1], [0.0, 1.0], "unbiased_cka", [11]
    )
    assert [c.train.alignment_weight for _, _, c in configs] == [0.0, 1.0, 0.0, 1.0]
    assert configs[0][2].train.alignment_layers == ()
    table = dose_response.measured(configs, ["unbiased_cka"], [11], tiny_profile.alignment)
    assert table.weight.tolist() == [0.0, 1.0, 0.0, 1.0] and table.unbiased_cka.notna().all()
    assert (table.reached == table.test_accuracy / table.best).all()


def test_a_task_on_which_nothing_moved_alignment_is_a_row_that_says_so():
    both = pd.concat([made(0.0, 0.5), made(0.2, 0.5).assign(task="other")])
    still, moved = dose_response.per_unit(both, "cka", "test_accuracy").to_dict("records")
    assert still["note"] == "not estimated: the weight moves cka in no model" and still["models"] == 0
    assert moved["mean"] == pytest.approx(0.5) and moved["note"] == ""
