"""Findings of ``01_finetuning``: baselines, variants, rare labels, and the alignment that training adds."""

from collections.abc import Iterator

import pandas as pd

from studies import floors
from vilbert_lib import stats as statistics
from vilbert_lib.data.formats import Record
from vilbert_lib.stats import alignment, findings


def samples_table(
    splits: dict[str, dict[str, list[Record]]], labels: dict[str, tuple[str, ...]], n_train: int, n_eval: int
) -> pd.DataFrame:
    """Count the samples of every task and split, those that are used, their images and their most frequent label.

    ``n_train`` and ``n_eval`` are the largest numbers for training and validation, 0: all.
    """
    limits, rows = {"train": n_train, "val": n_eval}, {}
    for task, parts in splits.items():
        for split, records in parts.items():
            used = min(limits.get(split) or len(records), len(records))
            counts = {"samples": len(records), "used": used, "images": len({r.img for r in records})}
            rows[task, split] = counts | floors.most_frequent_label(records, labels[task])
    return pd.DataFrame(rows).T


READS = {"text_only": "text", "image_only": "image"}


def results_table(results: pd.DataFrame, metrics: list[str], levels: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Tabulate test metrics over seeds by task and architecture, beside the best possible accuracy.

    Parameters
    ----------
    results : pandas.DataFrame
        Rows of :func:`vilbert_lib.runs.summaries`.
    metrics : list of str
        Columns of ``results``.
    levels : dict
        For each task ``best possible, both`` and the same for ``text`` and ``image``, if known.
    """
    parts = []
    for column in metrics:
        part = statistics.over_seeds(
            results[results[column].notna()], ["task", "architecture"], column, statistics.range_of(column)
        )
        reads = [READS.get(row.architecture, "both") for row in part.itertuples()]
        best = [levels[t].get(f"best possible, {side}") for t, side in zip(part.task, reads, strict=True)]
        part["best possible"] = best if column == "test_accuracy" else None
        parts.append(part.assign(figure=column.removeprefix("test_")))
    table = pd.concat(parts).set_index(["task", "architecture", "figure"])
    return table.sort_index(level=0, sort_remaining=False)


def effects(scores: pd.DataFrame, of: str, against: str, metrics: list[str]) -> pd.DataFrame:
    """What each kind in the column ``of`` changes in every metric, over seeds, by ``figure`` and kind.

    Columns of :func:`vilbert_lib.stats.over_seeds` of the differences to the kind ``against``, and under its name
    its own mean.
    """
    tables = [
        statistics.over_seeds(
            statistics.differences(scores, metric, of=of, against=against),
            [of],
            metric,
            statistics.range_of(metric, difference=True),
        ).assign(**{"figure": metric.removeprefix("test_"), against: scores[scores[of] == against][metric].mean()})
        for metric in metrics
    ]
    return pd.concat(tables).set_index(["figure", of])


def of_variants(differences: pd.DataFrame, task: str) -> Iterator[dict]:
    """Findings on variants of one model against Hadamard fusion from scratch, by test accuracy."""
    for name, row in differences.iterrows():
        yield findings.finding(
            f"{task}: does {name} change test accuracy, compared with Hadamard fusion from scratch?",
            f"On {task}, {name} changes test accuracy by {{}} against Hadamard fusion from scratch.",
            100 * row["mean"],
            100 * row.low,
            100 * row.high,
            margin=2,
            unit="points",
            n=row.seeds,
            digits=1,
        )


def of_balance(effects: pd.DataFrame, task: str) -> Iterator[dict]:
    """Findings on ways to treat rare labels, by accuracy and macro F1."""
    for (metric, way), row in effects.iterrows():
        if metric in ("accuracy", "macro_f1"):
            yield findings.finding(
                f"{task}: does balancing by {way} change {metric}?",
                f"On {task}, balancing by {way} changes {metric} by {{}}.",
                100 * row["mean"],
                100 * row.low,
                100 * row.high,
                margin=2,
                unit="points",
                n=row.seeds,
                digits=1,
            )


def of_training(measured: pd.DataFrame, architecture: str, measures: tuple[str, ...]) -> Iterator[dict]:
    """Findings on what training changes in the mean alignment over layers of one architecture."""
    rows = measured[measured.architecture == architecture]
    before, after = (alignment.per_run(rows, epoch=e).set_index("run") for e in ("untrained", "best"))
    for measure in (m for m in measures if m in after):
        change = (after[measure] - before[measure]).dropna()
        low, high = statistics.seed_interval(change, strict=False)
        yield findings.finding(
            f"{architecture}: does training raise {measure}?",
            f"Training changes the mean {measure} over the layers of {architecture} by {{}}.",
            change.mean(),
            low,
            high,
            direction="positive",
            margin=0.02,
            n=len(change),
        )


def against_best_possible(task: str, accuracy: float, most: float) -> str:
    """State a mean test accuracy against the one that the best possible model is expected to reach."""
    return f"{task}: {accuracy:.1%} of at most {most:.1%} expected from the best possible model on new samples."
