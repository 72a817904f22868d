"""One thing changed: what was put in comes out, per architecture and over all of them."""

import numpy as np
import pandas as pd
import pytest

from studies import contrasts
from vilbert_lib import stats as statistics


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    """Four architectures, three seeds: ``sum`` gains 0.1 on ``memes`` everywhere, nothing on ``food``."""
    rng = np.random.default_rng(1)
    rows = []
    for task, gain in (("memes", 0.1), ("food", 0.0)):
        for architecture in "abcd":
            for seed in range(3):
                base = 0.5 + 0.05 * rng.standard_normal()
                for fusion, step in (("hadamard", 0), ("sum", gain)):
                    rows.append(
                        {
                            "task": task,
                            "architecture": architecture,
                            "seed": seed,
                            "fusion": fusion,
                            "accuracy": base + step + 0.005 * rng.standard_normal(),
                        }
                    )
    return pd.DataFrame(rows)


def test_rows_are_those_of_the_thesis_tables(results):
    table = contrasts.contrasts(results, "accuracy", of="fusion", against="hadamard")
    assert list(table.columns[:6]) == ["task", "architecture", "fusion", "mean", "sd", "seeds"]
    first = table[(table.task == "memes") & (table.architecture == "a")].set_index("fusion")
    own = results[(results.task == "memes") & (results.architecture == "a") & (results.fusion == "sum")].accuracy
    assert first["mean"]["sum"] == pytest.approx(own.mean()) and first.sd["sum"] == pytest.approx(own.std())
    assert pd.isna(first.difference["hadamard"]) and first.difference["sum"] == pytest.approx(0.1, abs=0.02)
    assert first.low["sum"] < first.difference["sum"] < first.high["sum"]


def test_over_all_architectures_the_interval_is_that_of_pairs(results):
    table = contrasts.contrasts(results, "accuracy", of="fusion", against="hadamard")
    everywhere = table[table.architecture == contrasts.EVERYWHERE].set_index("task")
    memes = statistics.paired(results[results.task == "memes"], "accuracy", of="fusion", against="hadamard").iloc[
        0
    ]
    assert everywhere.difference["memes"] == memes["mean"] and everywhere.low["memes"] == memes["low"]
    assert everywhere.p["memes"] < 0.05 and everywhere.low["food"] < 0 < everywhere.high["food"]


def test_what_could_have_been_shown_is_half_the_widest_interval(results):
    table = contrasts.contrasts(results, "accuracy", of="fusion", against="hadamard")
    shown = table[table.architecture == contrasts.EVERYWHERE].dropna(subset="difference")
    assert contrasts.detectable_difference(table, table[table.task == "food"]) == pytest.approx(
        (shown.high - shown.low).max() / 2
    )


def test_a_seed_without_a_kind_is_an_error(results):
    with pytest.raises(ValueError, match="not there for every seed"):
        contrasts.contrasts(results.drop(index=0), "accuracy", of="fusion", against="hadamard")


def test_one_seed_has_a_difference_and_no_interval(results):
    one = results[(results.seed == 0) & (results.architecture == "a")]
    table = contrasts.contrasts(one, "accuracy", of="fusion", against="hadamard")
    row = table[(table.task == "memes") & (table.fusion == "sum")].iloc[0]
    assert (
        row.difference == pytest.approx(0.1, abs=0.02)
        and np.isnan(row.low)
        and row.note == "no interval: one seed"
    )
    first = next(contrasts.of_differences(table, "fusion", "hadamard", "accuracy"))
    assert first["estimate"] == pytest.approx(100 * row.difference) and first["verdict"] == "inconclusive"
    assert np.isnan(contrasts.detectable_difference(table))
    assert "no measure has an interval" in contrasts.note_on_measures(table.assign(measure="cka"))


def test_a_value_that_is_nan_is_said_of_its_task_alone(results):
    lost = results.assign(accuracy=results.accuracy.where((results.task == "food") | (results.seed > 0)))
    table = contrasts.contrasts(lost, "accuracy", of="fusion", against="hadamard")
    rows = [row["sentence"] for row in contrasts.of_differences(table, "fusion", "hadamard", "accuracy")]
    food = contrasts.contrasts(results[results.task == "food"], "accuracy", of="fusion", against="hadamard")
    of_food = [row["sentence"] for row in contrasts.of_differences(food, "fusion", "hadamard", "accuracy")]
    assert rows[4:] == of_food and len(rows) == 5
    assert contrasts.EVERYWHERE not in set(table[table.task == "memes"].architecture)
    assert "nan" not in " ".join(rows).lower()
