"""Measures of representational alignment: arrays in, numbers out; knows neither models nor files.

Each measure is importable by its name (``from vilbert_lib.metrics import rsa``), so that no module
of this package may have the name of a measure.
"""

from vilbert_lib.metrics.grid import TiedNeighboursWarning, alignment_grid
from vilbert_lib.metrics.layers import InfluenceWarning
from vilbert_lib.metrics.registry import MEASURES, Measure

globals().update(MEASURES)

__all__ = ["MEASURES", "InfluenceWarning", "Measure", "TiedNeighboursWarning", "alignment_grid", *MEASURES]
