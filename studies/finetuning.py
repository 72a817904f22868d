"""Findings of ``01_finetuning``: baselines, variants, rare labels, and the alignment that training adds."""

from collections.abc import Iterator

import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.stats import alignment, findings


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
        low, high = statistics.seed_interval(change) if len(change) > 1 else (float("nan"),) * 2
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
