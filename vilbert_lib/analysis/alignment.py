"""From the alignment of every layer to one number a run."""

import pandas as pd

from vilbert_lib.config import choose
from vilbert_lib.metrics import MEASURES

AGGREGATES = {"mean": "mean", "last": "last", "max": "max"}


def declare(field: str, measure: str) -> None:
    """Raise a ValueError that names ``field`` unless ``measure`` is known and larger where more alike."""
    similarities = [name for name, known in MEASURES.items() if known.sign > 0]
    if measure in MEASURES and measure not in similarities:
        raise ValueError(f"{field} {measure!r} is a distance: declare a similarity, of {', '.join(similarities)}")
    choose(field, measure, similarities)


def same_layer(alignments: pd.DataFrame) -> pd.DataFrame:
    """The rows that compare a text layer with the vision layer of the same number."""
    return alignments[(alignments.kind == "tv") & (alignments.text_layer == alignments.vision_layer)]


def at_epoch(alignments: pd.DataFrame, epoch: str) -> pd.DataFrame:
    """The rows of one moment of each run: ``untrained`` (epoch 0) or ``best``."""
    choose("epoch", epoch, ("untrained", "best"))
    return alignments[alignments.epoch == (0 if epoch == "untrained" else alignments.best_epoch)]


def per_run(
    alignments: pd.DataFrame, aggregate: str = "mean", epoch: str = "best", *, above_chance: bool = False
) -> pd.DataFrame:
    """One row a run, one column a measure: ``mean``, ``last`` or ``max`` over the same-number layers.

    ``max`` is the layer that is most alike, of a distance the smallest. With ``above_chance`` what chance
    gives is taken off, for ``max`` what it gives for the best layer; a measure without a chance level
    keeps its values.
    """
    choose("aggregate", aggregate, AGGREGATES)
    rows = at_epoch(same_layer(alignments), epoch).sort_values("text_layer")
    if above_chance:
        level = rows.chance_best if aggregate == "max" else rows.chance
        rows = rows.assign(value=rows.value - level.fillna(0))
    signs = {name: MEASURES[name].sign for name in rows.measure.unique()}
    rows = rows.assign(value=rows.value * rows.measure.map(signs))  # of a distance the most alike is the smallest
    table = rows.pivot_table(index="run", columns="measure", values="value", aggfunc=AGGREGATES[aggregate])
    table *= [signs[name] for name in table]
    return table.rename_axis(columns=None).reset_index()
