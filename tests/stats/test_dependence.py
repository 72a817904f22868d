"""Intraclass correlation against analysis of variance; effective numbers against simulation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from made_runs import runs_of, uneven
from statsmodels.stats.anova import anova_lm

from vilbert_lib.stats import effective_n, effective_number, icc, reliability


def test_unequal_clusters_count_by_their_usual_mean_size():
    table = uneven()
    between, within = anova_lm(smf.ols("x ~ C(architecture)", table).fit()).mean_sq
    size = (11 - (16 + 1 + 9 + 9) / 11) / 3
    assert icc(table, "x") == pytest.approx((between - within) / (between + (size - 1) * within))
    wanted = effective_number(11, (16 + 1 + 9 + 9) / 11, icc(table, "x"), icc(table, "y"))
    assert effective_n(table, "x", "y") == pytest.approx(wanted) and wanted <= 11


def test_reliability_is_the_share_of_the_means_that_is_not_of_single_rows():
    rng = np.random.default_rng(0)
    table = runs_of(6, 4, 0.6, rng)
    between, within = anova_lm(smf.ols("x ~ C(architecture)", table).fit()).mean_sq
    assert reliability(table, "x") == pytest.approx(1 - within / between)
    mirrored = pd.DataFrame({"architecture": list("aabb"), "x": [1.0, -1.0, 2.0, -2.0]})
    assert reliability(mirrored, "x") == 0


def test_icc_of_copies_is_one_and_of_mirrored_clusters_negative():
    copies = pd.DataFrame({"architecture": list("aabbcc"), "x": [1.0, 1, 2, 2, 5, 5]})
    assert icc(copies, "x") == 1
    mirrored = copies.assign(x=[1.0, -1, 2, -2, 5, -5])
    assert icc(mirrored, "x") == pytest.approx(-1)
    assert effective_n(mirrored, "x", "x") == 6
    shifted = copies.assign(x=[1.0, 2, 2, 2, 5, 5])
    assert icc(shifted.assign(x=1e3 - 7 * shifted.x), "x") == pytest.approx(icc(shifted, "x"))


def test_what_has_no_icc_is_refused():
    table = runs_of(3, 2, 0.5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="column x is constant over all rows"):
        icc(table.assign(x=0.3), "x")
    with pytest.raises(ValueError, match="every architecture has one row"):
        icc(table.drop_duplicates("architecture"), "x")
    with pytest.raises(ValueError, match="1 values of architecture: at least 2"):
        icc(table[:2], "x")


def test_the_effective_number_is_that_of_its_formula():
    assert effective_number(15, 3, 0.6, 0.6) == pytest.approx(15 / 1.72)
    assert effective_number(15, 3, 1, 1) == pytest.approx(5)
    assert effective_number(15, 3, -0.3, 0.9) == effective_number(15, 1, 1, 1) == 15


def test_impossible_numbers_are_refused():
    for arguments in ((0, 3, 0.5, 0.5), (15, 0, 0.5, 0.5)):
        with pytest.raises(ValueError, match="both must be at least 1"):
            effective_number(*arguments)
    with pytest.raises(ValueError, match="an ICC is at most 1"):
        effective_number(15, 3, 1.2, 0.5)
