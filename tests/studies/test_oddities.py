"""Each experiment shows the oddity that it is there for, and the library's own value beside it."""

import pandas as pd
import pytest

from studies import oddities, sanity, thesis_log
from vilbert_lib.metrics import MEASURES


def test_randomized_decompositions_disagree_less_with_more_iterations():
    table = oddities.randomized_svcca(128, 64, 8, [0, 2, 8])
    assert (table.randomized < 0.99).all() and table.randomized.is_monotonic_increasing
    assert table.exact.to_numpy() == pytest.approx(1)
    assert (table.lowest <= table.randomized).all()


def test_roots_of_rounding_are_sometimes_not_numbers_and_ours_never():
    raw, ours = oddities.procrustes_roots(256, 32).itertuples(index=False)
    assert not raw[1].startswith("0 of") and ours[1] == "0 of 50"
    assert ours[2] < 1e-3


def test_long_rows_become_hubs_and_break_cycles():
    table = oddities.hubs(128, 16, 5, [0, 1])
    assert table["by dot products"][1] < 0.6 < table["by dot products"][0]
    assert table["most lists"][1] > 2 * table["most lists"][0]
    assert table["by cosines"][0] == table["by cosines"][1]


def test_lost_rows_give_the_thesis_numbers():
    table = oddities.lost_rows(512, 32, 32, [1, 0.25]).set_index("share of rows")
    thesis = thesis_log.read("measure_sanity").set_index("measure")
    assert table["LCS, identical"][1.0] == 32
    assert table["LCS, identical"][0.25] == thesis.identical["lcs_knn"]
    assert table["edit, independent"][0.25] == pytest.approx(thesis.random["edit_knn"], abs=2e-3)
    assert (table["edit, identical"] == 1).all()


def test_exact_and_drawn_moments_stand_side_by_side():
    table = sanity.closed_forms(64, 16, 5, 200)
    assert set(table.measure) == {m.name for m in MEASURES.values() if m.moments}
    error = 5 * table.deviation / 200**0.5 + 1e-9
    assert ((table["exact mean"] - table["mean"]).abs() < error).all()


def test_alike_rows_of_one_image_look_like_alignment_unless_images_are_permuted():
    table = sanity.several_texts(32, 4, 16, 5, permutations=99)
    assert (table["p, rows permuted"] == 0.01).all()
    assert (table["p, images permuted"] > 0.02).all()
    assert (table["chance, images permuted"] > table["chance, rows permuted"] + 0.05).all()


def test_the_thesis_table_stands_beside_ours():
    table = sanity.beside_thesis(64, 8, 5).set_index("measure")
    thesis = thesis_log.read("measure_sanity").set_index("measure")
    pd.testing.assert_series_equal(table["thesis, random"], thesis.random, check_names=False)
    assert table["ours, identical"]["svcca"] == pytest.approx(1)
    assert table.loc["cka_normed"].isna()["ours, random"], "the thesis' second CKA has no counterpart"


@pytest.mark.parametrize("measure", ["cka", "mknn", "r2", "wasserstein"])
def test_chance_levels_are_values_of_independent_pairs(measure):
    table = sanity.chance_levels([measure], [12, 20], [3], [4, 15], draws=2)
    assert table.groupby(["n", "k"]).size().to_dict() == {(12, 4): 2, (20, 4): 2, (20, 15): 2}, (
        "k >= n is left out"
    )
    row = table.iloc[-1]
    X, Y = sanity.known_pair("independent", 20, 3, seed=1)
    assert row.value == pytest.approx(MEASURES[measure](X, Y, k=15))


def test_the_raw_procrustes_distance_has_the_unit_of_the_features():
    table = oddities.scaled_procrustes(64, 8, [1, 10])
    assert table.raw[1] == pytest.approx(10 * table.raw[0])
    assert table.ours[1] == pytest.approx(table.ours[0])


def test_a_bandwidth_of_one_sees_nothing():
    table = oddities.bandwidths(128, 256).set_index("bandwidth")["RBF CKA"]
    assert table["sigma = 1"] == pytest.approx(1, abs=1e-6)
    assert table["1 x median distance"] < 0.9


def test_an_unknown_subject_of_the_log_is_named():
    with pytest.raises(ValueError, match=r"unknown subject 'nothing'; known: .*measure_sanity"):
        thesis_log.read("nothing")
