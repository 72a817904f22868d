"""What is proposed depends on the search and on the batches before, and on nothing else."""

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from vilbert_lib.config import profile
from vilbert_lib.search.plan import Search, ends_early, propose
from vilbert_lib.search.space import ranges

SPACE = ranges(("placement", "training"), profile("quick"))
SEARCH = Search(name="example", objectives=("easy_vqa.val_loss",), batch=3, startup=4, seed=1)


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def cost(parameters) -> float:
    """Small where the streams meet late, with few layers."""
    return abs(parameters["t_center"] - 10) + abs(parameters["v_center"] - 8) + parameters["num_coattn_layers"]


def settled(parameters, search=SEARCH, **others):
    values = [cost(parameters) * (1 if d == "minimize" else -1) for d in search.directions]
    return create_trial(params=parameters, distributions=SPACE, **({"values": values} | others))


def played(search, trials: int):
    known = []
    while len(known) < trials:
        known += [settled(parameters, search) for parameters in propose(search, SPACE, known)]
    return known


def test_the_same_search_proposes_the_same_and_another_seed_others():
    first, second, other = (
        [trial.params for trial in played(search, 12)]
        for search in (SEARCH, SEARCH, dataclasses.replace(SEARCH, seed=2))
    )
    assert first == second
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_tpe_learns_from_what_it_is_told_and_random_search_does_not():
    tpe, random = (played(dataclasses.replace(SEARCH, sampler=s), 60) for s in ("tpe", "random"))
    late = [sum(cost(trial.params) for trial in trials[30:]) / 30 for trials in (tpe, random)]
    assert late[0] < 0.7 * late[1]


@pytest.mark.parametrize(
    "objectives", [("a.val_loss", "b.val_accuracy"), ("a.val_loss", "a.-alignment", "b.val_loss")]
)
def test_several_objectives_are_searched_at_once(objectives):
    search = dataclasses.replace(SEARCH, objectives=objectives)
    trials = played(search, 30)
    costs = [cost(trial.params) for trial in trials]
    assert sum(costs[20:]) / 10 < 0.8 * sum(costs[:4]) / 4
    assert [t.params for t in trials] == [t.params for t in played(search, 30)]


def test_trials_that_diverged_or_ended_early_hold_their_place():
    known = played(SEARCH, 12)
    best = min(range(12), key=lambda i: known[i].value)
    failed = create_trial(state=TrialState.FAIL, params=known[best].params, distributions=SPACE)
    early = {"state": TrialState.PRUNED, "values": [99.0], "intermediate_values": {1: 99.0}}
    for other in (failed, settled(known[best].params, **early)):
        changed = [other if i == best else trial for i, trial in enumerate(known)]
        proposals = propose(SEARCH, SPACE, changed)
        assert len(proposals) == 3 and proposals == propose(SEARCH, SPACE, changed) != propose(
            SEARCH, SPACE, known
        )


def of_epochs(*figures):
    epochs = dict(enumerate(figures, start=1))
    known = played(SEARCH, 3)[0]
    return settled(known.params, values=[figures[-1]], intermediate_values=epochs)


def test_a_trial_ends_early_where_its_best_is_worse_than_the_median():
    before = [
        of_epochs(0.9, 0.5, 0.3),
        of_epochs(0.9, 0.6, 0.4),
        of_epochs(0.9, 0.7, 0.5),
        of_epochs(0.9, 0.8, 0.6),
    ]
    trial = create_trial(state=TrialState.RUNNING, params=before[0].params, distributions=SPACE)
    assert not ends_early(SEARCH, before, trial, {1: 0.95})  # the first epoch tells too little
    assert ends_early(SEARCH, before, trial, {1: 0.95, 2: 0.85})
    assert not ends_early(SEARCH, before, trial, {1: 0.95, 2: 0.60})
    assert not ends_early(SEARCH, before[:3], trial, {1: 0.95, 2: 0.85})  # fewer than startup whole trials
    rising = dataclasses.replace(SEARCH, objectives=("a.val_accuracy",))
    assert ends_early(rising, before, trial, {1: 0.1, 2: 0.2}) and not ends_early(rising, before, trial, {2: 0.9})
    assert trial.intermediate_values == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": ()}, "objective: at least one is needed"),
        ({"objectives": ("a.val_loss", "a.val_loss")}, "objective 'a.val_loss' is named twice"),
        ({"objectives": ("val_loss",)}, "objective 'val_loss' is not of the form <task>.<figure>"),
        (
            {"objectives": ("a.test_accuracy",)},
            "unknown figure 'test_accuracy'; known: -alignment, alignment, val_acc",
        ),
        ({"space": ("where",)}, "unknown space 'where'; known: placement, training"),
        ({"sampler": "grid"}, "unknown sampler 'grid'; known: random, tpe"),
        ({"batch": 0}, "batch 0 must be at least 1"),
        ({"name": "a/b"}, "name 'a/b' must be made of letters"),
        ({"measure": "procrustes_distance"}, "measure 'procrustes_distance' is a distance: declare a similarity"),
        ({"prune": True, "objectives": ("a.alignment",)}, "prune: only a search of one validation figure"),
        ({"prune": True, "run_seeds": (0, 1)}, "prune: only a search of one validation figure"),
        ({"objectives": "a.val_loss"}, "objectives 'a.val_loss' must be a list"),
    ],
)
def test_a_search_that_cannot_be_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SEARCH, **settings)
