"""Alignment is read out of finished runs: another measure, split or k trains nothing."""

import shutil

import pandas as pd
import pytest

from vilbert_lib import runs
from vilbert_lib.__main__ import main
from vilbert_lib.metrics import MEASURES
from vilbert_lib.representations import layer_features, sample_rows
from vilbert_lib.runs import store, training

SMALL = {"n_samples": 12, "k": 3}


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_root, tiny_profile):
    """A fine-tuned run; from here on training anything is an error."""
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", train={"epochs": 1})
    [run] = runs.ensure([config], tiny_root)
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("trained"))
    return run


def test_values_are_those_of_the_features_of_the_split(run, tiny_root):
    table = run.alignment(("cka",), split="val", data_root=tiny_root, **SMALL)
    data = runs.dataset(run.config, tiny_root, "val")
    features = layer_features(run.model(tiny_root).vilbert, data, sample_rows(data, 12))
    value = table.set_index(["x", "y"]).value["t3", "v7"]
    assert value == pytest.approx(MEASURES["cka"](features["t3"], features["v7"]), abs=1e-6)
    assert set(table.split) == {"val"} and len(table) == 24 * 23 // 2


def test_another_measure_split_k_or_epoch_trains_nothing_and_measures_what_is_lacking(run, tiny_root, monkeypatch):
    made, measure = [], store.measure_alignment

    def counted(model, data, settings, **named):
        made.append((settings.measures, settings.k, named["split"], named["epoch"]))
        return measure(model, data, settings, **named)

    monkeypatch.setattr(store, "measure_alignment", counted)
    identity = run.config.id
    first = run.alignment(("cka",), data_root=tiny_root, **SMALL)
    more = run.alignment(("cka", "rsa"), data_root=tiny_root, **SMALL)
    run.alignment(("mknn",), data_root=tiny_root, n_samples=12, k=4)
    run.alignment(("mknn",), data_root=tiny_root, split="train", **SMALL)
    run.alignment(("cka",), data_root=tiny_root, epoch="untrained", **SMALL)
    assert made == [
        (("cka",), 3, "test", 1),
        (("rsa",), 3, "test", 1),
        (("mknn",), 4, "test", 1),
        (("mknn",), 3, "train", 1),
        (("cka",), 3, "test", 0),
    ]
    pd.testing.assert_frame_equal(more[more.measure == "cka"].reset_index(drop=True), first)
    again = runs.open_run(identity).alignment(("rsa", "cka"), data_root=tiny_root, **SMALL)
    pd.testing.assert_frame_equal(again, more)
    assert len(made) == 5, "what was measured is read"


def test_samples_of_another_root_are_another_table(run, tiny_root, tmp_path, monkeypatch):
    from vilbert_lib import synthetic

    other = synthetic.make_root(tmp_path / "other", n_train=32, seed=5)
    monkeypatch.setattr(store, "data_root_of", lambda config, named: tiny_root)
    own, others = (run.alignment(("cka",), data_root=root, **SMALL).value for root in (tiny_root, other))
    assert not own.equals(others)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"measures": ("ckaa",)}, "unknown measure 'ckaa'"),
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"epoch": "last"}, "unknown epoch 'last'"),
        ({"k": 300}, "k 300 must lie in"),
        ({"pooling": "max"}, "unknown pooling 'max'"),
    ],
)
def test_what_cannot_be_measured_is_named(run, tiny_root, given, message):
    with pytest.raises(ValueError, match=message):
        run.alignment(**{"data_root": tiny_root} | given)


def test_a_finished_run_opens_without_its_start(tmp_path, monkeypatch, tiny_root, tiny_profile):
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    one = {"train": {"epochs": 1}}
    captions = ("conceptual_captions", "middle_fusion")
    start = runs.configure(tiny_profile, tiny_root, *captions, objectives=("ap",), **one)
    runs.ensure([start], tiny_root)
    tuned = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", start_from=start.id, **one)
    [run] = runs.ensure([tuned], tiny_root)
    untrained = run.alignment(("cka",), epoch="untrained", data_root=tiny_root, **SMALL)
    shutil.rmtree(runs.Run(start).folder)
    opened = runs.open_run(tuned.id)
    opened.model(tiny_root)
    assert opened.alignment(("cka",), data_root=tiny_root, **SMALL).value.notna().all()
    pd.testing.assert_frame_equal(
        opened.alignment(("cka",), epoch="untrained", data_root=tiny_root, **SMALL), untrained
    )
    with pytest.raises(FileNotFoundError, match=start.id):
        opened.alignment(("mknn",), epoch="untrained", data_root=tiny_root, **SMALL)


@pytest.mark.parametrize("by", ["id", "folder"])
def test_the_command_measures_a_run(run, tiny_root, tmp_path, monkeypatch, capsys, by):
    out = tmp_path / "table.csv"
    named = run.config.id if by == "id" else str(run.folder)
    settings = f"--measures mknn cknna --n-samples 12 --k 3 --split val --data-root {tiny_root} --out {out}"
    monkeypatch.setattr("sys.argv", ["vilbert_lib", "measure", named, *settings.split()])
    main()
    shown = capsys.readouterr().out
    assert run.config.id in shown and "8 samples of val, best epoch" in shown
    assert set(pd.read_csv(out).measure) == {"mknn", "cknna"}
