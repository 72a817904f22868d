"""Each conclusion of the thesis' log gets the verdict that its figures give, and another where they differ."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from studies import thesis_claims, thesis_correlations, thesis_frames, thesis_log, thesis_trainings
from vilbert_lib import stats as statistics


@pytest.fixture(scope="module")
def told():
    return thesis_claims.claims().set_index(thesis_log.read("conclusions").key)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A copy of the log's figures, of which a test may write tables anew: ``log(subject, table)``."""
    folder = tmp_path / "thesis_log"
    shutil.copytree(thesis_log.FOLDER, folder)
    monkeypatch.setattr(thesis_log, "FOLDER", folder)
    return lambda subject, table: table.to_csv(folder / f"{subject}.csv", index=False)


def test_every_conclusion_has_figures_and_one_of_three_verdicts(told):
    assert len(told) == len(thesis_log.read("conclusions")) and told.index.is_unique
    assert set(told.verdict) == {"supported", "contradicted", "inconclusive"}
    assert told.notna().all(axis=None) and (told.figures.str.len() > 3).all()
    assert not told.figures.str.contains("nan|inf").any()


def test_verdicts_on_the_correlations(told):
    assert told.verdict["p_of_r"] == "supported" and told.figures["p_of_r"].startswith("176 of 176")
    assert told.verdict["models_pooled"] == told.verdict["significant_where"] == "contradicted"
    assert told.verdict["six_strong"] == "supported" and "unbiased_cka" in told.figures["six_strong"]
    assert told.verdict["six_predict"] == told.verdict["cka_rbf_fails"] == "inconclusive"
    assert told.verdict["sign_of_loss"] == "contradicted"


@pytest.mark.parametrize("alpha", [0, 1, 5])
def test_a_level_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match=f"alpha={alpha}: a level lies between 0 and 1"):
        thesis_claims.claims(alpha)


def test_conclusions_are_findings():
    table = thesis_claims.claims()
    [row] = thesis_claims.of_claims(table, "data")
    assert row["verdict"] == "supported" and row["question"].startswith("hateful_memes is not balanced")
    assert len(list(thesis_claims.of_claims(table))) == len(table)


def test_a_wrong_p_is_found(log):
    table = thesis_log.read("correlations")
    table.loc[0, "p"] += 0.002
    log("correlations", table)
    assert not thesis_correlations.recomputed().agrees[0]
    verdict = thesis_claims.claims().set_index(thesis_log.read("conclusions").key).verdict
    assert verdict["p_of_r"] == "contradicted"


def test_the_number_of_pairs_is_read_from_r_and_p():
    rng = np.random.default_rng(0)
    for n in (8, 15, 24):
        pairs = [stats.pearsonr(*rng.standard_normal((2, n))) for _ in range(30)]
        r, p = (np.round([getattr(pair, name) for pair in pairs], 3) for name in ("statistic", "pvalue"))
        assert thesis_correlations.fitting_n(r, p) == [n]


def test_fewer_p_survive_the_more_the_models_are_alike():
    table = thesis_correlations.survivors(0.05, [0, 0.3, 0.6, 0.9])
    for _, rows in table.groupby("task"):
        assert rows.n.is_monotonic_decreasing and rows.p.is_monotonic_decreasing
        assert (rows.holm <= rows.by).all() and (rows.by <= rows.p).all() and (rows.tests == 88).all()
    none, zero = (table[table.counted == name].p.tolist() for name in table.counted.unique()[:2])
    assert none == zero, "an ICC of 0 leaves the models independent"


def test_false_alarms_are_at_the_level_without_clusters_and_above_it_with_them():
    table = thesis_correlations.false_alarms([0, 0.6], [0, 0.6], 0.05, draws=4000)
    rate = table.pivot(index="alignment_icc", columns="performance_icc", values="rate")
    error = 3.3 * (0.05 * 0.95 / 4000) ** 0.5
    assert rate.loc[0].to_numpy() == pytest.approx(0.05, abs=error)
    assert rate.loc[0.6, 0] == pytest.approx(0.05, abs=error)
    assert rate.loc[0.6, 0.6] == pytest.approx(0.135, abs=3.3 * (0.135 * 0.865 / 4000) ** 0.5)
    again = thesis_correlations.false_alarms([0, 0.6], [0, 0.6], 0.05, draws=4000)
    pd.testing.assert_frame_equal(table, again)


def test_gains_over_one_baseline_run_have_student_s_p():
    gains = thesis_trainings.over_baseline().set_index(["task", "architecture"])
    sd = np.sqrt(np.mean(np.square([0.0012, 0.0011, 0.0008, 0.0006, 0.0006])))
    t = (0.9270 - 0.9211) / (sd * np.sqrt(1 + 1 / 3))
    assert gains.p["mm_imdb", "late_fusion"] == pytest.approx(2 * stats.t.sf(t, 10))
    assert gains.gain["upmc_food", "early_fusion"] == pytest.approx(-0.0299)


def test_the_first_block_is_where_the_marks_of_the_log_begin():
    meets = thesis_trainings.first_meeting(["mknn"]).set_index("series")
    assert meets.loc["early 05.10 none", ["before", "at"]].tolist() == [0.026, 0.246]
    assert meets.loc["late 05.10 contrastive", ["before", "at"]].tolist() == [0.036, 0.343]


@pytest.mark.parametrize(
    ("frame", "points", "panels"),
    [
        (thesis_frames.pooled_accuracy, 20, 4),
        (thesis_frames.fusion_curves, 3 * (7 + 8 + 8), 3),
        (lambda: thesis_frames.placements(pretrained=True), 12, 4),
        (lambda: thesis_frames.placements(pretrained=False), 12, 2),
        (lambda: thesis_frames.layer_lines(["cka", "mknn"]), 8 * 12 * 2, 8),
        (thesis_frames.pretraining_curves, 16 * 9, 4),
        (lambda: thesis_frames.other_curves().assign(panel="one"), 3 * (10 * 2 + 9 + 5 * 2 + 4 * 8), 1),
        (thesis_frames.pretraining_losses, (3 + 4 + 4 + 4) * 6, 6),
        (thesis_frames.easy_vqa, 2 * 12 * 7, 7),
        (thesis_frames.identical_layers, 36, 1),
        (thesis_frames.earlier_cka, 40, 2),
    ],
)
def test_frames_to_be_drawn_hold_every_point_once(frame, points, panels):
    table = frame()
    assert len(table) == points and table.panel.nunique() == panels
    assert not table.duplicated().any()


@pytest.mark.slow
def test_what_rests_on_four_trainings_cannot_be_told_at_the_usual_level():
    """No choice of four signs is rarer than one in eight."""
    for alpha, expected in ((0.05, "inconclusive"), (0.13, "supported")):
        verdict = thesis_claims.claims(alpha).set_index(thesis_log.read("conclusions").key).verdict
        assert verdict["pretraining_helps"] == expected
    told = thesis_claims.claims().set_index(thesis_log.read("conclusions").key)
    assert "by signs 0.125" in told.figures["pretraining_helps"]
    assert "8 trainings 0.008" in told.figures["h3_neighbours"] and told.verdict["h3_neighbours"] == "supported"
    assert told.verdict["h1_accuracy"] == "inconclusive"


def test_intervals_drawn_are_wider_for_architectures_than_for_models():
    table = thesis_frames.correlation_intervals()
    wide = (table.high - table.low).groupby([table.measure, table.n > 5]).mean().unstack()
    assert (wide[False] > wide[True]).all()
    row = table.query("task == 'mm_imdb' and measure == 'cknna' and n == 15").iloc[0]
    assert (row.low, row.high) == pytest.approx(statistics.pearson_interval(0.771, 15))
