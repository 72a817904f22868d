"""Tables of a search say what its trials say."""

import ast
import sys

import matplotlib
import numpy as np
import optuna
import pytest
from optuna.trial import create_trial
from search_workers import small_profile

from studies import placement_search
from vilbert_lib import config, figures, paths, search
from vilbert_lib.__main__ import main
from vilbert_lib.search.plan import propose
from vilbert_lib.search.space import settings_of

matplotlib.use("agg")


def played(name, scale, root, objectives, values, trials, **settings):
    """A search with ``trials`` trials of no runs, whose values are a function of their parameters."""
    plan = search.Search(name=name, objectives=objectives, batch=4, startup=8, **settings)
    record = search.start(plan, scale, root)
    while len(known := list(record.slots().values())) < trials:
        for i, parameters in enumerate(propose(plan, record.space, known)):
            attributes = {"slot": len(known) + i, "runs": [f"made/{len(known) + i}"]}
            attributes["architecture"] = settings_of(parameters, scale, plan.architecture)["architecture"]
            made = {"params": parameters, "distributions": record.space, "user_attrs": attributes}
            record.study.add_trial(create_trial(values=values(parameters), **made))
    return record


def loss(parameters) -> list[float]:
    return [1.0 + 0.1 * abs(parameters["t_center"] - 2) + 0.01 * parameters["num_coattn_layers"]]


@pytest.fixture(scope="module")
def scale(tiny_profile):
    return small_profile(tiny_profile)


@pytest.fixture(scope="module")
def one(scale, tiny_root):
    return played("one", scale, tiny_root, ("hateful_memes.val_loss",), loss, 24)


@pytest.fixture(scope="module")
def two(scale, tiny_root):
    def values(parameters):
        return [loss(parameters)[0], 0.5 + 0.01 * parameters["t_center"] * parameters["num_coattn_layers"]]

    names = ("hateful_memes.val_loss", "easy_vqa.val_accuracy")
    return played("two", scale, tiny_root, names, values, 24, space=("placement", "training"))


def test_there_is_a_row_a_trial_with_its_parameters_layers_and_values(one, scale):
    table = search.trials(one)
    assert list(table.number) == list(range(24)) and set(table.state) == {"complete"}
    for row in table.to_dict("records"):
        parameters = {name: row[name] for name in one.space}
        assert row["hateful_memes.val_loss"] == pytest.approx(loss(parameters)[0])
        assert row["architecture"] == settings_of(parameters, scale, "")["architecture"]
        assert len(row["t_ids"]) == len(row["v_ids"]) == row["num_coattn_layers"]


def test_no_trial_beats_one_of_the_front_and_every_other_is_beaten(one, two):
    table = search.pareto(two)
    cost = np.column_stack([table["hateful_memes.val_loss"], -table["easy_vqa.val_accuracy"]])
    beaten = [any((other <= mine).all() and (other < mine).any() for other in cost) for mine in cost]
    assert list(table.best) == [not b for b in beaten] and 0 < table.best.sum() < len(table)
    single = search.pareto(one)["hateful_memes.val_loss"]
    assert set(single[search.pareto(one).best]) == {single.min()}


def test_what_decides_is_found_to_be_important(one):
    table = search.importances(one).set_index("parameter").share
    assert table.sum() == pytest.approx(1) and table.idxmax() == "t_center"
    assert search.importances(one).equals(search.importances(one))


def test_every_pair_of_layers_that_met_has_the_mean_of_its_placements(one):
    density = search.placement_density(search.trials(one), "hateful_memes.val_loss").set_index(
        ["text_layer", "vision_layer"]
    )
    table = search.trials(one).drop_duplicates("architecture")
    pairs = [
        (t, v, row["hateful_memes.val_loss"])
        for row in table.to_dict("records")
        for t, v in zip(row["t_ids"], row["v_ids"], strict=True)
    ]
    assert density.trials.sum() == len(pairs)
    for t, v in {pair[:2] for pair in pairs}:
        of_pair = [value for *pair, value in pairs if pair == [t, v]]
        assert density.loc[(t, v)].value == pytest.approx(np.mean(of_pair))
        assert density.loc[(t, v)].trials == len(of_pair)


def test_the_best_configurations_can_be_taken_over(one, two, scale):
    best = search.ready_to_use(one, 3)
    assert best.architecture.is_unique and len(best) == 3
    values = best["hateful_memes.val_loss"]
    assert values.is_monotonic_increasing and values.iloc[0] == search.trials(one)["hateful_memes.val_loss"].min()
    ids = [ast.literal_eval(line)[0] for line in best.line]  # of ARCHITECTURES, less the names
    assert ids == [config.placement(architecture) for architecture in best.architecture]
    front = search.pareto(two)
    assert set(search.ready_to_use(two, 99).number) <= set(front[front.best].number)
    assert {"lr", "dropout", "epochs", "fusion"} <= set(search.ready_to_use(two))


def test_every_figure_can_be_drawn(one, two):
    value = "hateful_memes.val_loss"
    table, both = search.trials(one), search.trials(two)
    drawn = [
        figures.best_so_far(search.best_so_far(one), "validation loss"),
        figures.parallel_coordinates(table, list(one.space), value, "validation loss"),
        figures.parallel_coordinates(both, list(two.space), value, "validation loss"),
        figures.pareto_front(search.pareto(two), *two.search.objectives, two.search.objectives),
        figures.parameter_importances(search.importances(two)),
        figures.slices(both, list(two.space), value, "validation loss"),
        figures.placement_map(search.placement_density(table, value), 4, "validation loss"),
    ]
    for figure in drawn:
        figure.canvas.draw()
        matplotlib.pyplot.close(figure)


def test_a_study_of_something_else_is_left_alone(scale, tiny_root):
    paths.studies().mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{paths.studies() / 'else.db'}"
    study = optuna.create_study(storage=address, study_name="else")
    study.add_trial(create_trial(value=1.0))
    plan = search.Search(name="else", objectives=("hateful_memes.val_loss",))
    with pytest.raises(ValueError, match="'else' is the name of another study"):
        search.start(plan, scale, tiny_root)


def test_a_database_that_cannot_be_opened_is_told_without_its_password(scale, tiny_root, tmp_path):
    (paths.studies() / "broken.db").write_bytes(b"not a database" * 100)
    with pytest.raises(OSError, match="cannot be used: file is not a database"):
        search.read("broken")
    with pytest.raises(OSError, match="search 'any': its database cannot be used") as error:
        search.read("any", storage=f"postgresql+psycopg://me:secret@/base?host={tmp_path}")
    assert "secret" not in str(error.value)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["vilbert_lib", "search", *map(str, arguments)])
    main()


def test_the_command_works_on_a_search_and_says_what_was_best(monkeypatch, tiny_root, capsys):
    asked = ["command", "--objectives", "easy_vqa.val_loss", "--data-root", tiny_root]
    asked += ["--startup", 1, "--batch", 1]
    command(monkeypatch, *asked, "--trials", 1)
    [row] = search.trials(search.read("command")).to_dict("records")
    assert row["architecture"] in capsys.readouterr().out
    with pytest.raises(SystemExit, match="search batch differ"):
        command(monkeypatch, *asked, "--batch", 2, "--trials", 1)


def test_a_folder_with_special_characters_holds_the_database(scale, tiny_root, tmp_path, monkeypatch):
    """``?`` begins a query in the address of a database: what follows in the path was cut off."""
    folder = tmp_path / "a?b #c%20 {d}"
    monkeypatch.setattr(paths, "studies", lambda: folder)
    plan = search.Search(name="odd", objectives=("hateful_memes.val_loss",))
    record = search.start(plan, scale, tiny_root)
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}
    assert (folder / "odd.db").stat().st_size > 0 and search.read("odd").search == record.search
    with pytest.raises(ValueError, match="n_trials -1 must be at least 1"):
        search.work(record, -1)


def test_findings_compare_samplers_by_the_ends_of_their_searches(one, two, scale, tiny_root):
    random = played("against", scale, tiny_root, ("hateful_memes.val_loss",), loss, 24, sampler="random")
    [row] = placement_search.of_samplers([one, random])
    best = [search.trials(record)["hateful_memes.val_loss"].min() for record in (one, random)]
    assert (
        row["estimate"] == pytest.approx(best[1] - best[0]) and row["verdict"] == "inconclusive" and row["n"] == 1
    )
    assert not list(placement_search.of_samplers([one]))
    notes = placement_search.notes([one, random], [two])
    assert "48 trials of 2 searches" in notes[0] and "Pareto front" in notes[-1]
