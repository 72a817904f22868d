"""The thesis' single trainings, set beside one another: what pretraining, contrast and placement changed."""

import numpy as np
import pandas as pd
from scipy import stats

from studies import thesis_log

PLACES = ["early", "middle", "late", "asymmetric"]
DAY_OF_LAYERS = "2025-10-05"  # twelve layers of each placement, with and without contrastive pretraining


def best_accuracies() -> pd.DataFrame:
    """Best validation accuracy of the four placements, a row a placement.

    ``none_again`` is a second fine-tuning without pretraining, of two days later; ``none`` is the mean of both.
    """
    best = thesis_log.read("learning_curves").groupby("series").val_accuracy.max()
    names = {
        "none_first": "03.10 none",
        "none_again": "05.10 none",
        "plain": "03.10 plain",
        "contrastive": "05.10 contrastive",
    }
    table = pd.DataFrame({c: [best[f"{place} {name}"] for place in PLACES] for c, name in names.items()}, PLACES)
    return table.assign(none=table[["none_first", "none_again"]].mean(axis=1)).rename_axis("placement")


def run_spread(best: pd.DataFrame) -> float:
    """Standard deviation of one training's best accuracy, from the pairs without pretraining."""
    return float(np.sqrt(((best.none_first - best.none_again) ** 2).mean() / 2))


def gains_differ(best: pd.DataFrame) -> float:
    """p of the hypothesis that pretraining gains the same at every placement (F test).

    The gains' variance against that of a difference of two trainings. Approximate: the trainings without
    pretraining enter both.
    """
    variance = (best.plain - best.none_first).var()
    return float(stats.f.sf(variance / (2 * run_spread(best) ** 2), len(best) - 1, len(best)))


def profiles(measure: str, date: str = DAY_OF_LAYERS) -> pd.DataFrame:
    """Alignment of text and vision by layer (columns), a row a training; only one epoch of each is logged."""
    rows = thesis_log.read("layer_alignment").query("measure == @measure and date == @date and kind == 'tv'")
    return rows.pivot(index="series", columns="layer", values="value").loc[rows.series.unique()]


def first_meeting(measures: list[str]) -> pd.DataFrame:
    """The value before and in the layer of the first block, a row a training and measure."""
    layers = thesis_log.read("layer_alignment").query("date == @DAY_OF_LAYERS")
    first = layers[layers.co_attention == 1].groupby("series").layer.min()
    rows = []
    for measure in measures:
        table = profiles(measure)
        rows += [
            {"series": s, "measure": measure, "before": values[first[s] - 1], "at": values[first[s]]}
            for s, values in table.iterrows()
        ]
    return pd.DataFrame(rows)


def last_and_largest(measure: str) -> pd.DataFrame:
    """A training's alignment in the last layer and its largest, with the accuracy of the epoch measured."""
    table = profiles(measure)
    epochs = thesis_log.read("layer_alignment").groupby("series").epoch.first()
    accuracy = thesis_log.read("learning_curves").set_index(["series", "epoch"]).val_accuracy
    return pd.DataFrame(
        {
            "last": table[table.columns[-1]],
            "largest": table.max(axis=1),
            "accuracy": [accuracy[series, epochs[series]] for series in table.index],
        }
    )


def contrast_in_last_layer(measures: list[str]) -> pd.DataFrame:
    """Last-layer alignment with contrastive pretraining less that without pretraining, a column a placement."""
    rows = {}
    for measure in measures:
        last = profiles(measure).iloc[:, -1]
        rows[measure] = {p: last[f"{p} 05.10 contrastive"] - last[f"{p} 05.10 none"] for p in PLACES}
    return pd.DataFrame(rows).T.rename_axis("measure")


def epochs_until(level: float) -> pd.Series:
    """The first epoch of each training with a validation accuracy of at least ``level``, by fusion and training.

    Of the trainings in October whose way to fuse is logged; the earlier ones are of another design.
    """
    curves = thesis_log.read("learning_curves").query("date >= '2025-10-01' and val_accuracy >= @level")
    return curves.dropna(subset="fusion").groupby(["fusion", "series"], sort=False).epoch.min()


def over_baseline() -> pd.DataFrame:
    """Accuracy of each placement at epoch 5 less that of the one baseline run; ``p`` is Student's.

    The deviation is pooled over the placements of the task and taken for the baseline's too.
    """
    rows = []
    for task, table in thesis_log.read("architectures_epoch5").groupby("task", sort=False):
        placed, alone = table[table.seeds > 1], table[table.seeds == 1].iloc[0]
        freedom = (placed.seeds - 1).sum()
        sd = np.sqrt(((placed.seeds - 1) * placed.sd**2).sum() / freedom)
        for row in placed.itertuples():
            gain = row.mean - alone["mean"]
            p = 2 * stats.t.sf(abs(gain) / (sd * np.sqrt(1 / row.seeds + 1)), freedom)
            rows.append({"task": task, "architecture": row.architecture, "gain": gain, "p": float(p)})
    return pd.DataFrame(rows)


def later_is_better(seeds: int = 3) -> pd.DataFrame:
    """Differences of neighbouring placements after pretraining, with Welch's p for ``seeds`` runs each."""
    table = thesis_log.read("fusion_placements")
    rows = []
    for (task, metric), group in table.groupby(["task", "metric"], sort=False):
        by_place = group.set_index("architecture")
        for lower, upper in (("early_fusion", "middle_fusion"), ("middle_fusion", "late_fusion")):
            a, b = by_place.loc[upper], by_place.loc[lower]
            p = stats.ttest_ind_from_stats(a["mean"], a.sd, seeds, b["mean"], b.sd, seeds, equal_var=False).pvalue
            step = {"from": lower, "to": upper, "difference": a["mean"] - b["mean"], "p": float(p)}
            rows.append({"task": task, "metric": metric} | step)
    return pd.DataFrame(rows)
