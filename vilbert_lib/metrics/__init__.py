"""Measures of representational alignment: arrays in, numbers out; knows neither models nor files.

Each measure is importable by its name (``from vilbert_lib.metrics import rsa``) and called as ``rsa(X, Y)``, so
no module of this package may have the name of a measure. :func:`alignment_grid` measures many layers at once,
:func:`alignment_aggregates` two models as a whole, :class:`StreamingAlignment` batch by batch, and
:func:`measure` adds a measure of one's own.
"""

from vilbert_lib.metrics.custom import measure
from vilbert_lib.metrics.grid import TiedNeighboursWarning, alignment_aggregates, alignment_grid
from vilbert_lib.metrics.layers import InfluenceWarning
from vilbert_lib.metrics.registry import MEASURES, Measure

__all__ = [
    "MEASURES",
    "InfluenceWarning",
    "Measure",
    "StreamingAlignment",
    "TiedNeighboursWarning",
    "alignment_aggregates",
    "alignment_grid",
    "measure",
    *MEASURES,
]


def __getattr__(name: str):
    if name in MEASURES:
        return MEASURES[name]
    if name == "StreamingAlignment":  # torchmetrics takes a second to import
        from vilbert_lib.metrics.streaming import StreamingAlignment

        return StreamingAlignment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
