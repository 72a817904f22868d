"""From layers to one number a run, by hand."""

import pandas as pd
import pytest

from vilbert_lib.stats import alignment

COLUMNS = ["run", "epoch", "best_epoch", "kind", "text_layer", "vision_layer", "measure", "value"]
ROWS = [
    # The rows are out of order on purpose.
    ("a", 2, 2, "tv", 2, 2, "cka", 0.3),
    ("a", 2, 2, "tv", 0, 0, "cka", 0.6),
    ("a", 2, 2, "tv", 1, 1, "cka", 0.9),
    ("a", 2, 2, "tv", 0, 1, "cka", 9.0),
    ("a", 2, 2, "tt", -1, -1, "cka", 9.0),
    ("a", 2, 2, "vv", -1, -1, "cka", 9.0),
    ("a", 0, 2, "tv", 0, 0, "cka", 0.1),
    ("a", 0, 2, "tv", 1, 1, "cka", 0.2),
    ("a", 2, 2, "tv", 1, 1, "rsa", -0.4),
    ("a", 2, 2, "tv", 0, 0, "rsa", -0.2),
    ("b", 1, 1, "tv", 0, 0, "cka", 0.5),
    ("b", 1, 1, "tv", 1, 1, "cka", 0.7),
    ("b", 2, 1, "tv", 1, 1, "cka", 9.0),
    ("b", 0, 1, "tv", 0, 0, "cka", 0.4),
]


@pytest.fixture
def frame():
    table = pd.DataFrame(ROWS, columns=COLUMNS)
    return table.assign(paired=(table.kind == "tv") & (table.text_layer == table.vision_layer))


def test_paired_rows_are_numbered_by_the_deeper_stream():
    pairs = [(0, 0, True), (0, 1, True), (1, 0, False), (1, 2, True), (0, 3, False), (1, 3, True), (-1, -1, False)]
    rows = alignment.paired_rows(pd.DataFrame(pairs, columns=["text_layer", "vision_layer", "paired"]))
    assert rows.pair.tolist() == [0, 1, 2, 3] and rows.text_layer.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("aggregate", "last"), [("mean", 3.0), ("last", 5.0), ("max", 5.0)])
def test_streams_of_unequal_depth_end_at_the_last_layer_of_both(aggregate, last):
    """Three text and six vision layers, the deeper last layers written first."""
    rows = [("a", 1, 1, "tv", v // 2, v, "cka", float(v), v > 0) for v in (5, 4, 3, 2, 1, 0)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "paired"])
    assert alignment.per_run(table, aggregate).cka.tolist() == [last]


@pytest.mark.parametrize("layer", [0, 2])
def test_a_constant_layer_leaves_no_aggregate_that_it_belongs_to(frame, layer):
    """A mean of the other layers is another quantity, and the last but one layer is not the last."""
    of_layer = (frame.run == "a") & (frame.measure == "cka") & (frame.text_layer == layer) & frame.paired
    frame = frame.assign(value=frame.value.mask(of_layer))
    found = {name: alignment.per_run(frame, name).set_index("run").cka for name in alignment.AGGREGATES}
    assert pd.isna(found["mean"]["a"]) and pd.isna(found["max"]["a"])
    assert pd.isna(found["last"]["a"]) if layer == 2 else found["last"]["a"] == 0.3
    assert found["mean"]["b"] == pytest.approx(0.6)
    frame["value"] = frame.value.mask(frame.run == "a")
    assert alignment.per_run(frame).run.tolist() == ["a", "b"]  # a run without any value is not lost


def test_at_epoch_takes_each_runs_own_best(frame):
    assert set(map(tuple, alignment.at_epoch(frame, "best")[["run", "epoch"]].to_numpy())) == {("a", 2), ("b", 1)}
    assert set(alignment.at_epoch(frame, "untrained").epoch) == {0}


@pytest.mark.parametrize(
    ("aggregate", "cka", "rsa"),
    [("mean", [0.6, 0.6], -0.3), ("last", [0.3, 0.7], -0.4), ("max", [0.9, 0.7], -0.2)],
)
def test_one_row_a_run(frame, aggregate, cka, rsa):
    table = alignment.per_run(frame, aggregate)
    assert list(table.columns) == ["run", "cka", "rsa"]
    assert table.run.tolist() == ["a", "b"]
    assert table.cka.tolist() == pytest.approx(cka)
    assert table.rsa[0] == pytest.approx(rsa) and pd.isna(table.rsa[1])


def test_the_most_alike_layer_of_a_distance_is_the_nearest(frame):
    frame = frame.assign(measure=frame.measure.replace("rsa", "procrustes_distance"))
    assert alignment.per_run(frame, "max").procrustes_distance[0] == pytest.approx(-0.4)
    assert alignment.per_run(frame, "max").cka[0] == pytest.approx(0.9)


@pytest.mark.parametrize(("aggregate", "cka"), [("mean", 0.6 - 0.2), ("last", 0.3 - 0.3), ("max", 0.9 - 0.35)])
def test_what_chance_gives_is_taken_off(frame, aggregate, cka):
    """For the best layer, what chance gives for the best; a measure without a chance level stays."""
    frame = frame.assign(chance=0.1 * (frame.text_layer + 1), chance_best=0.35)
    frame.loc[frame.measure == "rsa", ["chance", "chance_best"]] = float("nan")
    table = alignment.per_run(frame, aggregate, above_chance=True)
    assert table.cka[0] == pytest.approx(cka)
    assert table.rsa[0] == pytest.approx(alignment.per_run(frame, aggregate).rsa[0])


def test_unknown_names_are_refused(frame):
    with pytest.raises(ValueError, match=r"unknown aggregate 'median'.*last, max, mean"):
        alignment.per_run(frame, "median")
    with pytest.raises(ValueError, match=r"unknown epoch 'last'.*best, untrained"):
        alignment.per_run(frame, epoch="last")


@pytest.mark.parametrize(("measure", "words"), [("wasserstein", "is a distance"), ("kca", "unknown primary")])
def test_what_is_declared_must_be_a_known_similarity(measure, words):
    alignment.declare("primary", "cka")
    with pytest.raises(ValueError, match=words):
        alignment.declare("primary", measure)
    alignment.declare("primary", "wasserstein", distances=True)
    with pytest.raises(ValueError, match="'wasserstein' is not recorded at this profile"):
        alignment.declare("primary", "wasserstein", ["cka"], distances=True)
