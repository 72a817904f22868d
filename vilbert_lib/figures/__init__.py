"""Frames in, figures out: nothing is computed here but what is drawn."""

from vilbert_lib.figures.attribution import (
    colour_bar,
    coloured_text,
    explanation,
    on_evidence,
    overlays,
    removal_curves,
)
from vilbert_lib.figures.curves import bands, learning_curves, lines, reference_lines, shade_layers
from vilbert_lib.figures.diagram import architecture
from vilbert_lib.figures.layers import layer_heatmaps, layer_profiles, pair_heatmaps, stream_heatmaps
from vilbert_lib.figures.pictures import sample_grid, samples
from vilbert_lib.figures.points import alignment_against, intervals, performance
from vilbert_lib.figures.studies import around_block, family, measures_among_themselves, over_levels
from vilbert_lib.figures.style import caption, use_style

__all__ = [
    "alignment_against",
    "architecture",
    "around_block",
    "bands",
    "caption",
    "colour_bar",
    "coloured_text",
    "explanation",
    "family",
    "intervals",
    "layer_heatmaps",
    "layer_profiles",
    "learning_curves",
    "lines",
    "measures_among_themselves",
    "on_evidence",
    "over_levels",
    "overlays",
    "pair_heatmaps",
    "performance",
    "reference_lines",
    "removal_curves",
    "sample_grid",
    "samples",
    "shade_layers",
    "stream_heatmaps",
    "use_style",
]
