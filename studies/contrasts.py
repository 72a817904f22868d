"""One thing changed, architecture by architecture and seed by seed, and over all architectures."""

import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.metrics import MEASURES

EVERYWHERE = "all architectures"


def contrasts(results: pd.DataFrame, value: str, *, of: str, against: str) -> pd.DataFrame:
    """Each kind in column ``of`` beside the kind ``against``, in the form of the thesis' tables.

    One row a task, architecture and kind: ``mean`` and ``sd`` of ``value`` over ``seeds``, and the mean
    ``difference`` to the kind ``against`` with the same seed, with Student's 95 % interval (``low``, ``high``).
    Of three architectures and more a row for all of them follows, with the interval and ``p`` of
    :func:`vilbert_lib.stats.paired`. ``note`` says where one seed gives no interval, and where a
    value that is NaN gives no difference. A ValueError where a seed lacks a kind.
    """
    rows = []
    for task, of_task in results.groupby("task", sort=False):
        for architecture, group in of_task.groupby("architecture", sort=False):
            steps = statistics.over_seeds(
                statistics.differences(group, value, of=of, against=against), [of], value
            )
            steps = steps.set_index(of)
            for kind, runs in group.groupby(of, sort=False):
                row = {"task": task, "architecture": architecture, of: kind, "mean": runs[value].mean()}
                row |= {"sd": runs[value].std(), "seeds": len(runs), "note": ""}
                if kind != against:
                    step = steps.loc[kind]
                    row |= {"difference": step["mean"], "low": step.low, "high": step.high}
                    row["note"] = _note(value, step)
                rows.append(row)
        if of_task.architecture.nunique() > 2 and of_task[value].notna().all():
            rows += _over_architectures(of_task, value, of, against, task)
    columns = ["task", "architecture", of, "mean", "sd", "seeds", "difference", "low", "high", "p", "note"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _note(value: str, step: pd.Series) -> str:
    if pd.isna(step["mean"]):
        return f"not estimated: {value} is NaN"
    return "no interval: one seed" if step.seeds < 2 else ""


def _over_architectures(of_task: pd.DataFrame, value: str, of: str, against: str, task: str) -> list[dict]:
    found = statistics.paired(of_task, value, of=of, against=against)
    means = of_task.groupby(of)[value].mean()
    return [
        {"task": task, "architecture": EVERYWHERE, of: row["of"], "mean": means[row["of"]]}
        | {"difference": row["mean"], "low": row["low"], "high": row["high"], "p": row["p"], "note": ""}
        for row in found.to_dict("records")
    ]


def sentences(table: pd.DataFrame, of: str, against: str, what: str) -> list[str]:
    """What each kind changed, on every task: over all architectures where there is such a row, else one by one."""
    found = []
    for task, of_task in table[table[of] != against].groupby("task", sort=False):
        for _, row in _shown(of_task).iterrows():
            if pd.isna(row.low):
                shown = "" if pd.isna(row.difference) else f" {row.difference:+.3f},"
                reason = row.note or "no interval"
                found.append(f"{task}, {row.architecture}: {row[of]} against {against}, {what}:{shown} {reason}.")
                continue
            verdict = "raises" if row.low > 0 else "lowers" if row.high < 0 else "is not shown to change"
            found.append(
                f"{task}, {row.architecture}: {row[of]} against {against} {verdict} {what}:"
                f" {row.difference:+.3f} {statistics.bracketed(row.low, row.high)}."
            )
    return found


def of_measures(table: pd.DataFrame) -> str:
    """By how many measures streams come nearer, or part: exploratory, of contrasts with a column ``measure``."""
    rows = _shown(table.dropna(subset="low"))
    if rows.empty:
        return "Exploratory: one seed, so that no measure has an interval."
    sign = rows.measure.map(lambda name: MEASURES[name].sign)
    ends = (sign * rows.low, sign * rows.high)
    nearer, apart = (pd.concat(ends, axis=1).min(axis=1) > 0, pd.concat(ends, axis=1).max(axis=1) < 0)
    more, less = (", ".join(rows.measure[which]) or "none" for which in (nearer, apart))
    return (
        f"Exploratory, {len(rows)} measures, of which chance alone has {0.05 * len(rows):.0f} leave out zero: the"
        f" streams are more alike by {nearer.sum()} ({more}), less by {apart.sum()} ({less})."
    )


def reach(*tables: pd.DataFrame) -> float:
    """The difference that these seeds could have shown: the largest half width of an interval; of one seed NaN."""
    rows = pd.concat([_shown(table.dropna(subset="difference")) for table in tables])
    return float((rows.high - rows.low).max() / 2)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    everywhere = table[table.architecture == EVERYWHERE]
    return everywhere if len(everywhere) else table
