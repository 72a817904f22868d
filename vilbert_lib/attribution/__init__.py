"""Looking inside: what a score depends on, which method that says so can be trusted, how focused attention is."""

from vilbert_lib.attribution.entropy import entropies, focus
from vilbert_lib.attribution.faithfulness import (
    areas,
    curves,
    gains,
    inside,
    pointing,
    reach,
    trust,
    trusted,
)
from vilbert_lib.attribution.methods import METHODS, attribute
from vilbert_lib.attribution.passes import Relevance

__all__ = [
    "METHODS",
    "Relevance",
    "areas",
    "attribute",
    "curves",
    "entropies",
    "focus",
    "gains",
    "inside",
    "pointing",
    "reach",
    "trust",
    "trusted",
]
