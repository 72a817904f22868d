"""Findings of ``00_pretraining``: what is learned, what the contrastive term changes, and what it gains."""

from collections.abc import Iterator

import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.stats import findings


def of_objectives(results: pd.DataFrame, whole: str, word_floor: float) -> Iterator[dict]:
    """Findings on masked words and alignment prediction against what needs no model.

    Parameters
    ----------
    results : pandas.DataFrame
        A row a run: ``variant``, ``n_val``, ``val_mlm_accuracy``, ``val_ap_accuracy``.
    whole : str
        The variant with all objectives.
    word_floor : float
        Share of the masked words that are the most frequent one.
    """
    for variant, rows in results.groupby("variant", sort=False):
        asked = (
            {"ap": ("alignment prediction", 0.5, "chance")} if "ap" in variant.split(", ")[0].split("+") else {}
        )
        if variant == whole and "mlm" in whole.split("+"):
            asked |= {"mlm": ("masked words", word_floor, "the most frequent word")}
        for objective, (name, floor, rival) in asked.items():
            lead = 100 * (rows[f"val_{objective}_accuracy"] - floor)
            low, high = statistics.seed_interval(lead) if len(lead) > 1 else (float("nan"),) * 2
            yield findings.finding(
                f"{variant}: is {name} better than {rival}?",
                f"With {variant}, the accuracy of {name} differs from {rival} ({floor:.1%}) by {{}}.",
                lead.mean(),
                low,
                high,
                direction="positive",
                unit="points",
                n=len(rows),
                digits=1,
            )


def of_gradients(pulls: pd.DataFrame) -> Iterator[dict]:
    """Findings on the signal-to-noise ratio of each objective's gradient in the untrained model."""
    for row in pulls[pulls.model == "untrained"].dropna(subset="ratio").itertuples():
        yield findings.finding(
            f"Untrained model: does the gradient of {row.objective} have a signal?",
            f"The ratio of signal to noise of the gradient of {row.objective} is {{}}.",
            row.ratio,
            row.ratio - 2 * row.error,
            row.ratio + 2 * row.error,
            direction="positive",
            digits=4,
        )


def of_changes(contrast: pd.DataFrame, what: str) -> Iterator[dict]:
    """Findings on what a change of the objectives does to each metric (column ``figure``)."""
    for row in contrast.to_dict("records"):
        yield findings.finding(
            f"Does {what} change {row['figure']}?",
            f"{what[0].upper()}{what[1:]} changes {row['figure']} by {{}}.",
            row["mean"],
            row["low"],
            row["high"],
            margin=0.02,
            n=row["seeds"],
        )


def of_gains(gains: pd.DataFrame, task: str) -> Iterator[dict]:
    """Findings on the test accuracy that pretraining gains, by what was pretrained."""
    for name, row in gains.iterrows():
        yield findings.finding(
            f"Does pretraining with {name} raise test accuracy on {task}?",
            f"Fine-tuning after {name} changes test accuracy by {{}} against no pretraining.",
            100 * row["mean"],
            100 * row.low,
            100 * row.high,
            direction="positive",
            margin=2,
            unit="points",
            n=row.seeds,
            digits=1,
        )


def notes(best: pd.Series, memory: pd.DataFrame, augmented: bool, dropout: float) -> list[str]:
    """State the losses of the best epoch, and which starts ended in memorized training samples.

    Parameters
    ----------
    best : pandas.Series
        Metrics of the best epoch of the first run.
    memory : pandas.DataFrame
        By start: ``last_epoch_train_plain_accuracy`` and ``last_epoch_val_accuracy``.
    augmented, dropout
        Whether images were augmented, and the share of dropout.
    """
    found = [
        f"Loss at the best epoch: {best.train_loss:.3f} as trained (augmentation {'on' if augmented else 'off'},"
        f" dropout {dropout:g}), {best.train_plain_loss:.3f} on training pairs in evaluation mode,"
        f" {best.val_loss:.3f} on validation pairs."
    ]
    gap = memory.last_epoch_train_plain_accuracy - memory.last_epoch_val_accuracy
    return found + [
        f"Overfitting after {name}: after the last epoch {row.last_epoch_train_plain_accuracy:.0%} of the training"
        f" samples are right, {row.last_epoch_val_accuracy:.0%} of the validation samples."
        for name, row in memory[gap > 0.2].iterrows()
    ]
