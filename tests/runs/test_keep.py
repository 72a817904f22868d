"""Runs whose figures are kept with the code need no training, and say so where their weights are asked for."""

import dataclasses

import pandas as pd
import pytest

from studies import of_models
from vilbert_lib import runs
from vilbert_lib.runs import archive, inputs, training
from vilbert_lib.synthetic import make_root


def test_a_kept_run_reads_as_the_one_that_was_trained(elsewhere, tiny_root, tiny_profile, monkeypatch):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion")
    [trained] = runs.ensure([config], tiny_root)
    history, logged, summary = trained.metrics, trained.training_alignment, trained.summary
    settings = {"measures": ("cka", "mknn"), "n_samples": 12, "k": 3, "data_root": tiny_root}
    alignment = trained.alignment(**settings)
    runs.keep(tiny_profile)
    elsewhere()
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("trained again"))
    [kept] = runs.ensure([config], tiny_root)
    assert kept.finished and not kept.trained and kept.summary == summary
    pd.testing.assert_frame_equal(kept.metrics, history)
    rounded = {"rtol": 1e-6, "atol": 0.51 * 10**-archive.DIGITS}
    pd.testing.assert_frame_equal(kept.training_alignment, logged, **rounded)
    pd.testing.assert_frame_equal(kept.alignment(**settings), alignment, **rounded)
    with pytest.raises(FileNotFoundError, match=r"alignment by rsa \(test, best epoch\)"):
        kept.alignment(**settings | {"measures": ("cka", "rsa")})
    assert runs.open_run(config.id).config == config
    with pytest.raises(FileNotFoundError, match=rf"needs its weights.*vilbert_lib train --run {config.id}"):
        kept.model(tiny_root)


def test_only_runs_of_the_profile_are_kept_and_earlier_ones_stay(elsewhere, tiny_root, tiny_profile):
    other = dataclasses.replace(
        tiny_profile, name="other", finetune=dataclasses.replace(tiny_profile.finetune, n_eval=11)
    )
    first = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline")
    strange = runs.configure(other, tiny_root, "hateful_memes", "baseline")
    runs.ensure([first, strange], tiny_root)
    runs.keep(tiny_profile)
    elsewhere()
    second = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", seed=1)
    runs.ensure([second], tiny_root)
    files = runs.keep(tiny_profile)
    elsewhere("third")
    assert [runs.Run(c).finished for c in (first, second, strange)] == [True, True, False]
    before = [path.read_bytes() for path in files]
    assert [path.read_bytes() for path in runs.keep(tiny_profile)] == before


def test_what_starts_from_a_kept_run_has_that_trained_anew(elsewhere, tiny_root, tiny_profile):
    start = runs.configure(tiny_profile, tiny_root, "conceptual_captions", "baseline", objectives=("mlm",))
    [first] = runs.ensure([start], tiny_root)
    weights = (first.folder / "model.safetensors").read_bytes()
    runs.keep(tiny_profile)
    elsewhere()
    tuned = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", start_from=start.id)
    [run] = runs.ensure([tuned], tiny_root)
    assert run.trained and runs.Run(start).trained
    assert (runs.Run(start).folder / "model.safetensors").read_bytes() == weights


def test_a_damaged_table_advises_to_remove_that_table(store, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", train={"epochs": 1})
    [run] = runs.ensure([config], tiny_root)
    made = pd.DataFrame({"layer": [0, 1], "value": [0.125, 0.25]})
    run.table("norms", lambda: made)
    [path] = run.folder.glob("norms-*.parquet")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(
        ValueError, match=rf"{path.name} is damaged .*remove this file, and the table is made anew"
    ):
        run.table("norms", lambda: made)
    path.unlink()
    pd.testing.assert_frame_equal(run.table("norms", lambda: made), made)


def test_a_table_of_other_samples_is_another_table(store, tiny_root, tiny_profile, tmp_path):
    """Samples of another root, and of the same root after its images were replaced."""
    unseen = make_root(tmp_path / "unseen", n_train=32, seed=5)
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", train={"epochs": 1})
    [run] = runs.ensure([config], tiny_root)

    def values(root):
        return of_models.profiles_over_k(run, tiny_root, root, 12, ["mknn"], [2, 3]).value.tolist()

    first, others = values(tiny_root), values(unseen)
    assert first != others and len(list(run.folder.glob("profiles_over_k-*"))) == 2
    (unseen / "MANIFEST.json").unlink()  # known by the contents of its images from now on
    values(unseen)
    assert len(list(run.folder.glob("profiles_over_k-*"))) == 3


@pytest.mark.parametrize("changed", ["images", "list"])
def test_samples_of_another_root_that_change_while_they_are_read_are_noticed(
    store, tiny_root, tiny_profile, tmp_path, monkeypatch, changed
):
    unseen = make_root(tmp_path / "unseen", n_train=32, seed=5)
    (unseen / "MANIFEST.json").unlink()
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", train={"epochs": 1})
    [run] = runs.ensure([config], tiny_root)
    made, path = inputs.PairDataset, unseen / "hateful_memes" / "test.jsonl"

    def change_late(records, *arguments, **options):
        if changed == "list":
            path.write_text(path.read_text().replace('"label": 1', '"label": 0'))
        else:
            records[0].img.write_bytes(records[1].img.read_bytes())
        return made(records, *arguments, **options)

    monkeypatch.setattr(inputs, "PairDataset", change_late)
    with pytest.raises(ValueError, match="changed while they were read"):
        of_models.profiles_over_k(run, tiny_root, unseen, 12, ["mknn"], [2, 3])
    assert not list(run.folder.glob("profiles_over_k-*"))


def test_a_table_of_a_run_is_made_once_and_kept_with_it(elsewhere, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline")
    [run] = runs.ensure([config], tiny_root)
    made = pd.DataFrame({"layer": [0, 1], "value": [0.125, 1e-7]})
    pd.testing.assert_frame_equal(run.table("norms", lambda: made, k=3), made)
    pd.testing.assert_frame_equal(run.table("norms", lambda: pytest.fail("made again"), k=3), made)
    assert run.table("norms", lambda: made.assign(value=2.0), k=4).value[0] == 2.0
    with pytest.raises(ValueError, match=r"table 'a/b'"):
        run.table("a/b", lambda: made)
    runs.keep(tiny_profile)
    elsewhere()
    kept = runs.open_run(config.id)
    pd.testing.assert_frame_equal(kept.table("norms", lambda: pytest.fail("made again"), k=3), made)
    assert kept.table("norms", lambda: made.assign(value=3.0), k=5).value[0] == 3.0
    files = runs.keep(tiny_profile)
    assert len(files) == 5, "runs, alignments, a table for each of two settings, and the digests of these"


def test_the_runs_that_a_study_asked_for_are_listed_with_their_time(elsewhere, tiny_root, tiny_profile, tmp_path):
    run_list = runs.RunList(tmp_path / "runs.jsonl")
    assert run_list.time_spent() == ""
    configs = [runs.configure(tiny_profile, tiny_root, "hateful_memes", "baseline", seed=s) for s in (0, 1)]
    runs.ensure(configs, tiny_root)
    first, second = runs.ensure(configs, tiny_root, run_list=run_list)
    added = first.summary["seconds"] + second.summary["seconds"]
    told = f"The 2 runs behind it took at least {added / 60:.0f} minutes, added up, on {runs.device_name()}."
    assert run_list.time_spent() == told
    runs.keep(tiny_profile)
    elsewhere()
    runs.ensure(configs[:1], tiny_root, run_list=run_list)  # twice counts once, from wherever it is read
    assert run_list.time_spent() == told
