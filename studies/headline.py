"""The table of scores that a study is known by: architecture by task, mean and standard deviation over seeds."""

import dataclasses

import pandas as pd

from vilbert_lib.runs import Run

METRICS = ("test_accuracy", "test_auroc", "test_macro_f1")
#: Fields that follow from others, or say what is in a table anyway.
_FOLLOWING = {"task", "architecture", "seed", "data", "start_from", "model.vocab_size"}


def names(trained: list[Run]) -> dict[str, str]:
    """Name the architectures of runs by id, with the settings in which they differ.

    Where runs of one task, architecture and seed differ in their settings, they are no repetitions of each other:
    behind the architecture stand the fields in which they differ, as in ``late_fusion (frozen_layers 0)``.
    """
    described = pd.DataFrame([run.describe() for run in trained])
    fields = pd.json_normalize([dataclasses.asdict(run.config) for run in trained]).astype(str)
    fields = fields.drop(columns=[name for name in _FOLLOWING if name in fields]).assign(start=described.start)
    found = dict(zip(described.run, described.architecture, strict=True))
    for architecture, rows in described.groupby("architecture"):
        repeated = fields.loc[rows.index].groupby([rows.task, rows.seed]).nunique().max()
        differing = repeated.index[repeated > 1]
        for index, run in rows.run.items():
            told = ", ".join(f"{n.rpartition('.')[2]} {fields[n][index] or 'none'}" for n in differing)
            found[run] = f"{architecture} ({told})" if told else architecture
    return found


def named_by_settings(table: pd.DataFrame, trained: list[Run]) -> pd.DataFrame:
    """``table``, which has the column ``run``, with :func:`names` as ``architecture``."""
    return table.assign(architecture=table.run.map(names(trained)))


def name_of_first(trained: list[Run], architecture: str) -> str:
    """What :func:`names` calls the first run of ``architecture``."""
    return names(trained)[next(run.config.id for run in trained if run.config.architecture == architecture)]


def scores(results: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the test scores of architectures by task and metric, as text.

    Parameters
    ----------
    results : pandas.DataFrame
        Rows of :func:`vilbert_lib.runs.summaries`.

    Returns
    -------
    pandas.DataFrame
        A row an architecture, a column a task and recorded metric of ``accuracy``, ``auroc``, ``macro_f1``; each
        ``mean ± standard deviation`` over seeds, or the one value there is. Empty where a metric is not recorded.
    """
    metrics = [name for name in METRICS if name in results]
    groups = results.groupby(["architecture", "task"], sort=False)[metrics].agg(["mean", "std"])
    shown = {
        metric.removeprefix("test_"): groups[metric]["mean"].map("{:.4f}".format)
        + groups[metric]["std"].map(lambda sd: "" if pd.isna(sd) else f" ± {sd:.4f}")
        for metric in metrics
    }
    table = pd.DataFrame(shown).where(groups.xs("mean", axis=1, level=1).notna().to_numpy())
    table = table.unstack("task").swaplevel(axis=1)
    columns = [(task, metric) for task in results.task.unique() for metric in shown]
    return table.reindex(index=results.architecture.unique(), columns=columns).dropna(axis=1, how="all").fillna("")
