"""From the alignment of every layer to one number a run."""

from collections.abc import Sequence

import pandas as pd

from vilbert_lib.config import choose
from vilbert_lib.metrics import MEASURES

AGGREGATES = {"mean": "mean", "last": "last", "max": "max"}


def declare(field: str, measure: str, recorded: Sequence[str] | None = None, *, distances: bool = False) -> None:
    """Raise a ValueError that names ``field`` unless ``measure`` is known, and among the ``recorded`` ones.

    A distance is refused too, unless ``distances`` are meant as well.
    """
    similarities = [name for name, known in MEASURES.items() if known.sign > 0]
    if measure in MEASURES and measure not in similarities and not distances:
        raise ValueError(f"{field} {measure!r} is a distance: declare a similarity, of {', '.join(similarities)}")
    choose(field, measure, MEASURES if distances else similarities)
    if recorded is not None and measure not in recorded:
        raise ValueError(f"{field} {measure!r} is not recorded at this profile: name one of {', '.join(recorded)}")


def paired_rows(alignments: pd.DataFrame) -> pd.DataFrame:
    """The rows of a text and a vision layer at the same relative depth, see :func:`vilbert_lib.runs.alignments`.

    They gain a column ``pair``, the number of the pair from 0, that is the layer of the deeper stream.
    """
    rows = alignments[alignments.paired]
    return rows.assign(pair=rows[["text_layer", "vision_layer"]].max(axis=1))


def at_epoch(alignments: pd.DataFrame, epoch: str) -> pd.DataFrame:
    """The rows of one moment of each run: ``untrained`` (epoch 0) or ``best``."""
    choose("epoch", epoch, ("untrained", "best"))
    return alignments[alignments.epoch == (0 if epoch == "untrained" else alignments.best_epoch)]


def per_run(
    alignments: pd.DataFrame, aggregate: str = "mean", epoch: str = "best", *, above_chance: bool = False
) -> pd.DataFrame:
    """One number for each run and measure, over the pairs of layers at the same relative depth.

    Parameters
    ----------
    alignments : pandas.DataFrame
        A table of :func:`vilbert_lib.runs.alignments`.
    aggregate : {"mean", "last", "max"}
        How the pairs are combined. ``max`` is the pair with the highest alignment, of a distance the smallest.
    epoch : {"best", "untrained"}
        The epoch of each run.
    above_chance : bool
        Whether to subtract the chance level, for ``max`` that of the best pair. A measure without a chance
        level keeps its values.

    Returns
    -------
    pandas.DataFrame
        A row a run, with ``run`` and a column a measure. NaN where a pair that enters has no value (a
        constant layer): no pair is left out of a mean or a maximum, and the last pair is the last layer's.
    """
    choose("aggregate", aggregate, AGGREGATES)
    rows = at_epoch(paired_rows(alignments), epoch).sort_values("pair")
    if above_chance:
        level = rows.chance_best if aggregate == "max" else rows.chance
        rows = rows.assign(value=rows.value - level.fillna(0))
    signs = {name: MEASURES[name].sign for name in rows.measure.unique()}
    rows = rows.assign(value=rows.value * rows.measure.map(signs))  # of a distance the most alike is the smallest
    entering = rows.groupby(["run", "measure"]).tail(1) if aggregate == "last" else rows
    undefined = pd.MultiIndex.from_frame(entering.loc[entering.value.isna(), ["run", "measure"]])
    values = rows.groupby(["run", "measure"]).value.agg(AGGREGATES[aggregate])
    table = values.mask(values.index.isin(undefined)).unstack("measure")
    table *= [signs[name] for name in table]
    return table.rename_axis(columns=None).reset_index()
