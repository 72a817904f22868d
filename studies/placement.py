"""What co-attention does to alignment where it stands: before and after a block, trained and not."""

import numpy as np
import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.metrics import MEASURES
from vilbert_lib.representations import paired_layers
from vilbert_lib.stats.alignment import at_epoch

#: Co-attention placements by name, as (text ids, vision ids).
Placements = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
_RUN = ["run", "task", "architecture", "seed"]


def _pairs(alignments: pd.DataFrame) -> pd.DataFrame:
    """Text against vision layers of both moments, one row a run, pair and measure."""
    across = alignments[alignments.kind == "tv"]
    parts = [at_epoch(across, moment).assign(moment=moment) for moment in ("untrained", "best")]
    columns = [*_RUN, "moment", "measure", "text_layer", "vision_layer", "value", "chance"]
    return pd.concat(parts)[columns]


def _beside_control(rows: pd.DataFrame, pairs: pd.DataFrame, control: str) -> pd.DataFrame:
    """Add ``control``: the same pair, task, seed and moment in the architecture without blocks.

    It is NaN, as ``value`` is, where a layer of the pair is constant.
    """
    keys = ["task", "seed", "moment", "measure", "text_layer", "vision_layer"]
    without = pairs[pairs.architecture == control][[*keys, "value"]].rename(columns={"value": "control"})
    found = rows.merge(without, "left", keys, indicator="found")
    if (lacking := found[found.found == "left_only"]).size:
        lacking = lacking[["task", "seed"]].drop_duplicates().to_dict("records")
        raise ValueError(f"{control} has no run, or no such layers, for {lacking}")
    return found.drop(columns="found")


def around_first_block(
    alignments: pd.DataFrame, placements: Placements, *, control: str = "baseline", reach: int = 3
) -> pd.DataFrame:
    """Alignment at the layers around the first meeting of the streams.

    ``offset`` 0 is the pair of layers that run right after the first block, -1 the pair right
    before it. One row a run, moment (``untrained``, ``best``), measure and offset in -reach..reach
    where both layers exist, with ``value``, ``chance`` and, as ``control``, the value of the same
    pair of layers in the architecture without blocks, of the same task and seed.

    A ValueError where an architecture of the runs is not among ``placements``, or ``control`` lacks a run.
    """
    pairs = _pairs(alignments)
    starts = {name: (t[0], v[0]) for name, (t, v) in _known(pairs, placements).items() if t}
    wanted = pd.DataFrame(
        [
            {"architecture": name, "offset": offset, "text_layer": t + offset, "vision_layer": v + offset}
            for name, (t, v) in starts.items()
            for offset in range(-reach, reach + 1)
        ]
    )
    return _beside_control(pairs.merge(wanted, on=["architecture", "text_layer", "vision_layer"]), pairs, control)


def jumps(alignments: pd.DataFrame, placements: Placements, *, control: str = "baseline") -> pd.DataFrame:
    """How alignment changes from the pair of layers before a block to the pair after it.

    One row a run, moment, measure and block (numbered from 0) that has a layer before it on both
    sides: ``jump``, the same as ``control_jump`` between the same layers without blocks, and
    ``excess``, what is left of the jump without it. Of a distance it is the fall that counts, so that
    larger is always more alike. Errors as :func:`around_first_block`.
    """
    pairs = _pairs(alignments)
    wanted = pd.DataFrame(
        [
            {
                "architecture": name,
                "block": block,
                "side": side,
                "text_layer": t + shift,
                "vision_layer": v + shift,
            }
            for name, (t_ids, v_ids) in _known(pairs, placements).items()
            for block, (t, v) in enumerate(zip(t_ids, v_ids, strict=True))
            if t and v
            for side, shift in (("before", -1), ("after", 0))
        ]
    )
    rows = _beside_control(pairs.merge(wanted, on=["architecture", "text_layer", "vision_layer"]), pairs, control)
    wide = rows.pivot(index=[*_RUN, "moment", "measure", "block"], columns="side", values=["value", "control"])
    towards = wide.index.get_level_values("measure").map(lambda name: MEASURES[name].sign)
    found = pd.DataFrame(
        {
            "jump": towards * (wide["value", "after"] - wide["value", "before"]),
            "control_jump": towards * (wide["control", "after"] - wide["control", "before"]),
        }
    ).reset_index()
    return found.assign(excess=found.jump - found.control_jump)


def _known(pairs: pd.DataFrame, placements: Placements) -> Placements:
    there = list(dict.fromkeys(pairs.architecture))
    if missing := [name for name in there if name not in placements]:
        raise ValueError(f"placements lack {missing}")
    return {name: placements[name] for name in there}


def layers_after(placements: Placements, text_layers: int, vision_layers: int) -> dict[str, int]:
    """How many pairs of layers at the same relative depth run after the first block; 0 without blocks."""
    pairs = paired_layers(text_layers, vision_layers)
    return {
        name: sum(t >= t_ids[0] and v >= v_ids[0] for t, v in pairs) if t_ids else 0
        for name, (t_ids, v_ids) in placements.items()
    }


def lines(around: pd.DataFrame) -> pd.DataFrame:
    """Means of :func:`around_first_block`, for a figure.

    Columns ``measure``, ``line``, ``offset``, ``mean``, ``low``, ``high``. Lines are the trained and the
    untrained model, the trained model without blocks, and chance, where the pairs have such a level: some measures
    have it for pairs at the same relative depth alone. The interval is that of the two-stage bootstrap over
    architectures; a mean over runs of which some have no value (NaN) has none.
    """
    trained, untrained = (around[around.moment == moment] for moment in ("best", "untrained"))
    drawn = {
        "trained": trained,
        "untrained": untrained,
        "trained, without blocks": trained.assign(value=trained.control),
        "chance": trained.assign(value=trained.chance).dropna(subset="value"),
    }
    rows = []
    for line, table in drawn.items():
        for (measure, offset), group in table.groupby(["measure", "offset"], sort=False):
            low, high = statistics.mean_interval(group, "value") if group.value.notna().all() else (np.nan, np.nan)
            named = {"measure": measure, "line": line, "offset": offset}
            rows.append(named | {"mean": group.value.mean(), "low": low, "high": high})
    return pd.DataFrame(rows)


def pairs_of_layers(
    moments: dict[str, pd.DataFrame], measure: str, architecture: str, task: str
) -> tuple[pd.DataFrame, str]:
    """Alignment of every pair of layers at each of ``moments`` (name: alignments), and a sentence on it.

    Mean over seeds: what :func:`vilbert_lib.figures.stream_heatmaps` draws.
    """
    rows = pd.concat([part.assign(moment=name) for name, part in moments.items()])
    rows = rows[(rows.measure == measure) & (rows.architecture == architecture) & (rows.task == task)]
    drawn = rows.groupby(["moment", "kind", "x", "y"], sort=False, as_index=False).value.mean()
    means = drawn[drawn.kind == "tv"].groupby("moment", sort=False).value.mean()
    *firsts, last = (f"{mean:.2f} {moment}" for moment, mean in means.items())
    said = f"{', '.join(firsts)} and {last}" if firsts else last
    return drawn, f"The mean over all pairs of a text and a vision layer is {said}."


def text_against_vision(measured: pd.DataFrame, measure: str, architecture: str) -> tuple[pd.DataFrame, str]:
    """Alignment of every text layer with every vision layer, untrained and trained, and a sentence on it.

    Mean over the seeds of ``architecture``, on every task: what :func:`vilbert_lib.figures.layer_heatmaps` draws,
    with the task and the moment as ``panel``.
    """
    rows = measured[(measured.measure == measure) & (measured.architecture == architecture)]
    moments = {"untrained": at_epoch(rows, "untrained"), "trained": at_epoch(rows, "best")}
    drawn = pd.concat([part.assign(panel=part.task + ", " + name) for name, part in moments.items()])
    drawn = drawn[drawn.kind == "tv"].sort_values("panel", ascending=False, kind="stable")
    by = ["panel", "kind", "measure", "text_layer", "vision_layer"]
    drawn = drawn.groupby(by, sort=False, as_index=False).value.mean()
    means = drawn.groupby("panel", sort=False).value.mean()
    said = ", ".join(f"{mean:.2f} ({name})" for name, mean in means.items())
    return drawn, f"The mean over all pairs of a text and a vision layer: {said}."


def rises(steps: pd.DataFrame) -> pd.DataFrame:
    """What a block adds, from :func:`jumps`: one row a measure and moment.

    Over the blocks of a run the mean is taken first; then runs are compared with those without blocks
    (:func:`vilbert_lib.stats.paired`), ``untrained`` and at their ``best`` epoch, and in the row
    ``learned`` what a block adds at the best epoch with what it added before training.
    Columns ``mean``, ``low``, ``high``, ``p``, ``pairs``, ``clusters``, ``flipped``, and a ``note`` where these
    are not estimated: fewer than three architectures have a layer before a block, or a value is NaN.
    """
    pairs = ["architecture", "task", "seed"]
    columns = ["jump", "control_jump", "excess"]
    means = steps.groupby(["measure", "moment", *pairs], sort=False)[columns].mean().reset_index()
    rows = []
    for measure, of_measure in means.groupby("measure", sort=False):
        for moment, group in of_measure.groupby("moment", sort=False):
            long = group.melt(pairs, ["jump", "control_jump"], "kind", "step")
            found = statistics.estimated(_paired, long, "step", of="kind", against="control_jump", pairs=pairs)
            rows.append({"measure": measure, "moment": moment} | found)
        found = statistics.estimated(_paired, of_measure, "excess", of="moment", against="untrained", pairs=pairs)
        rows.append({"measure": measure, "moment": "learned"} | found)
    columns = ["measure", "moment", "mean", "low", "high", "p", "pairs", "clusters", "flipped", "note"]
    return pd.DataFrame(rows).reindex(columns=columns).set_index(["measure", "moment"])


def _paired(*args, **settings) -> dict:
    return statistics.paired(*args, **settings).drop(columns="of").iloc[0].to_dict()
