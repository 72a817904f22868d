"""What two processes do at the same time leaves one settled attempt a slot."""

import time

import pytest
from optuna.trial import TrialState
from search_workers import small_profile

from vilbert_lib import search

BATCH = range(3)


@pytest.fixture
def two(tiny_profile, tiny_root, tmp_path, monkeypatch):
    """The same search, as two processes have it."""
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path))
    plan = search.Search(objectives=("hateful_memes.val_loss",), batch=3)
    records = [search.start(plan, small_profile(tiny_profile), tiny_root, heartbeat=1) for _ in range(2)]
    assert records[0].search == records[1].search and records[0].search.name.startswith("search-")
    return records


def states(record):
    return [trial.state.name for trial in record.study.get_trials()]


def test_no_attempt_is_made_by_two(two):
    for record in two:
        record.write_down(BATCH)
    assert states(two[0]) == ["WAITING"] * 3
    taken = [record.claim(BATCH, most) for record, most in zip(two, (2, 3), strict=True)]
    assert [[trial.number for trial in mine] for mine in taken] == [[0, 1], [2]]
    assert two[0].claim(BATCH, 3) == [] and states(two[0]) == ["RUNNING"] * 3


def test_of_two_attempts_at_a_slot_the_first_counts(two):
    two[0].write_down(BATCH)
    for trial in two[0].study.get_trials():  # as one writes who has not seen the other's
        two[1].study.add_trial(trial)
    assert len({(t.user_attrs["slot"], str(t.params)) for t in two[0].study.get_trials()}) == 3
    assert [trial.number for trial in two[1].claim(BATCH, 9)] == [0, 1, 2]
    assert states(two[0]) == ["RUNNING"] * 3 + ["FAIL"] * 3
    assert [trial.number for trial in two[0].slots().values()] == [0, 1, 2]


def test_a_process_that_was_taken_for_dead_changes_nothing_any_more(two):
    late, other = two
    late.write_down(BATCH)
    [mine] = late.claim(BATCH, 1)
    other.end(mine, TrialState.FAIL)  # as fail_the_dead does with those that show no sign of life
    other.write_down(BATCH)
    again = next(t for t in other.claim(BATCH, 9) if t.user_attrs["slot"] == mine.user_attrs["slot"])
    assert again.params == mine.params and again.number == 3
    late.note(mine, error="late")
    late.report(mine, 1, 9.0)
    late.end(mine, TrialState.COMPLETE, [9.0])
    assert other.slots()[mine.user_attrs["slot"]].number == 3
    other.end(again, TrialState.COMPLETE, [0.5])
    assert other.slots()[mine.user_attrs["slot"]].values == [0.5]


@pytest.mark.slow
def test_who_shows_signs_of_life_keeps_what_it_has_taken(two):
    two[0].write_down(BATCH)
    mine = two[0].claim(BATCH, 2)
    with two[0].alive(mine[:1]):
        time.sleep(5)
        two[1].fail_the_dead()
    assert [state for state in states(two[1]) if state != "WAITING"] == ["RUNNING", "FAIL"]
