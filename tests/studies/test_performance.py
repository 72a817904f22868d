"""Alignment against performance on made runs: what was put in is found, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from studies import correlation, performance
from vilbert_lib import stats as statistics
from vilbert_lib.stats import findings

ARCHITECTURES, SEEDS = [f"a{i}" for i in range(8)], range(3)
MIXED = {name: 8 - i for i, name in enumerate(ARCHITECTURES)}
BLOCKS = {name: i % 3 for i, name in enumerate(ARCHITECTURES)}


def untrained(table: pd.DataFrame) -> pd.DataFrame:
    """Alignment before training that has nothing to do with that after it."""
    return table[["run"]].assign(cka=0.01 * np.random.default_rng(1).standard_normal(len(table)))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Eight architectures: on ``first`` the better are more alike, on ``second`` nothing goes with anything."""
    rng = np.random.default_rng(3)
    rows = []
    for task, effect in (("first", 1.0), ("second", 0.0)):
        quality = rng.standard_normal(len(ARCHITECTURES))
        other = rng.standard_normal(len(ARCHITECTURES))
        for i, architecture in enumerate(ARCHITECTURES):
            for seed in SEEDS:
                alike = effect * quality[i] + (1 - effect) * other[i]
                rows.append(
                    {
                        "run": f"{task}/{architecture}-{seed}",
                        "task": task,
                        "architecture": architecture,
                        "seed": seed,
                        "cka": 0.1 * (alike + 0.1 * rng.standard_normal()),
                        "noise": rng.standard_normal(),
                        "test_accuracy": 0.8 + 0.05 * (quality[i] + 0.1 * rng.standard_normal()),
                    }
                )
    return pd.DataFrame(rows)


def test_the_declared_comparison_is_that_of_the_statistics(table):
    found = performance.declared(table, "cka", "test_accuracy").set_index("task")
    first = table[table["task"] == "first"]
    assert list(found.index) == ["first", "second"]
    assert found.between["first"] == statistics.between(first, "cka", "test_accuracy")["r"]
    assert found.within_p["first"] == statistics.within(first, "cka", "test_accuracy")["p_permutation"]
    assert found.effective_n["first"] < 12 < found.n["first"] == 24
    assert found.between_p["first"] < 0.01 < found.between_p["second"]
    assert found.between_holm["first"] == min(1, 2 * found.between_p["first"])
    most = statistics.between_without(first, "cka", "test_accuracy").iloc[0]
    assert (found.left_out["first"], found.between_without["first"]) == (most.left_out, most.r)
    rest = first[first.architecture != most.left_out]
    assert found.without_p["first"] == statistics.between(rest, "cka", "test_accuracy")["p"]
    assert found.between_low["first"] < found.between["first"] < found.between_high["first"]
    assert 0.9 < found.kept["first"] < 1


def test_what_was_there_before_training_is_told_from_what_was_learned(table):
    before = untrained(table)
    found = performance.beside(table, before, MIXED, "cka", "test_accuracy").set_index(["task", "source"])
    assert list(found.index.levels[0]) == ["all tasks", "first", "second"]
    first = table[table.task == "first"]
    means = first.assign(
        learned=first.cka - first.run.map(before.set_index("run").cka), mixed=first.architecture.map(MIXED)
    )
    means = means.groupby("architecture").mean(numeric_only=True)
    expected = {
        source: means[name].corr(means.test_accuracy)
        for source, name in (
            ("at the best epoch", "cka"),
            ("what training adds", "learned"),
            ("layers after the first block", "mixed"),
        )
    }
    for source, r in expected.items():
        assert found.r["first", source] == pytest.approx(r)
    assert found.p["first", "what training adds"] < 0.01 < 0.05 < found.p["first", "before training"]
    assert found.r["all tasks", "before training"] == pytest.approx(
        (found.r["first", "before training"] + found.r["second", "before training"]) / 2
    )
    alone = performance.beside(first, before, MIXED, "cka", "test_accuracy")
    assert set(alone.task) == {"first"}


def test_the_family_is_corrected_and_constant_columns_are_no_part_of_it(table):
    found = performance.explored(table.assign(same=1.0), ["cka", "noise", "same"], "test_accuracy")
    assert set(found.task) == {"first", "second", "all tasks"}
    assert found[found.x == "same"][["r", "p", "p_family", "p_by"]].isna().all(axis=None)
    found = found[found.x != "same"]
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), performance.explored(table, ["cka", "noise"], "test_accuracy")
    )
    assert (found.p_family >= found.p - 1e-12).all() and (found.p_by >= found.p).all()
    of = found.set_index(["task", "x"])
    assert of.p_family["first", "cka"] < 0.05 < of.p_family["second", "cka"]
    assert of.p_family["first", "noise"] > 0.05


def test_a_difference_between_tasks_is_no_correlation(table):
    """Both sides higher on one task: pooled over tasks they would go together."""
    moved = table.assign(noise=table.noise + 100 * (table.task == "first"), test_accuracy=table.test_accuracy)
    moved.loc[moved.task == "first", "test_accuracy"] += 10
    found = performance.explored(moved, ["noise"], "test_accuracy").set_index("task")
    assert abs(moved.noise.corr(moved.test_accuracy)) > 0.9
    plain = performance.explored(table, ["noise"], "test_accuracy").set_index("task")
    assert found.r["all tasks"] == pytest.approx(plain.r["all tasks"])


def test_tasks_that_order_architectures_alike_are_told_from_others(table):
    third = table[table.task == "first"].assign(task="third")
    third["test_accuracy"] = np.exp(third.test_accuracy)
    found = performance.agreement_of_tasks(pd.concat([table, third]), "test_accuracy").set_index(["task", "other"])
    assert len(found) == 3
    assert found.r["first", "third"] == pytest.approx(1) and found.p_holm["first", "third"] < 0.01
    assert found.p_holm["first", "second"] > 0.05


@pytest.fixture(scope="module")
def few(table) -> pd.DataFrame:
    """Five architectures: all their orders are quickly gone through."""
    return table[table.architecture.isin(ARCHITECTURES[:5])].reset_index(drop=True)


@pytest.fixture(scope="module")
def with_constant(few) -> pd.DataFrame:
    """A third task on which every model predicts the majority class."""
    third = few[few.task == "first"].assign(task="third", test_accuracy=0.562)
    return pd.concat([few, third.assign(run=third.run.str.replace("first", "third"))], ignore_index=True)


def findings_of(table: pd.DataFrame) -> pd.DataFrame:
    """The findings of a study on alignment and performance, for the table of its runs."""
    declared = performance.declared(table, "cka", "test_accuracy")
    together = performance.together(table, declared, "cka", "test_accuracy")
    beside = performance.beside(table, untrained(table), MIXED, "cka", "test_accuracy")
    adjusted = performance.adjusted(table, untrained(table), MIXED, BLOCKS, "cka", "test_accuracy")
    wide = table.assign(**{"max cka": table.cka, "last cka": table.noise})
    rows = [
        *correlation.of_correlations(adjusted, declared, together, beside, "cka", "test_accuracy"),
        *correlation.of_layers(
            performance.most_and_last_together(wide, "cka"),
            performance.last_against_most(wide, ["cka"], "test_accuracy"),
            "cka",
            "test_accuracy",
        ),
        *correlation.of_tasks(performance.agreement_of_tasks(table, "test_accuracy")),
    ]
    found = findings.table("04_correlation", rows)
    assert not found.sentence.str.contains("nan").any() and found.verdict.notna().all()
    return found


def test_the_first_finding_is_the_declared_comparison_over_all_tasks(table):
    found = findings_of(table)
    wide = table.assign(
        before=table.run.map(untrained(table).set_index("run").cka),
        mixed=table.architecture.map(MIXED),
        blocks=table.architecture.map(BLOCKS),
    )
    expected = statistics.partial(wide, "cka", "test_accuracy", ["before", "mixed", "blocks"])
    assert (found.estimate[0], found.p[0], found.n[0]) == (expected["r"], expected["p"], len(ARCHITECTURES))
    assert "(declared)" in found.question[0] and not found.question[1:].str.contains("declared").any()
    negative = findings_of(table.assign(cka=-table.cka))
    assert negative.verdict[0] != "supported" and negative.estimate[0] == pytest.approx(-found.estimate[0])


def test_of_a_distance_it_is_the_smaller_that_should_go_with_performance(table):
    adjusted = performance.adjusted(table, untrained(table), MIXED, BLOCKS, "cka", "test_accuracy")
    first = adjusted[adjusted.task == "first"].reset_index(drop=True)
    arguments = first, table[:0].assign(between=[]), {"tasks": 1}, table[:0]
    [whole, *_] = correlation.of_correlations(*arguments, "procrustes_distance", "test_loss")
    [turned, *_] = correlation.of_correlations(*arguments, "procrustes_distance", "test_accuracy")
    assert whole["estimate"] > 0 and whole["low"] > 0 and whole["verdict"] == "supported"
    assert turned["verdict"] == "contradicted"


def test_every_target_is_correlated_by_value_and_by_rank(table):
    wide = table.assign(val_loss=-table.test_accuracy, test_auroc=np.nan)
    found = performance.every_target(wide, "cka").set_index(["task", "target", "coefficient"])
    assert set(found.index.get_level_values("target")) == {"test_accuracy", "val_loss"}
    means = table[table.task == "first"].groupby("architecture")[["cka", "test_accuracy"]].mean()
    for coefficient, method in (("Pearson", "pearson"), ("Spearman", "spearman")):
        r = means.cka.corr(means.test_accuracy, method=method)
        assert found.r["first", "test_accuracy", coefficient] == pytest.approx(r)
        assert found.r["first", "val_loss", coefficient] == pytest.approx(-r)


def test_a_task_on_which_all_models_predict_one_class_is_a_row_and_the_others_stay(few, with_constant):
    found, alone = (performance.declared(t, "cka", "test_accuracy") for t in (with_constant, few))
    pd.testing.assert_frame_equal(found[:2], alone, check_dtype=False)
    third = found.iloc[2]
    assert third.task == "third" and third.n == 15 and third[["between", "within", "icc_y"]].isna().all()
    assert third.note == "not estimated: " + "; ".join(
        f"column {what}"
        for what in (
            "test_accuracy is constant over all rows",
            "test_accuracy is constant over the means of architecture",
            "test_accuracy is constant within every architecture",
        )
    )
    both = performance.together(with_constant, found, "cka", "test_accuracy")
    assert both == statistics.together(few, "cka", "test_accuracy") and both["tasks"] == 2
    assert list(performance.forest(found).task) == ["first", "second"]
    explored = performance.explored(with_constant, ["cka"], "test_accuracy").set_index("task")
    expected = performance.explored(few, ["cka"], "test_accuracy").set_index("task")
    assert explored.r["all tasks"] == expected.r["all tasks"] and np.isnan(explored.r["third"])
    beside = performance.beside(with_constant, untrained(with_constant), MIXED, "cka", "test_accuracy")
    assert beside[beside.task == "third"].note.str.contains("test_accuracy is constant").all()
    assert (beside[beside.task != "third"].note == "").all()


def test_one_seed_gives_what_lies_between_architectures_and_no_more(few):
    one = few[few.seed == 0]
    found = performance.declared(one, "cka", "test_accuracy")
    assert found.between[0] == statistics.between(one[one.task == "first"], "cka", "test_accuracy")["r"]
    assert found[["within", "icc_x", "effective_n"]].isna().all(axis=None)
    assert "every architecture has one row" in found.note[0] and "leave dof -1" in found.note[0]
    assert performance.forest(found).empty
    rows = (
        findings_of(one)
        .set_index("question")
        .loc["first, between seeds of a placement: do cka and test_accuracy go together?"]
    )
    assert np.isnan(rows.estimate) and rows.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("values", "reason"),
    [(0.3, "column cka is constant"), (np.nan, "column cka holds NaN or infinity in 15 of 15 rows")],
)
def test_alignment_that_is_constant_or_nan_on_one_task_is_said_of_that_task(few, values, reason):
    lost = few.assign(cka=few.cka.where(few.task == "first", values))
    found = performance.declared(lost, "cka", "test_accuracy").set_index("task")
    assert found.between["first"] == performance.declared(few, "cka", "test_accuracy").between[0]
    assert np.isnan(found.between["second"]) and reason in found.note["second"]
    rows = findings_of(lost).set_index("question").estimate
    assert np.isnan(rows["second, across placements: do cka and test_accuracy go together?"])
    assert rows["first, across placements: do cka and test_accuracy go together?"] == found.between["first"]


def test_columns_of_all_aggregates_stand_side_by_side(table):
    last = table.assign(cka=table.cka + 1, noise=0.0)
    wide = performance.side_by_side({"mean": table, "last": last.sample(frac=1, random_state=0)}, ["cka", "noise"])
    assert list(wide["last cka"]) == pytest.approx(list(table.cka + 1))
    assert list(wide["mean noise"]) == list(table.noise) and "cka" not in wide


def test_where_no_task_can_be_analysed_all_of_them_are_named(with_constant):
    third = with_constant[with_constant.task == "third"]
    two = pd.concat([third, third.assign(task="fourth", run="fourth" + third.run)])
    found = findings_of(two)
    assert found.estimate.isna().all() and set(found.verdict) == {"inconclusive"}
    assert found.sentence.str.contains("ot estimated").all()


def test_a_last_layer_that_correlates_with_the_most_alike_one_cannot_be_distinguished_from_it(table):
    def verdict(last: pd.Series) -> dict:
        wide = table[table.task == "first"].assign(**{"max cka": table.cka, "last cka": last})
        layers = performance.last_against_most(wide, ["cka"], "test_accuracy")
        together = performance.most_and_last_together(wide, "cka")
        return next(correlation.of_layers(together, layers, "cka", "test_accuracy"))

    same = verdict(table.cka + 1e-3 * table.noise)
    assert same["verdict"] == "inconclusive" and "cannot distinguish them" in same["sentence"]
    assert "cannot distinguish" not in verdict(table.noise)["sentence"]


def test_the_band_over_layers_holds_for_all_at_once(table):
    """The first layer is the score itself, the others are noise: the band leaves out zero at the first alone."""
    first = table[table.task == "first"]
    rng = np.random.default_rng(5)
    parts = [
        pd.DataFrame({"run": first.run, "measure": "cka", "text_layer": i, "vision_layer": i, "paired": True})
        for i in range(6)
    ]
    values = [first.test_accuracy + 1e-3 * rng.standard_normal(len(first))]
    values += [rng.standard_normal(len(first)) for _ in parts[1:]]
    layers = pd.concat([part.assign(value=value) for part, value in zip(parts, values, strict=True)])
    found = performance.correlations_by_layer(layers, first, "cka", "test_accuracy")
    assert list(found.layer) == list(range(6)) and found.r[0] > 0.99
    assert ((found.low > 0) | (found.high < 0)).tolist() == [True] + 5 * [False]
    means = first.assign(x=values[3]).groupby("architecture")[["x", "test_accuracy"]].mean()
    assert found.r[3] == pytest.approx(means.x.corr(means.test_accuracy))


def test_the_strongest_correlations_of_either_sign_are_named():
    found = pd.DataFrame({"x": ["a", "b", "c"], "r": [0.2, -0.5, np.nan]})
    assert performance.strongest(found, 1) == "The highest r: a +0.20. The lowest: b -0.50."
    assert performance.strongest(found[2:]) == "No correlation can be estimated."


def test_within_one_seed_a_placement_no_correlation_is_estimated(table):
    found = performance.explored(table[table.seed == 0], ["cka"], "test_accuracy", level="within")
    assert found.r.isna().all() and len(found) == 3
    every = performance.explored(table, ["cka"], "test_accuracy", level="within").set_index("task")
    first = table[table.task == "first"]
    assert every.r["first"] == pytest.approx(statistics.within(first, "cka", "test_accuracy")["r"])
