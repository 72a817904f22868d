"""The placement table: which placements, what it holds of a run, and that what is there is not trained again."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from studies import make_placement_table, placement_table
from vilbert_lib import paths, runs
from vilbert_lib.config import ARCHITECTURES, placement
from vilbert_lib.search import space

MEASURES = ("unbiased_cka", "mknn", "rsa", "svcca")


def test_sixty_placements_are_drawn_from_the_search_space_and_the_named_ones_are_among_them():
    found = make_placement_table.placements()
    assert len(found) == len(set(found)) == 61 and found[: len(ARCHITECTURES)] == list(ARCHITECTURES)
    drawn = [placement(name) for name in found[len(ARCHITECTURES) :]]
    reachable = space.support(12)
    assert all(t in reachable and v in reachable and len(t) == len(v) for t, v in drawn)
    assert {len(t) for t, _ in drawn} == set(space.counts(12))


@pytest.fixture
def made(tiny_profile, monkeypatch, tmp_path):
    """A table of two placements and the model without blocks on small genres."""
    scale = dataclasses.replace(tiny_profile, synthetic_samples=64)
    setting = dataclasses.replace(placement_table.SETTINGS["genres"], n_train=16, epochs=2)
    monkeypatch.setitem(placement_table.SETTINGS, "genres", setting)
    monkeypatch.setattr(make_placement_table, "SEEDS", (0,))
    monkeypatch.setattr(make_placement_table, "BASELINE_SEEDS", (0,))
    monkeypatch.setattr(make_placement_table, "placements", lambda _: ["baseline", "t0-v1"])
    monkeypatch.setenv("VILBERT_ARCHIVE", str(tmp_path / "archive"))
    paths.archive().mkdir()
    root = make_placement_table.root_of("genres", scale, "")
    finished = {"genres": runs.ensure(make_placement_table.configurations(scale, "genres", root), root)}
    make_placement_table.write(finished, {"genres": root}, MEASURES)
    return finished, root


def test_the_table_has_scores_and_layers_of_every_run(made):
    finished, root = made
    table, layers = placement_table.read()
    assert list(table.architecture) == ["baseline", "t0-v1"] and (table.setting == "genres").all()
    assert (table.score == table.test_auroc_unique_image).all() and table.val_accuracies.map(len).eq(2).all()
    assert table.mean_val_accuracy[0] == pytest.approx(np.mean(table.val_accuracies[0]))
    run = finished["genres"][1]
    own = layers[(layers.run == run.config.id) & (layers.measure == "unbiased_cka")]
    assert set(zip(own.moment, own.split, strict=True)) == {
        ("best", "test"),
        ("best", "val"),
        ("untrained", "test"),
    }
    expected = run.alignment(["unbiased_cka"], n_samples=512, data_root=root)
    both = own[(own.moment == "best") & (own.split == "test")].merge(expected, on=["text_layer", "vision_layer"])
    assert len(both) == (expected.kind == "tv").sum() and np.allclose(both.value_x, both.value_y, atol=1e-4)


def test_rows_of_other_runs_stay_and_a_run_is_there_once(made):
    finished, root = made
    before = placement_table.read()
    make_placement_table.write({"genres": finished["genres"][:1]}, {"genres": root}, MEASURES)
    after = placement_table.read()
    keys = [["run"], ["run", "moment", "split", "measure", "text_layer", "vision_layer"]]
    for old, new, key in zip(before, after, keys, strict=True):
        pd.testing.assert_frame_equal(*(frame.sort_values(key, ignore_index=True) for frame in (old, new)))


def test_the_real_data_must_be_named(tiny_profile):
    with pytest.raises(ValueError, match="data_root is empty"):
        make_placement_table.root_of("easy_vqa", tiny_profile, "")
