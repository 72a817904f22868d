"""The figures that are kept with the code are found by the studies that ask for them, and are their runs'."""

import numpy as np
import pandas as pd
import pytest

from vilbert_lib import notebooks, runs, synthetic
from vilbert_lib.config import RunConfig, from_dict, profile
from vilbert_lib.runs import archive


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """The archive of the repository, and nothing that was trained here."""
    monkeypatch.delenv("VILBERT_ARCHIVE")


@pytest.mark.parametrize("name", ["quick", "small"])
def test_runs_are_kept_by_the_names_that_their_configurations_have_now(name):
    found = {run_id: from_dict(RunConfig, archive.find(run_id)["config"]).id for run_id in archive.ids(name)}
    assert found and all(name == run_id for run_id, name in found.items())


@pytest.mark.slow
@pytest.mark.parametrize(("study", "name"), [("07_attribution", "small"), ("01_finetuning", "quick")])
def test_a_study_whose_runs_are_kept_trains_none(study, name):
    """Its data are drawn anew: other bits than those of the kept runs would ask for other runs."""
    assert notebooks.plan(study, name) == []


class EnoughError(Exception):
    """The first epoch is over."""


def test_trained_again_a_kept_run_begins_as_it_did():
    """Later epochs are left out: what one machine rounds in another way grows with every step."""
    scale = profile("quick")
    root = synthetic.root_of(scale, "")
    config = runs.configure(scale, root, "hateful_memes", "middle_fusion", 0)
    kept = runs.Run(config)
    assert kept.finished and not kept.trained
    figures, alignment = kept.metrics[:2], kept.training_alignment.query("epoch == 0")
    done = 0.0

    def stop_after_an_epoch(share: float, loss: float) -> None:
        nonlocal done
        done += share
        if done > 1.01:
            raise EnoughError

    with pytest.raises(EnoughError):
        runs.train(config, root, stop_after_an_epoch)
    again = pd.read_json(kept.folder / "metrics.jsonl", lines=True)
    losses = [name for name in again if name.endswith("loss")]  # of answers near the threshold some would change
    assert len(again) == 2 and {"train_loss", "train_plain_loss", "val_loss"} <= set(losses)
    pd.testing.assert_frame_equal(again[losses], figures[losses], rtol=0.01)
    untrained = pd.read_parquet(kept.folder / "alignment.parquet").query("epoch == 0")
    assert len(untrained) == len(alignment) == 24
    np.testing.assert_allclose(untrained.value, alignment.value, atol=2e-3)
