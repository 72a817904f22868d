"""A trial is runs like any others: trained once, found again, gone on with, ended early."""

import dataclasses
import os
import signal

import pandas as pd
import pytest
from interrupted import started
from optuna.trial import TrialState
from search_workers import killed_in, small_profile, work_on

from vilbert_lib import paths, runs, search
from vilbert_lib.config import AlignmentConfig
from vilbert_lib.runs import training
from vilbert_lib.search.plan import Search
from vilbert_lib.stats import alignment

ONE = Search(name="one", objectives=("hateful_memes.val_loss",), batch=2, startup=3)


@pytest.fixture(scope="module")
def scale(tiny_profile):
    return small_profile(tiny_profile)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Runs and studies of the test's own."""
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "data" / "runs"))


@pytest.fixture(scope="module")
def unbroken(scale, tiny_root, tmp_path_factory):
    """The trials of a search that nothing interrupted, and where its runs lie."""
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.mktemp("unbroken")
        patch.setenv("VILBERT_DATA", str(base))
        patch.setenv("VILBERT_RUNS", str(base / "runs"))
        record = search.start(ONE, scale, tiny_root)
        search.work(record, 5, jobs=1)
        return search.trials(record), base / "runs"


def test_a_trial_is_a_run_and_its_value_that_of_the_best_epoch(unbroken, scale, tiny_root, monkeypatch):
    table, store = unbroken
    monkeypatch.setenv("VILBERT_RUNS", str(store))
    assert list(table.number) == list(range(5)) and set(table.state) == {"complete"}
    for row in table.to_dict("records"):
        [run] = [runs.open_run(run_id) for run_id in row["runs"]]
        assert run.config == runs.configure(scale, tiny_root, "hateful_memes", row["architecture"])
        placed = run.config.model
        assert (placed.t_biattention_ids, placed.v_biattention_ids) == (row["t_ids"], row["v_ids"])
        epochs = run.metrics.set_index("epoch")
        assert row["hateful_memes.val_loss"] == epochs.val_loss[run.summary["best_epoch"]]


@pytest.mark.parametrize("stops", [[1, 2, 5], [3, 5]])
def test_a_search_that_stops_and_goes_on_asks_for_the_same(places, scale, tiny_root, unbroken, stops, monkeypatch):
    """Between batches, or in the middle of one. What was trained before costs nothing."""
    table, store = unbroken
    monkeypatch.setenv("VILBERT_RUNS", str(store))
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("trained again"))
    for stop in stops:
        record = search.start(ONE, scale, tiny_root)
        search.work(record, stop, at_once=1)
        assert len(search.trials(record)) == stop
    pd.testing.assert_frame_equal(search.trials(search.read("one")), table)


@pytest.mark.slow
def test_a_killed_search_is_taken_up_and_its_run_goes_on_from_its_checkpoint(places, scale, tiny_root, unbroken):
    process = started(killed_in, "checkpoint.pt", 5, ONE, scale, tiny_root, 5, str(paths.data() / "epochs"))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    record = search.start(ONE, scale, tiny_root, heartbeat=1)
    running = [t for t in record.study.get_trials() if t.state == TrialState.RUNNING]
    assert running, "what a dead process had taken"
    unfinished = [
        run_id
        for t in running
        for run_id in t.user_attrs["runs"]
        if not (paths.runs() / run_id / "summary.json").is_file()
    ]
    assert unfinished
    process = started(work_on, ONE, scale, tiny_root, 5, str(paths.data() / "epochs"))
    process.join()
    assert process.exitcode == 0
    pd.testing.assert_frame_equal(search.trials(record), unbroken[0])
    written = (paths.data() / "epochs").read_text().split()
    assert len(written) == len(set(written)), "an epoch was trained twice"
    assert not [t for t in record.study.get_trials() if not t.state.is_finished()]


def test_an_error_gives_the_trials_back_at_once(places, scale, tiny_root):
    record = search.start(ONE, scale, tiny_root)
    broken = dataclasses.replace(record, root=tiny_root.parent / "nowhere")
    with pytest.raises(OSError, match="nowhere"):
        search.work(broken, 2)
    states = [trial.state for trial in record.study.get_trials()]
    assert states == [TrialState.FAIL] * 2 and not record.slots()
    search.work(record, 2, jobs=1)
    assert list(search.trials(record).state) == ["complete"] * 2


def test_a_trial_that_diverges_is_settled_as_such_and_the_search_goes_on(places, scale, tiny_root):
    wild = dataclasses.replace(scale, finetune=dataclasses.replace(scale.finetune, lr=1e30, clip_norm=1e30))
    training = dataclasses.replace(ONE, space=("training",), batch=1, architecture="t1.2-v1.2")
    record = search.start(training, wild, tiny_root)
    search.work(record, 2)
    table = search.trials(record)
    assert list(table.state) == ["diverged"] * 2 and table["hateful_memes.val_loss"].isna().all()
    assert all("lower lr" in trial.user_attrs["error"] for trial in record.study.get_trials())
    assert search.pareto(record).empty and search.ready_to_use(record).empty


def test_several_objectives_of_several_tasks_and_seeds(places, scale, tiny_root):
    both = Search(
        name="both", objectives=("hateful_memes.val_accuracy", "easy_vqa.val_loss", "easy_vqa.alignment"),
        run_seeds=(0, 1), batch=2, measure="cka", aggregate="last",
    )  # fmt: skip
    record = search.start(both, scale, tiny_root)
    search.work(record, 1, jobs=1)
    for row in search.trials(record).to_dict("records"):
        trained = [runs.open_run(run_id) for run_id in row["runs"]]
        assert [(r.config.task, r.config.seed) for r in trained] == [
            ("hateful_memes", 0), ("hateful_memes", 1), ("easy_vqa", 0), ("easy_vqa", 1),
        ]  # fmt: skip
        first, second = trained[:2], trained[2:]
        assert row["hateful_memes.val_accuracy"] == pytest.approx(
            sum(r.summary["val_accuracy"] for r in first) / 2
        )
        measured = AlignmentConfig(measures=("cka",))
        last = alignment.per_run(runs.alignments(second, measured, tiny_root), "last", above_chance=True).cka
        assert row["easy_vqa.alignment"] == pytest.approx(last.mean())


def test_a_trial_that_ends_early_leaves_a_run_that_can_be_gone_on_with(places, scale, tiny_root):
    pruned = dataclasses.replace(ONE, name="pruned", prune=True, startup=2, batch=1)
    record = search.start(pruned, scale, tiny_root)
    for n_trials in range(3, 15):  # about every second one ends early
        search.work(record, n_trials)
        table = search.trials(record)
        if "ended early" in set(table.state):
            break
    assert set(table.state) == {"complete", "ended early"}
    for slot, trial in record.slots().items():
        [run_id] = trial.user_attrs["runs"]
        epochs = len(trial.intermediate_values)
        if table.state[slot] == "ended early":
            assert epochs < scale.finetune.epochs and trial.value == trial.intermediate_values[epochs]
        else:
            assert epochs == scale.finetune.epochs and (paths.runs() / run_id / "summary.json").is_file()
    assert len(list(paths.runs().glob("*/*/summary.json"))) < table.architecture.nunique()
    early = table[table.state == "ended early"].iloc[0]
    config = runs.configure(scale, tiny_root, "hateful_memes", early.architecture)
    whole = runs.train(config, tiny_root)
    assert len(whole.metrics) == scale.finetune.epochs + 1
    before = record.slots()[early.number].intermediate_values
    assert [whole.metrics.val_loss[epoch] for epoch in before] == list(before.values())
    again = search.start(dataclasses.replace(pruned, name="again"), scale, tiny_root)
    for architecture in table.architecture.unique():
        runs.train(runs.configure(scale, tiny_root, "hateful_memes", architecture), tiny_root)
    search.work(again, n_trials)
    pd.testing.assert_frame_equal(search.trials(again), table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "search 'one' was begun with other settings: search seed differ"),
        ({"batch": 3, "startup": 4}, "search batch, search startup differ"),
        (
            {"space": ("placement", "training")},
            "search space, space dropout, space epochs, space fusion, space lr",
        ),
    ],
)
def test_a_search_goes_on_only_with_the_settings_it_was_begun_with(places, scale, tiny_root, changes, message):
    search.start(ONE, scale, tiny_root)
    with pytest.raises(ValueError, match=message):
        search.start(dataclasses.replace(ONE, **changes), scale, tiny_root)


def test_what_cannot_be_trained_is_told_before_a_study_is_made(places, scale, tiny_root):
    wrong = dataclasses.replace(ONE, objectives=("hateful_meme.val_loss",))
    with pytest.raises(ValueError, match="unknown task 'hateful_meme'"):
        search.start(wrong, scale, tiny_root)
    with pytest.raises(ValueError, match="measure 'rank' is not recorded at profile 'tiny'"):
        search.start(dataclasses.replace(ONE, measure="rank"), scale, tiny_root)
    with pytest.raises(FileNotFoundError, match="search 'one' does not exist"):
        search.read("one")
    assert not os.path.exists(paths.studies())
