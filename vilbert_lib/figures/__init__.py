"""Frames in, figures out: nothing is computed here but what is drawn."""

from vilbert_lib.figures.attribution import (
    coloured_text,
    explanation,
    on_evidence,
    overlays,
    removal_curves,
)
from vilbert_lib.figures.curves import (
    bands,
    learning_curves,
    lines,
    profile_with_band,
    reference_lines,
    shade_layers,
)
from vilbert_lib.figures.layers import layer_heatmaps, layer_profiles, pair_heatmaps, stream_heatmaps
from vilbert_lib.figures.pictures import sample_grid
from vilbert_lib.figures.points import (
    alignment_against,
    intervals,
    performance,
    response_surfaces,
    scores_by_place,
)
from vilbert_lib.figures.search import (
    best_so_far,
    parallel_coordinates,
    parameter_importances,
    pareto_front,
    placement_map,
    regret,
    slices,
)
from vilbert_lib.figures.studies import (
    around_block,
    batch_bias,
    dose_response,
    family,
    measures_among_themselves,
)
from vilbert_lib.figures.style import caption, describe, use_style

__all__ = [
    "alignment_against",
    "around_block",
    "bands",
    "batch_bias",
    "best_so_far",
    "caption",
    "coloured_text",
    "describe",
    "dose_response",
    "explanation",
    "family",
    "intervals",
    "layer_heatmaps",
    "layer_profiles",
    "learning_curves",
    "lines",
    "measures_among_themselves",
    "on_evidence",
    "overlays",
    "pair_heatmaps",
    "parallel_coordinates",
    "parameter_importances",
    "pareto_front",
    "performance",
    "placement_map",
    "profile_with_band",
    "reference_lines",
    "regret",
    "removal_curves",
    "response_surfaces",
    "sample_grid",
    "scores_by_place",
    "shade_layers",
    "slices",
    "stream_heatmaps",
    "use_style",
]
