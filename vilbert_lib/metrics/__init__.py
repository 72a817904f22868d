"""Measures of representational alignment: arrays in, numbers out; knows neither models nor files."""

from vilbert_lib.metrics.grid import alignment_grid
from vilbert_lib.metrics.registry import MEASURES, Measure

__all__ = ["MEASURES", "Measure", "alignment_grid"]
