"""Tables to arrays: what is refused, and sums cluster by cluster."""

import numpy as np
import pandas as pd
import pytest
from made_runs import uneven

from vilbert_lib import stats as statistics

TWO_COLUMNS = {
    "correlation": lambda t: statistics.correlation(t, "x", "y"),
    "between": lambda t: statistics.between(t, "x", "y"),
    "within": lambda t: statistics.within(t, "x", "y"),
    "max_t between": lambda t: statistics.max_t(t, ["z", "x"], "y"),
    "max_t within": lambda t: statistics.max_t(t, ["x"], ["z", "y"], level="within"),
    "difference": lambda t: statistics.difference_of_correlations(t, "z", "x", "y"),
    "effective_n": lambda t: statistics.effective_n(t, "x", "y"),
}


@pytest.mark.parametrize("name", TWO_COLUMNS)
def test_columns_that_are_not_there_or_not_numeric_are_refused_by_name(name):
    table = uneven().reset_index(drop=True)
    for wrong in (np.nan, np.inf, None):
        table.loc[[2, 5], "y"] = wrong
        with pytest.raises(ValueError, match="column y holds NaN or infinity in 2 of 11 rows"):
            TWO_COLUMNS[name](table)
    with pytest.raises(ValueError, match="no column 'y'; there are x, z, architecture"):
        TWO_COLUMNS[name](uneven().drop(columns="y"))
    with pytest.raises(ValueError, match="column y is not numeric"):
        TWO_COLUMNS[name](uneven().assign(y="high"))
    with pytest.raises(ValueError, match="column architecture is empty in 3 of 11 rows"):
        TWO_COLUMNS[name](uneven().replace({"architecture": {"c": None}}))


@pytest.mark.parametrize("name", [n for n in TWO_COLUMNS if n != "correlation"])
def test_a_constant_column_is_refused_by_name(name):
    for constant in (0.0, 0.1, 1e9):
        with pytest.raises(ValueError, match="column x is constant"):
            TWO_COLUMNS[name](uneven().assign(x=constant))


@pytest.mark.parametrize("name", ["between", "max_t between", "difference"])
def test_fewer_than_three_clusters_are_refused(name):
    with pytest.raises(ValueError, match="2 values of architecture: at least 3 are needed"):
        TWO_COLUMNS[name](uneven().query("architecture in ['a', 'c']"))


def test_clusters_that_differ_only_within_have_no_correlation_between():
    table = pd.DataFrame({"architecture": list("aaabbbccc"), "x": [0.1, 0.2, 0.7, 0.7, 0.1, 0.2, 0.2, 0.7, 0.1]})
    table["y"] = np.arange(9.0)
    with pytest.raises(ValueError, match="column x is constant over the means of architecture"):
        statistics.between(table, "x", "y")


def test_clusters_that_differ_only_between_have_no_correlation_within():
    table = uneven().assign(y=lambda t: t.architecture.map({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.7}))
    with pytest.raises(ValueError, match="column y is constant within every architecture"):
        statistics.within(table, "x", "y")


@pytest.mark.parametrize("name", [n for n in TWO_COLUMNS if n not in ("correlation", "difference")])
def test_the_scale_of_a_column_changes_nothing(name):
    table = uneven()
    found, scaled = TWO_COLUMNS[name](table), TWO_COLUMNS[name](table.assign(x=1e6 + 1e-3 * table.x))
    if isinstance(found, pd.DataFrame):
        assert np.allclose(found[["r", "p", "p_family"]], scaled[["r", "p", "p_family"]], atol=1e-6)
    else:
        assert scaled == pytest.approx(found, abs=1e-6)


def test_what_cannot_be_estimated_is_a_note_and_a_mistake_stays_an_error():
    table = pd.DataFrame({"architecture": list("aabbcc"), "x": 1.0, "y": range(6), "z": list("uvwxyz")})
    found = statistics.estimated(statistics.between, table, "x", "y")
    assert found == {"note": "not estimated: column x is constant over the means of architecture"}
    assert statistics.estimated(statistics.between, table, "y", "y")["note"] == ""
    for wrong in ("w", "z"):
        with pytest.raises(ValueError, match=r"no column 'w'|column z is not numeric"):
            statistics.estimated(statistics.between, table, wrong, "y")
    assert np.isnan(statistics.correlation(table, "x", "y")["r"])
    with pytest.raises(statistics.NotEstimableError, match="at least 2"):
        statistics.correlation(table[:1], "x", "y")
