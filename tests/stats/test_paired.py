"""Differences pair by pair."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from vilbert_lib.stats import differences, paired


def test_differences_are_taken_seed_by_seed():
    table = pd.DataFrame(
        {"model": ["asker", "asker", "none", "none"], "seed": [1, 0, 0, 1], "accuracy": [0.9, 0.8, 0.5, 0.7]}
    )
    found = differences(table, "accuracy", of="model", against="asker")
    assert found.values.tolist() == [[0, "none", pytest.approx(-0.3)], [1, "none", pytest.approx(-0.2)]]
    assert list(found.columns) == ["seed", "model", "accuracy"]
    with pytest.raises(ValueError, match="accuracy is not there for every seed"):
        differences(table[:3], "accuracy", of="model", against="asker")


def trained(architectures: int, seeds: int, gain: float, seed: int = 0) -> pd.DataFrame:
    """Three kinds of runs; ``high`` gains ``gain`` over ``none`` on average, ``same`` nothing."""
    rng = np.random.default_rng(seed)
    pairs = list(product([f"a{i}" for i in range(architectures)], range(seeds)))
    base = rng.standard_normal(len(pairs))
    kinds = {"high": base + gain + 0.1 * rng.standard_normal(len(pairs)), "none": base, "same": base}
    return pd.concat(
        pd.DataFrame(pairs, columns=["architecture", "seed"]).assign(kind=kind, value=values)
        for kind, values in kinds.items()
    )


def test_the_mean_is_that_of_the_pairs():
    table = trained(4, 3, 0.5)
    found = paired(table, "value", of="kind", against="none")
    assert list(found.columns) == ["of", "mean", "low", "high", "p", "pairs", "clusters", "flipped"]
    wide = table.pivot(index=["architecture", "seed"], columns="kind", values="value")
    assert found.of.tolist() == ["high", "same"]
    assert found["mean"].tolist() == pytest.approx([(wide.high - wide.none).mean(), 0], abs=1e-12)
    assert found[["pairs", "clusters"]].values.tolist() == [[12, 4]] * 2
    assert found.low[0] < found["mean"][0] < found.high[0]
    assert found.loc[1, ["low", "high", "p"]].tolist() == [0, 0, 1]


@pytest.mark.parametrize(("architectures", "seeds", "flipped"), [(4, 2, "pair"), (6, 2, "architecture")])
def test_p_is_that_of_all_signs_written_out(architectures, seeds, flipped):
    table = trained(architectures, seeds, 0.06)
    wide = table.pivot(index=["architecture", "seed"], columns="kind", values="value")
    steps = wide.high - wide.none
    if flipped == "architecture":
        steps = steps.groupby("architecture").sum()
    sums = [np.dot(s, steps) for s in product([1, -1], repeat=len(steps))]
    (row,) = paired(table[table.kind != "same"], "value", of="kind", against="none").to_dict("records")
    assert row["flipped"] == flipped
    assert row["p"] == pytest.approx(np.mean(np.abs(sums) >= abs(steps.sum()) - 1e-9))


def test_beyond_sixteen_clusters_signs_are_drawn():
    table = trained(20, 1, 0.02, seed=3)
    first, again, other = (
        paired(table, "value", of="kind", against="none", draws=999, seed=seed) for seed in (0, 0, 1)
    )
    assert first.equals(again) and first.p[0] >= 1 / 1000
    assert other.p[0] == pytest.approx(first.p[0], abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[1:], "value is not there for every kind and architecture, seed"),
        (lambda t: pd.concat([t, t[:1]]), "several rows of kind high, architecture a0, seed 0"),
        (lambda t: t.assign(value=np.nan), "column value holds NaN or infinity in 36 of 36 rows"),
        (lambda t: t.drop(columns="seed"), "no column 'seed'"),
        (lambda t: t[t.kind != "none"], "kind has no 'none'; there are high, same"),
        (lambda t: t[t.kind == "none"], "kind has no other kind than 'none'"),
        (lambda t: t[t.architecture < "a2"], "2 values of architecture: at least 3"),
    ],
)
def test_what_is_not_in_pairs_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        paired(change(trained(4, 3, 0.5)), "value", of="kind", against="none")


def test_the_difference_to_a_value_that_is_nan_is_nan():
    table = pd.DataFrame({"seed": [0, 0, 1, 1], "model": list("abab"), "accuracy": [0.5, 0.7, np.nan, 0.9]})
    found = differences(table, "accuracy", of="model", against="a")
    assert found.accuracy[0] == pytest.approx(0.2) and np.isnan(found.accuracy[1])
