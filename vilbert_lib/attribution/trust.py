"""Which method to trust: each test's mean with its interval, and how many of them a method passes."""

import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.attribution.faithfulness import gains


def reach(table: pd.DataFrame, value: str, by: list[str], cluster: str = "model") -> pd.DataFrame:
    """Mean of ``value`` with the approximate 95 % interval of a two-stage bootstrap: models, then samples.

    One row a group of ``by``: its columns, ``mean``, ``low``, ``high`` and the number of ``models``.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        low, high = statistics.mean_interval(group, value, cluster=cluster)
        named = dict(zip(by, key, strict=True))
        rows.append(
            named | {"mean": group[value].mean(), "low": low, "high": high, "models": group[cluster].nunique()}
        )
    return pd.DataFrame(rows)


def trust(
    curves: pd.DataFrame, pointed: pd.DataFrame | None = None, untrained: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What each method reaches beyond chance in every test, and in how many the interval lies above zero.

    ``curves`` and ``pointed`` are those of :func:`curves` and :func:`pointing` with a column ``model``, and
    ``untrained`` is ``pointed`` for the same models before training; the latter two may be missing, where no
    evidence is known. One row a ``method``, ``side`` and ``test``, ``mean``, ``low``, ``high``, ``models``, and
    ``passed``. Tests are ``deletion`` and ``insertion``, area beyond a random order's; ``evidence``, share of
    relevance on it beyond its share of the places; ``first``, how often the most relevant place is evidence,
    beyond the same; and ``learned``, that less what it is before training (Adebayo et al. 2018): a word may be
    found by where it stands.
    """
    tests = [gains(curves).rename(columns={"curve": "test"})]
    if pointed is not None and len(pointed):
        tests += [
            pointed.assign(test=test, value=pointed[column] - pointed.chance)
            for test, column in (("evidence", "share"), ("first", "top"))
        ]
    if pointed is not None and untrained is not None and len(pointed):
        keys = ["model", "method", "side", "sample"]
        before = untrained.set_index(keys).top.rename("before")
        joined = pointed.join(before, on=keys)
        tests.append(joined.assign(test="learned", value=joined.top - joined.before))
    table = reach(pd.concat(tests, ignore_index=True), "value", ["method", "side", "test"])
    return table.assign(passed=table.low > 0)


def trusted(table: pd.DataFrame) -> pd.Series:
    """For each side the methods that passed every test of :func:`trust`, by their names in it.

    To pass all tests is no more likely by chance than to pass one, so their number needs no correction.
    """
    every = table.groupby(["side", "method"], sort=False).passed.all().reset_index()
    return every[every.passed].groupby("side").method.agg(list)
