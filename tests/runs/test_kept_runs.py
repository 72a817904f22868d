"""The figures that are kept with the code are found by the studies that ask for them."""

import pytest

from vilbert_lib import studies
from vilbert_lib.config import RunConfig, from_dict
from vilbert_lib.runs import archive


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """The archive of the repository, and nothing that was trained here."""
    monkeypatch.delenv("VILBERT_ARCHIVE")


def test_runs_are_kept_by_the_names_that_their_configurations_have_now():
    found = {run_id: from_dict(RunConfig, archive.find(run_id)["config"]).id for run_id in archive.ids("small")}
    assert found and all(name == run_id for run_id, name in found.items())


def test_a_study_whose_runs_are_kept_trains_none():
    """Its data are drawn anew: other bits than those of the kept runs would ask for other runs."""
    assert studies.plan("07_attribution", "small") == []
