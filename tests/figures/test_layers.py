"""A layer without a value keeps its place in the figures of layers."""

import itertools

import numpy as np
import pandas as pd

from vilbert_lib import figures


def alignments(without: int) -> pd.DataFrame:
    """Three by three layers of two runs; text layer ``without`` of both has no value."""
    rows = [
        {"run": f"r{seed}", "architecture": "a", "task": "t", "kind": "tv", "measure": "cka", "paired": t == v}
        | {"text_layer": t, "vision_layer": v, "x": f"t{t}", "y": f"v{v}"}
        | {"value": np.nan if t == without else 0.1 * t + 0.01 * v + 0.2 * seed}
        for seed, t, v in itertools.product((0, 1), range(3), range(3))
    ]
    return pd.DataFrame(rows)


def test_a_profile_has_a_gap_where_no_run_has_a_value():
    [line] = figures.layer_profiles(alignments(without=1)).axes[0].lines
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert np.isnan(line.get_ydata()[1])
    np.testing.assert_allclose(line.get_ydata()[[0, 2]], [0.1, 0.32])


def test_a_heatmap_leaves_the_layer_blank_in_its_place():
    table = alignments(without=1)
    of_grid = figures.layer_heatmaps(table, "cka").axes[0].images[0].get_array()
    every = pd.concat([table.assign(kind=kind) for kind in ("tt", "vv", "tv")])
    of_streams = figures.stream_heatmaps({"best": every}, "cka", "a", "t").axes[2].images[0].get_array()
    for values in (of_grid, of_streams):
        assert values.shape == (3, 3)
        assert np.ma.getmaskarray(values)[1].all() and not np.ma.getmaskarray(values)[[0, 2]].any()
