"""What blocks do where they stand, on alignments that were made to have it."""

import itertools

import pandas as pd
import pytest

from studies import correlation, placement

PLACEMENTS = {"baseline": ((), ()), "late": ((2, 3), (1, 3)), "first": ((0,), (0,))}
STEP = 0.25  # what every block adds, from its layers on, once it is trained


def alignments(architectures=("baseline", "late"), seeds=(0, 1)) -> pd.DataFrame:
    rows = []
    for architecture, seed, epoch in itertools.product(architectures, seeds, (0, 1, 2)):
        for t, v in itertools.product(range(4), range(4)):
            blocks = zip(*PLACEMENTS[architecture], strict=True)
            met = sum(t >= a and v >= b for a, b in blocks)
            rows.append(
                {
                    "run": f"{architecture}-{seed}",
                    "task": "memes",
                    "architecture": architecture,
                    "seed": seed,
                    "epoch": epoch,
                    "best_epoch": 2,
                    "kind": "tv",
                    "measure": "cka",
                    "text_layer": t,
                    "vision_layer": v,
                    "value": 0.1 * seed + 0.01 * t + (STEP * met if epoch == 2 else 0) + (9 if epoch == 1 else 0),
                    "chance": 0.01,
                }
            )
    return pd.DataFrame(rows)


def test_layers_are_counted_from_the_first_block():
    found = placement.around_first_block(alignments(), PLACEMENTS, reach=2)
    assert set(found.architecture) == {"late"}
    late = found[(found.seed == 1) & (found.moment == "best")].set_index("offset").sort_index()
    assert list(late.index) == [-1, 0, 1]  # vision layer -1 and text layer 4 do not exist
    assert list(zip(late.text_layer, late.vision_layer, strict=True)) == [(1, 0), (2, 1), (3, 2)]
    assert list(late.value - late.control) == pytest.approx([0, STEP, STEP])
    untrained = found[found.moment == "untrained"]
    assert (untrained.value - untrained.control).abs().max() < 1e-12


def test_a_jump_is_told_from_what_happens_without_blocks():
    found = placement.jumps(alignments(), PLACEMENTS)
    trained = found[found.moment == "best"]
    assert len(trained) == 4 and set(trained.block) == {0, 1}
    assert list(trained.control_jump) == pytest.approx([0.01] * 4)
    assert list(trained.excess) == pytest.approx([STEP] * 4)
    assert found[found.moment == "untrained"].excess.abs().max() < 1e-12


@pytest.fixture(scope="module")
def rises() -> pd.DataFrame:
    """Seven architectures with blocks at different layers; before training they add nothing."""
    places = {"baseline": ((), ())} | {f"at{i}": ((i % 3 + 1,), (i // 3 + 1,)) for i in range(7)}
    PLACEMENTS.update(places)
    return placement.rises(placement.jumps(alignments(tuple(places)), places))


def test_what_blocks_add_is_told_apart_from_what_they_added_untrained(rises):
    best, untrained, learned = (rises.loc[("cka", moment)] for moment in ("best", "untrained", "learned"))
    assert best["mean"] == pytest.approx(STEP) and best.low <= STEP <= best.high
    assert best.p == pytest.approx(2 / 2**7) and best.flipped == "architecture" and best.clusters == 7
    assert untrained["mean"] == pytest.approx(0) and untrained.p == 1
    assert learned["mean"] == pytest.approx(STEP)


def test_lines_are_means_over_runs_with_an_interval():
    drawn = placement.lines(placement.around_first_block(alignments(), PLACEMENTS, reach=2))
    at = drawn.set_index(["line", "offset"])
    assert at["mean"]["trained", 0] - at["mean"]["trained, without blocks", 0] == pytest.approx(STEP)
    assert at["mean"]["untrained", 0] == pytest.approx(at["mean"]["trained, without blocks", 0])
    assert list(at["mean"]["chance"]) == pytest.approx([0.01] * 3)
    unknown = placement.around_first_block(alignments().assign(chance=float("nan")), PLACEMENTS, reach=2)
    assert "chance" not in set(placement.lines(unknown).line)
    assert (drawn.low <= drawn["mean"] + 1e-12).all() and (drawn["mean"] <= drawn.high + 1e-12).all()


def test_sentences_say_what_the_numbers_say(rises):
    trained, _, learned = correlation.of_blocks(rises, "cka")
    assert trained["verdict"] == "supported" and "rises after training by +0.250" in trained["sentence"]
    assert learned["estimate"] == pytest.approx(0.25)
    turned = rises.assign(mean=-rises["mean"], low=-rises.high, high=-rises.low)
    turned.loc[("cka", "best"), ["low", "high"]] = [-0.3, -0.2]
    assert next(correlation.of_blocks(turned, "cka"))["verdict"] == "contradicted"
    unsure = rises.assign(low=-1.0, high=1.0, p=0.4)
    assert {row["verdict"] for row in correlation.of_blocks(unsure, "cka")} == {"inconclusive"}


def test_layers_after_the_first_block_are_those_that_both_streams_run_after_it():
    assert placement.layers_after(PLACEMENTS | {"late": ((2, 3), (1, 3))}, 4, 4)["late"] == 2
    assert placement.layers_after({"none": ((), ()), "first": ((0,), (0,))}, 4, 4) == {"none": 0, "first": 4}
    # Pairs of 2 and 4 layers: (0, 0), (0, 1), (1, 2), (1, 3).
    assert placement.layers_after({"a": ((1,), (0,)), "b": ((0,), (3,))}, 2, 4) == {"a": 2, "b": 1}


def test_a_constant_layer_of_the_control_is_missing_and_a_missing_control_is_an_error():
    table = alignments()
    constant = (table.architecture == "baseline") & (table.vision_layer == 0) & (table.epoch == 2)
    found = placement.jumps(table.assign(value=table.value.mask(constant)), PLACEMENTS)
    best = found[found.moment == "best"]
    assert best.excess[best.block == 0].isna().all() and best.excess[best.block == 1].tolist() == pytest.approx(
        [STEP] * 2
    )
    with pytest.raises(
        ValueError, match=r"baseline has no run, or no such layers, for \[\{'task': 'memes', 'seed': 1"
    ):
        placement.jumps(table[(table.architecture != "baseline") | (table.seed == 0)], PLACEMENTS)


def test_a_block_before_the_first_layer_has_no_before():
    found = placement.jumps(alignments(("baseline", "late", "first")), PLACEMENTS)
    assert set(found.architecture) == {"late"}
    around = placement.around_first_block(alignments(("baseline", "first")), PLACEMENTS)
    assert around.offset.min() == 0


def test_of_two_architectures_rises_are_rows_that_say_so():
    found = placement.rises(placement.jumps(alignments(), PLACEMENTS))
    assert found[["mean", "p"]].isna().all(axis=None) and len(found) == 3
    assert found.note.str.contains("1 values of architecture: at least 3 are needed").all()
    assert next(correlation.of_blocks(found, "cka"))["sentence"] == "Not estimated."


def test_pairs_of_layers_are_means_over_seeds_of_both_moments():
    table = alignments().assign(
        x=lambda t: "t" + t.text_layer.astype(str), y=lambda t: "v" + t.vision_layer.astype(str)
    )
    before, after = (table[table.epoch == epoch] for epoch in (0, 2))
    drawn, said = placement.pairs_of_layers({"untrained": before, "trained": after}, "cka", "late", "memes")
    of_pair = drawn.set_index(["moment", "x", "y"]).value
    assert len(of_pair) == 2 * 16 and of_pair["trained", "t3", "v3"] == pytest.approx(0.05 + 0.03 + 2 * STEP)
    means = [table[table.architecture == "late"].value.mean() for table in (before, after)]
    said_means = f"{means[0]:.2f} untrained and {means[1]:.2f} trained"
    assert said == f"The mean over all pairs of a text and a vision layer is {said_means}."


def test_text_layers_against_vision_layers_are_means_over_seeds_of_both_moments():
    drawn, said = placement.text_against_vision(alignments(), "cka", "late")
    of_pair = drawn.set_index(["panel", "text_layer", "vision_layer"]).value
    assert len(of_pair) == 2 * 16
    assert of_pair["memes, trained", 3, 3] == pytest.approx(0.05 + 0.03 + 2 * STEP)
    assert said.startswith("The mean over all pairs of a text and a vision layer: ")
    assert list(drawn.panel.unique()) == ["memes, untrained", "memes, trained"]


def test_an_unknown_architecture_is_named():
    with pytest.raises(ValueError, match=r"placements lack.*late"):
        placement.jumps(alignments(), {"baseline": ((), ())})
