"""The table of scores that a study is known by: architecture by task, mean and standard deviation over seeds."""

import dataclasses

import pandas as pd

from vilbert_lib import runs
from vilbert_lib.runs import Run

METRICS = ("test_accuracy", "test_auroc", "test_macro_f1")
#: Fields that follow from others, or say what is in a table anyway.
_FOLLOWING = {"task", "architecture", "seed", "data", "start_from", "model.vocab_size"}


def summaries(trained: list[Run]) -> pd.DataFrame:
    """:func:`vilbert_lib.runs.summaries`, with architectures told apart by settings in which their runs differ.

    Parameters
    ----------
    trained : list of Run
        Finished runs.

    Returns
    -------
    pandas.DataFrame
        A row a run. Where runs of one task and architecture have a seed in common, they are no repetitions of each
        other: ``architecture`` then names behind the architecture the fields in which they differ, as in
        ``late_fusion (frozen_layers 0)``.
    """
    results = runs.summaries(trained)
    if not results.duplicated(["task", "architecture", "seed"]).any():
        return results
    fields = pd.json_normalize([dataclasses.asdict(run.config) for run in trained]).astype(str)
    names = results.architecture.copy()
    for rows in results.groupby(["task", "architecture"]).groups.values():
        own = fields.loc[rows]
        differing = [name for name in own if own[name].nunique() > 1 and name not in _FOLLOWING]
        if differing and results.loc[rows].duplicated("seed").any():
            heads = [name.rpartition(".")[2] for name in differing]
            for row in rows:
                values = own.loc[row, differing]
                told = ", ".join(f"{head} {value or 'none'}" for head, value in zip(heads, values, strict=True))
                names[row] = f"{names[row]} ({told})"
    return results.assign(architecture=names)


def scores(results: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the test scores of architectures by task and metric, as text.

    Parameters
    ----------
    results : pandas.DataFrame
        Rows of :func:`summaries`.

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
