"""Tasks put together: against the weights written out."""

import numpy as np
import pandas as pd
import pytest
from made_runs import runs_of
from scipy import stats
from scipy.optimize import brentq

from vilbert_lib.stats import between, combine, together, within


def rows_of(tasks: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {"task": f"t{i}", **within(runs_of(4, 3 + i % 2, 0.5, rng, slope=0.5), "x", "y", draws=10)}
        for i in range(tasks)
    ]


def pooled(z: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Mean r and its 95 % interval, weights written out."""
    w = 1 / variance
    mean, half = (w * z).sum() / w.sum(), 1.959964 / np.sqrt(w.sum())
    return np.tanh([mean, mean - half, mean + half])


def test_tasks_are_weighted_by_their_degrees_of_freedom_less_one():
    rows = rows_of(6)
    found = combine(rows).set_index("kind")
    z, w = np.arctanh([row["r"] for row in rows]), np.array([row["dof"] - 1 for row in rows])
    assert found.loc["fixed", ["r", "low", "high"]].tolist() == pytest.approx(pooled(z, 1 / w), abs=1e-6)
    assert found.loc["task", "weight"].tolist() == pytest.approx(w / w.sum())
    assert combine(rows).kind.tolist() == ["task"] * 6 + ["fixed", "random"]
    for row, wanted in zip(found.loc["task"].itertuples(), rows, strict=True):
        assert (row.task, row.r, row.low) == (wanted["task"], wanted["r"], pytest.approx(wanted["low"]))


def test_the_random_effect_adds_the_variance_that_makes_the_tasks_as_different_as_they_are():
    rows = pd.DataFrame({"task": range(6), "r": [0.9, -0.5, 0.8, 0.1, 0.7, 0.4], "dof": [9, 5, 9, 23, 7, 9]})
    z, v = np.arctanh(rows.r), 1 / (rows.dof - 1)

    def excess(tau2: float) -> float:
        w = 1 / (v + tau2)
        return (w * (z - (w * z).sum() / w.sum()) ** 2).sum() - 5

    wanted = pooled(z, v + brentq(excess, 0, 10))
    found = combine(rows).set_index("kind")
    assert found.loc["random", ["r", "low", "high"]].tolist() == pytest.approx(wanted, abs=1e-4)
    assert float(found.loc["random", "note"].removeprefix("I2 = ")) > 0.5
    alike = combine(rows.assign(r=[0.29, 0.3, 0.31, 0.3, 0.29, 0.31])).set_index("kind")
    same = alike.loc[["fixed", "random"], ["r", "low", "high"]].to_numpy()
    assert same[0] == pytest.approx(same[1]) and alike.note.iloc[-1] == "I2 = 0.00"


def test_fewer_than_five_tasks_are_shown_and_not_combined():
    found = combine(rows_of(4))
    assert (found.kind == "task").all() and len(found) == 4
    assert found.note.str.startswith("Tasks are not combined: of 4 instead of 5").all()
    assert list(found.columns) == list(combine(rows_of(5)).columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="dof"), "no column 'dof'"),
        (lambda t: t.assign(task="vqa"), "task vqa is there twice"),
        (lambda t: t.assign(r=[0.1, 0.2, 1.0]), "task t2: r=1.0, dof=7; |r| < 1"),
        (lambda t: t.assign(dof=[9, 1, 9]), "task t1: .* dof=1; "),
        (lambda t: t.assign(r=[0.1, np.nan, 0.3]), "column r holds NaN or infinity in 1 of 3 rows"),
        (lambda t: t[:0], "no task to combine"),
    ],
)
def test_what_cannot_be_combined_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        combine(change(pd.DataFrame(rows_of(3))))


# Between architectures, on tasks that share them


def on_tasks(count: int, rng: np.random.Generator, shared: float = 0.9) -> pd.DataFrame:
    """Six architectures whose means of x, and of y, are nearly the same on every task; x and y unrelated."""
    common = rng.standard_normal((2, 6, 1))
    parts = []
    for task in range(count):
        x, y = (
            shared * common + (1 - shared) * rng.standard_normal((2, 6, 1)) + 0.1 * rng.standard_normal((2, 6, 3))
        )
        names = np.repeat([f"a{i}" for i in range(6)], 3)
        parts.append(pd.DataFrame({"task": f"t{task}", "architecture": names, "x": x.ravel(), "y": y.ravel()}))
    return pd.concat(parts, ignore_index=True)


def test_of_one_task_it_is_the_correlation_between():
    table = on_tasks(1, np.random.default_rng(0))
    found = between(table, "x", "y")
    one = together(table, "x", "y")
    assert {k: one[k] for k in ("r", "p", "clusters", "exact")} == {
        k: found[k] for k in ("r", "p", "clusters", "exact")
    }
    assert one["low"] < one["r"] < one["high"] and one["tasks"] == 1


def test_of_several_it_is_their_mean_and_rows_may_come_in_any_order():
    table = on_tasks(3, np.random.default_rng(0))
    found = together(table, "x", "y")
    each = [between(of_task, "x", "y")["r"] for _, of_task in table.groupby("task")]
    assert found["r"] == pytest.approx(np.mean(each)) and found["tasks"] == 3
    assert together(table.sample(frac=1, random_state=0), "x", "y") == pytest.approx(found)


def test_the_interval_is_the_jackknife_over_architectures():
    table = on_tasks(3, np.random.default_rng(0))

    def z(rows: pd.DataFrame) -> float:
        return np.mean([np.arctanh(between(of_task, "x", "y")["r"]) for _, of_task in rows.groupby("task")])

    parts = np.array([z(table[table.architecture != name]) for name in table.architecture.unique()])
    error = np.sqrt(5 / 6 * ((parts - parts.mean()) ** 2).sum())
    found = together(table, "x", "y")
    reach = stats.t.ppf(0.975, 5) * error
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.tanh([z(table) - reach, z(table) + reach])))
    three = table[table.architecture.isin(["a0", "a1", "a2"])]
    assert np.isnan(together(three, "x", "y")["low"])


def test_tasks_must_have_the_same_architectures():
    table = on_tasks(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="task t1 lacks a2, a5, which other tasks have"):
        together(table[(table.task == "t0") | ~table.architecture.isin(["a2", "a5"])], "x", "y")
    with pytest.raises(ValueError, match="no task"):
        together(table[:0], "x", "y")
