"""Findings of ``00_pretraining``: what is learned, what the contrastive term changes, and what it gains."""

from collections.abc import Iterator

import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.data.datasets import PretrainingDataset
from vilbert_lib.stats import findings

OBJECTIVES = {"mlm": "masked words", "mim": "masked patches", "ap": "alignment prediction"}
#: What the metrics of the objectives are called in a table.
METRICS = {
    f"val_{name}_{part}": f"validation {part} of {title}"
    for name, title in OBJECTIVES.items()
    for part in ("loss", "accuracy")
}


def variants(mixes: list[str], contrastive_weight: float) -> dict[str, dict]:
    """Name every pretraining: each mix of objectives, and variants of the last mix.

    Returns
    -------
    dict
        Keyword arguments of :func:`vilbert_lib.runs.configure` by name: the mix, the last mix with a contrastive
        term, and, if masked patches are among its objectives, compared at the patches that are not masked.
    """
    whole = mixes[-1]
    found = {mix: {"objectives": tuple(mix.split("+"))} for mix in mixes}
    objectives = {"objectives": tuple(whole.split("+"))}
    found[f"{whole}, contrastive"] = objectives | {"train": {"contrastive_weight": contrastive_weight}}
    if "mim" in objectives["objectives"]:
        found[f"{whole}, shown patches"] = objectives | {"train": {"mim_positions": "unmasked"}}
    return found


def examples(data: PretrainingDataset, count: int) -> pd.DataFrame:
    """Show the first pairs of a dataset as the model sees them: ``caption``, ``shown``, ``aligned``."""
    batch = data.__getitems__(list(range(count)))
    words = zip(batch["input_ids"], batch["attention_mask"], strict=True)
    shown = [" ".join(data.tokenizer.tokens(row[mask])) for row, mask in words]
    return pd.DataFrame({"caption": data.texts[:count], "shown": shown, "aligned": batch["aligned"].tolist()})


def chance_levels(word_floor: float, patches: int) -> dict[str, dict[str, float]]:
    """Accuracy of each objective without a model; ``patches`` are those of a whole batch."""
    return {"mlm": {"most frequent word": word_floor}, "mim": {"chance": 1 / patches}, "ap": {"chance": 0.5}}


def curves(objectives: list[str]) -> dict[str, dict[str, str]]:
    """Panels of the learning curves: loss and accuracy of every objective, training and validation."""
    return {
        f"{part}, {OBJECTIVES[name]}": {f"train_{name}_{part}": "training", f"val_{name}_{part}": "validation"}
        for part in ("loss", "accuracy")
        for name in objectives
    }


def differences_of(table: pd.DataFrame, metrics: list[str], against: str) -> pd.DataFrame:
    """Mean differences of the other variants to ``against`` over seeds, by metric: ``mean``, ``low``, ``high``."""
    rows = [
        statistics.over_seeds(
            statistics.differences(table, name, of="variant", against=against),
            ["variant"],
            name,
            within=statistics.range_of(name, difference=True),
        ).assign(figure=name)
        for name in metrics
    ]
    return pd.concat(rows).set_index("figure")


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
            asked |= {"mlm": ("prediction of masked words", word_floor, "the most frequent word")}
        for objective, (name, floor, rival) in asked.items():
            lead = 100 * (rows[f"val_{objective}_accuracy"] - floor)
            within = (-100 * floor, 100 * (1 - floor))
            low, high = statistics.seed_interval(lead, within, strict=False)
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
        metric = METRICS.get(row["figure"], row["figure"].replace("test_", "test "))
        yield findings.finding(
            f"Does {what} change {metric}?",
            f"{what[0].upper()}{what[1:]} changes {metric} by {{}}.",
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
