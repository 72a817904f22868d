"""What 04 reasons from where it reads the placement table that is kept with the code."""

from types import SimpleNamespace

import pytest

from studies import evidence
from vilbert_lib import config

PARAMETERS = {
    "table": True,
    "tasks": ["synergy"],
    "architectures": [],
    "seeds": [],
    "primary_measure": "unbiased_cka",
    "primary_aggregate": "mean",
    "primary_target": "score",
}


@pytest.fixture(autouse=True)
def archive_of_the_project(monkeypatch):
    monkeypatch.delenv("VILBERT_ARCHIVE", raising=False)


def gather(**changes) -> evidence.Evidence:
    return evidence.gather(SimpleNamespace(**PARAMETERS | changes), config.profile("small"))


def test_the_table_gives_every_run_its_score_and_alignment_on_the_test_samples():
    found = gather()
    assert found.tasks == ["synergy"] and len(found.placements) == 61 and set(found.measured.split) == {"test"}
    trained, untrained = found.per_run("mean"), found.per_run("mean", "untrained")
    assert len(trained) == len(found.results) == 126 and trained[found.measures].notna().all(axis=None)
    assert (trained.unbiased_cka != untrained.unbiased_cka).all()
    early = found.measured[found.measured.run == trained.run[trained.architecture == "early_fusion"].iloc[0]]
    paired = early[early.paired & (early.measure == "unbiased_cka") & (early.epoch > 0)]
    own = trained.set_index("run").unbiased_cka[paired.run.iloc[0]]
    assert own == pytest.approx((paired.value - paired.chance).mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["memes"]}, "unknown task of the table 'memes'; known: synergy"),
        ({"tasks": []}, "tasks is empty"),
        ({"primary_target": "auroc"}, "primary_target 'auroc' is no column of the table"),
        ({"primary_measure": "ckaa"}, "primary_measure"),
    ],
)
def test_what_the_table_does_not_hold_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        gather(**changes)


def test_a_table_that_is_not_there_is_named_with_the_command_that_makes_it(monkeypatch, tmp_path):
    monkeypatch.setenv("VILBERT_ARCHIVE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"placements\.runs\.parquet does not exist.*make_placement_table"):
        gather()
