"""What the thesis' log concludes, each conclusion recomputed from the logged figures."""

from collections.abc import Iterator
from itertools import chain
from math import log, sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from studies import thesis_correlations, thesis_log, thesis_trainings
from vilbert_lib import stats as statistics
from vilbert_lib.stats import findings

SIX = ["cknna", "mknn", "svcca", "jaccard", "rsa", "cka"]
VERDICTS = {True: "supported", False: "contradicted", None: "inconclusive"}


class Check(NamedTuple):
    """The figures that bear on a conclusion, and whether they carry it (None: they cannot tell)."""

    key: str
    figures: str
    carried: bool | None


def claims(alpha: float = 0.05) -> pd.DataFrame:
    """The log's conclusions, a row each: ``about``, ``date``, ``claim``, ``figures``, ``verdict``, ``why``.

    ``alpha`` is the level of every test that a verdict rests on. Where the figures neither carry a
    conclusion nor speak against it, the verdict is *inconclusive*. A ValueError for an ``alpha`` outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha}: a level lies between 0 and 1")
    parts = (_correlations, _hypotheses, _placement, _pretraining, _contrast, _sizes)
    checks = {check.key: check for check in chain.from_iterable(part(alpha) for part in parts)}
    table = thesis_log.read("conclusions").rename(columns={"note": "why"})
    table["figures"] = [checks[key].figures for key in table.key]
    table["verdict"] = [VERDICTS[checks[key].carried] for key in table.key]
    return table[["about", "date", "claim", "figures", "verdict", "why"]]


def of_claims(table: pd.DataFrame, about: str = "") -> Iterator[dict]:
    """Findings on the rows of :func:`claims`, of one subject or of all: a check decides each."""
    for row in table[(table.about == about) | (not about)].itertuples():
        yield findings.finding(f"{row.claim} ({row.date})", f"{row.figures}. {row.why}", decided=row.verdict)


def notes(
    table: pd.DataFrame, survivors: pd.DataFrame, signs: pd.DataFrame, spread: float, meets: pd.DataFrame
) -> list[str]:
    """State how many conclusions and correlations of the log hold.

    Parameters
    ----------
    table, survivors, signs
        Results of :func:`claims`, :func:`studies.thesis_correlations.survivors` and its ``signs_of_loss``.
    spread : float
        Standard deviation of best accuracy between trainings of one setting.
    meets : pandas.DataFrame
        Result of :func:`studies.thesis_trainings.first_meeting` for mutual kNN.
    """
    counts = table.verdict.value_counts().reindex(list(VERDICTS.values()), fill_value=0)
    plain, *_, by_architecture = survivors.groupby("counted", sort=False)[["p", "holm"]].sum().itertuples()
    middle = survivors[survivors.counted.str.endswith("0.6")]
    return [
        f"Of {len(table)} conclusions the logged numbers support {counts['supported']} and contradict"
        f" {counts['contradicted']}; {counts['inconclusive']} are inconclusive.",
        f"Of {survivors.tests.iloc[0] * 2} correlations {plain.p} have p of at most the level with seeds as"
        f" independent models ({plain.holm} after Holm), {middle.p.sum()} at an ICC of alignment of 0.6"
        f" ({middle.holm.sum()} after Holm), {by_architecture.p} over 5 architectures; these detect with 80 % a"
        f" correlation of {statistics.smallest_detectable(5):.2f}.",
        f"The two r of a measure, with accuracy and with loss, are possible together in {signs.as_logged.sum()} of"
        f" {signs.measures.sum()} cells, and in {signs.negated.sum()} if the loss was negated.",
        f"Two trainings of one setting differ by {100 * spread:.1f} points (standard deviation) in best accuracy"
        f" on hateful_memes: differences of single trainings below {100 * 2 * 2**0.5 * spread:.0f} points are"
        " inconclusive.",
        "The layer of the first block shares more neighbours than the one before it in"
        f" {(meets['at'] > meets.before).sum()} of {len(meets)} trainings.",
    ]


def _listed(values: pd.Series, form: str = "{} {}", between: str = ", ") -> str:
    return between.join(form.format(name, value) for name, value in values.items())


def _p_by_signs(changes: pd.Series) -> float:
    """Two-sided p that the mean of ``changes`` is 0: every choice of their signs is as likely."""
    return float(
        stats.permutation_test(
            (changes, 0 * changes), lambda a, b: np.mean(a - b), permutation_type="samples"
        ).pvalue
    )


def _correlations(alpha: float) -> Iterator[Check]:
    table = thesis_correlations.recomputed()
    n = table.groupby("task").n.first()
    fits = table.groupby("task")[["r", "p"]].apply(lambda rows: thesis_correlations.fitting_n(rows.r, rows.p))
    found = f"{_listed(n)} listed; the printed p fit n = {_listed(fits.str[0], '{1} ({0})')}"
    yield Check("models_pooled", found, bool((n == 15).all()))
    yield Check("p_of_r", f"{table.agrees.sum()} of {len(table)} within rounding", bool(table.agrees.all()))
    signs = thesis_correlations.signs_of_loss()
    low, high = signs.r_accuracy_loss.min(), signs.r_accuracy_loss.max()
    found = (
        f"accuracy and loss of the listed models: r = {low:.2f} to {high:.2f}. The two r are possible together in"
    )
    found += (
        f" {signs.as_logged.sum()} of {signs.measures.sum()} cells, with the loss negated in {signs.negated.sum()}"
    )
    yield Check("sign_of_loss", found, bool((signs.as_logged == signs.measures).all()))
    strong = table[(table.r > 0.7) & (table.p < 0.01)]
    main = strong.query("coefficient == 'pearson' and split == 'test' and target == 'accuracy'")
    both = main.groupby("measure").task.nunique().eq(2).loc[lambda s: s].index
    cells = f"{strong.measure.isin(SIX).sum()} of all {table.measure.isin(SIX).sum()} cells of the six"
    yield Check("six_strong", f"so have {', '.join(both)}; {cells}", set(SIX) <= set(both))
    counts = (
        thesis_correlations.survivors(alpha, [0.6]).groupby("counted", sort=False)[["tests", "p", "holm"]].sum()
    )
    models, clustered, architectures = counts.itertuples()
    found = (
        f"of {models.tests} p at most {alpha:g}: {models.p} with models taken for independent ({models.holm} by"
    )
    found += (
        f" Holm), {clustered.p} ({clustered.holm}) at an ICC of alignment of 0.6, {architectures.p} with n = 5"
    )
    found += f" architectures, where 80 % power needs a correlation of {statistics.smallest_detectable(5):.2f}"
    yield Check("six_predict", found, True if architectures.holm else None)
    significant = (table.p_again <= alpha).groupby(table.task).sum()
    found = f"p at most {alpha:g}: {_listed(significant)}, of {len(table) // 2} each"
    yield Check("significant_where", found, bool(significant.upmc_food < significant.mm_imdb))
    tasks = thesis_correlations.between_tasks().set_index("measure")
    rbf, others = tasks.loc["cka_rbf"], tasks.drop("cka_rbf")
    low, high = statistics.pearson_interval(rbf.mm_imdb, n.mm_imdb)
    found = f"r = {rbf.mm_imdb:.2f} (95 % {low:.2f} to {high:.2f}) and {rbf.upmc_food:.2f}; p of the difference"
    found += f" {rbf.p:.3f}, by Holm over {len(tasks)} measures {rbf.holm:.2f}"
    yield Check("cka_rbf_fails", found, True if rbf.holm <= alpha else None)
    found = (
        f"p of the difference, by measure: {rbf.p:.3f} for cka_rbf, at least {others.p.min():.2f} for the others"
    )
    yield Check("task_dependent", found, True if (tasks.holm <= alpha).any() else None)
    rows = table.query("measure == 'procrustes' and target == 'accuracy'")
    found = f"r with accuracy {rows.r.min():.2f} to {rows.r.max():.2f}, smallest p {rows.p_again.min():.2f}"
    yield Check("procrustes_negative", found, True if (rows.p_again <= alpha).all() else None)
    a, b = (tasks.mm_imdb[name] for name in ("svcca", "cycle_knn"))
    most = a * b + sqrt((1 - a**2) * (1 - b**2))
    found = f"mm_imdb: r with accuracy {a:.2f} (svcca), {b:.2f} (cycle_knn), so with each other at most {most:.2f}"
    yield Check("redundant", found, None)


def _hypotheses(alpha: float) -> Iterator[Check]:
    gains = thesis_trainings.over_baseline()
    gains["holm"] = statistics.adjust(gains.p, "holm")
    by_task = gains.groupby("task").gain.agg(lambda g: f"{100 * g.min():+.1f} to {100 * g.max():+.1f} points")
    better = gains.gain[gains.holm <= alpha] > 0
    clear = better.groupby(gains.task).agg(["sum", "size"])
    signs = "; ".join(f"{row.sum} better and {row.size - row.sum} worse" for row in clear.itertuples(index=False))
    by_place = gains.pivot(index="architecture", columns="task", values="gain")
    order, p = stats.spearmanr(by_place)
    found = f"over no co-attention {_listed(by_task)}; by Holm {signs}. Spearman of the two orders of"
    found += f" {len(by_place)} placements {order:.1f}, p = {p:.2f}"
    yield Check("h1_accuracy", found, bool(order < 0) if p <= alpha else None)
    yield Check("h1_alignment", "no alignment of the same architectures on two tasks", None)
    r = {m: thesis_trainings.last_and_largest(m).corr().accuracy for m in ("mknn", "rank", "cka")}
    found = "; ".join(f"{m} {v['largest']:+.2f} (largest), {v['last']:+.2f} (last)" for m, v in r.items())
    yield Check("h2", f"r with accuracy: {found}", None)
    layers = thesis_log.read("layer_alignment").query("epoch == 0 and measure == 'mknn' and layer == 0")
    start = layers.set_index("series").value
    untrained = (
        f". Untrained: mknn {start['vilbert 15.09']:.2f} with, {start['baseline 15.09']:.2f} without blocks"
    )
    for key, measures, more in (("h3_neighbours", ["mknn", "rank"], untrained), ("h3_cka", ["cka"], "")):
        meets = thesis_trainings.first_meeting(measures)
        rises = int((meets["at"] > meets.before).sum())
        p = _p_by_signs((meets["at"] - meets.before).groupby(meets.series).mean())
        found = f"the layer of the first block is above the one before in {rises} of {len(meets)} cases"
        found += f", on average {meets['at'].mean():.2f} after {meets.before.mean():.2f}; p by the signs of"
        found += f" {meets.series.nunique()} trainings {p:.3f}{more}"
        mean = (meets["at"] - meets.before).mean()
        yield Check(key, found, bool(mean > 0) if p <= alpha else None)


def _placement(alpha: float) -> Iterator[Check]:
    below = thesis_trainings.over_baseline().query("task == 'upmc_food'").gain < 0
    yield Check("upmc_multimodal", f"{below.sum()} of {len(below)} placements below no co-attention", None)
    steps = thesis_trainings.later_is_better()
    clear = steps[statistics.adjust(steps.p, "holm") <= alpha].task.value_counts(sort=False)
    ups = (steps.difference > 0).sum()
    found = f"{ups} of {len(steps)} steps go up, with p at most {alpha:g} by Holm {_listed(clear, '{1} on {0}')}"
    yield Check("later_better", found, True if clear.sum() == len(steps) else None)
    trials = thesis_log.read("searches").query("date == '2025-10-02'").pivot(index="trial", columns="quantity")
    trials = trials.value.set_index("num_coattn_layers").result
    found = "; ".join(f"{blocks:.0f} blocks: {-result:.3f}" for blocks, result in trials.items())
    yield Check("few_blocks", f"validation loss of the two trials printed: {found}", None)
    first = thesis_trainings.epochs_until(0.7)
    concat, others = first["concat"], first.drop("concat", level="fusion")
    apart = concat.min() > others.max() or concat.max() < others.min()
    found = f"first epoch with an accuracy of 0.70: concat {_listed(concat, '{1} ({0})')};"
    found += f" {_listed(others.droplevel('series'))}"
    yield Check("concat_slow", found, bool(concat.min() > others.max()) if apart else None)
    yield Check("final_rate", "none logged", None)
    best = thesis_log.read("learning_curves").groupby("series").val_accuracy.max()
    without, model = best["baseline 15.09"], best["vilbert 15.09"]
    spread = thesis_trainings.run_spread(thesis_trainings.best_accuracies())
    found = f"best accuracy {without:.3f} and {model:.3f}; trainings of one setting spread by {spread:.3f}"
    # A difference below the spread is no equality; one above it would speak against the claim.
    yield Check("fused_encoders", found, None if abs(model - without) < 2 * sqrt(2) * spread else False)


def _pretraining(alpha: float) -> Iterator[Check]:
    best = thesis_trainings.best_accuracies()
    gains = 100 * best[["none_first", "none_again"]].rsub(best.plain, axis=0)
    p = thesis_trainings.gains_differ(best)
    found = "; against a second training ".join(_listed(gains[name], "{} {:.1f}") for name in gains)
    yield Check("gain_varies", f"{found}; p of unequal gains {p:.2f}", True if p <= alpha else None)
    gain = best[["plain", "contrastive"]].mean(axis=1) - best.none
    p = _p_by_signs(gain)
    found = (
        f"{(gain > 0).sum()} of {len(gain)} placements, mean {100 * gain.mean():.1f} points, p by signs {p:.3f},"
    )
    found += f" where no p of {len(gain)} can be below {0.5 ** (len(gain) - 1):.3f}"
    yield Check("pretraining_helps", found, bool(gain.mean() > 0) if p <= alpha else None)
    losses = thesis_log.read("pretraining_losses")
    curves = losses[losses.series == "04.10"]
    lower = sum((curves[f"test_{part}"] < curves[f"train_{part}"]).sum() for part in ("mlm", "ap", "mim"))
    yield Check("augmentation", f"below in {lower} of {3 * len(curves)} pairs of losses", None)
    table = thesis_log.read("pretraining_objectives").fillna({"objectives": "none"})
    final, sd = table.dropna(subset=["accuracy"]).set_index("objectives").accuracy, table.sd_accuracy.max()
    p = [2 * stats.t.sf(g / (sd * sqrt(1 + 1 / 3)), 2) for g in final.drop("none") - final["none"]]
    found = f"{_listed(100 * final, '{} {:.1f} %')}; deviation {100 * sd:.1f}; p = {min(p):.2f} to {max(p):.2f}"
    yield Check("objectives", found, True if max(p) <= alpha else None)
    learned, failed = table[table.objectives == "ap"].ap_accuracy_last
    found = f"accuracy {failed:.3f}, loss {losses.test_ap[losses.objectives == 'ap'].item():.3f} (a coin: 0.500,"
    yield Check("ap_alone", f"{found} {log(2):.3f}); a week before {learned:.2f}", bool(failed < 0.6))
    layers = thesis_log.read("layer_alignment")
    cka = layers[layers.date == "2025-08-22"].pivot(index=["epoch", "layer"], columns="series", values="value")
    lower, mean = cka["pretrained 22.08"] < cka["none 22.08"], cka.mean()
    found = f"{lower.sum()} of {len(lower)} layers and epochs, mean {mean['pretrained 22.08']:.3f} against"
    yield Check("lower_cka", f"{found} {mean['none 22.08']:.3f}", bool(lower.all()))
    cosine = layers[(layers.measure == "cosine") & (layers.data == "hateful_memes")]
    plain, contrastive = (cosine[cosine.series == name] for name in ("18.08", "pretrained 04.09"))
    most = contrastive[contrastive.epoch == 0].value.max()
    yield Check("higher_cosine", f"up to {most:.2f} (contrastive), {plain.value.max():.2f} (other)", None)
    size = plain.value.abs().max()
    yield Check("no_cosine", f"at most {size:.2f} in {len(plain)} layers", bool(size < 0.05))


def _contrast(alpha: float) -> Iterator[Check]:
    cosine = thesis_trainings.profiles("cosine")
    term = cosine[cosine.index.str.endswith("contrastive")]
    last, without = term.iloc[:, -1], cosine.drop(term.index).abs().max().max()
    found = f"last layer {_listed(last, '{1:.2f}')}; without at most {without:.2f} in any layer"
    grows = (term.idxmax(axis=1) == term.columns[-1]).all() and last.min() > without
    yield Check("cosine_grows", found, bool(grows))
    change = thesis_trainings.contrast_in_last_layer(["cosine", "mknn", "rank", "cka"])
    found = (
        f"last layer higher at {_listed((change > 0).sum(axis=1), '{1} ({0})')} of {change.shape[1]} placements"
    )
    yield Check("more_alignment", found, None)
    best = thesis_trainings.best_accuracies()
    gain, spread = best.contrastive - best.plain, thesis_trainings.run_spread(best)
    p = _p_by_signs(gain)
    found = (
        f"{(gain > 0).sum()} of {len(gain)} placements, mean {100 * gain.mean():+.1f} points, p by signs {p:.2f};"
    )
    found += f" trainings spread by {100 * spread:.1f} points"
    yield Check("better_accuracy", found, bool(gain.mean() > 0) if p <= alpha else None)
    losses = (
        thesis_log.read("pretraining_losses").query("date == '2025-09-04' and epoch == 4").set_index("contrastive")
    )
    with_term, plain = losses.loc[1], losses.loc[0]
    found = f"after 4 epochs MLM {with_term.test_mlm:.2f} against {plain.test_mlm:.2f},"
    yield Check("too_strong", f"{found} MIM {with_term.test_mim:.2f} against {plain.test_mim:.2f}", None)


def _sizes(alpha: float) -> Iterator[Check]:
    within, single = thesis_log.read("agreement"), thesis_log.read("agreement_values")
    k = pd.concat([within.mean_r[within.subject == "k"], single.r[single.subject == "k"]])
    yield Check(
        "k_not_crucial", f"{len(k)} correlations between two k, {k.min():.2f} to {k.max():.2f}", k.min() > 0.9
    )
    sizes = within[within.subject == "n_samples"]
    found = f"mean r {_listed(sizes.set_index('measure').mean_r, '{} {:.2f}')}"
    yield Check("sizes_agree", f"{found}; deviations up to {sizes.sd_r.max():.2f}", sizes.mean_r.min() > 0.9)
    pairs = single[single.subject == "n_samples"].dropna(subset=["r"])
    n = thesis_correlations.fitting_n(pairs.r, pairs.p)
    found = f"{(pairs.p <= alpha).sum()} of the {len(pairs)} pairs printed are significant"
    yield Check("sizes_disagree", f"{found}; the printed p fit n = {n[0]}, 2 models x 12 layers", None)
    layers = thesis_log.read("layer_alignment")
    same = layers.value[layers.kind.isin(["tt", "vv"])]
    found = f"{same.min():.2f} to {same.max():.2f}, mean {same.mean():.2f}, over {len(same)} layers"
    yield Check("svcca_identical", found, abs(same.mean() - 0.87) < 0.02)
    vqa = layers[(layers.task == "easy_vqa") & (layers.layer >= 5)]
    values = vqa.pivot(index=["measure", "layer"], columns="epoch", values="value")
    falls = (values[3] < values[1]).groupby("layer").mean()
    found = f"share of measures that fall, by layer: {_listed(falls, '{} {:.0%}')}"
    yield Check("easy_vqa_decreases", found, bool((falls.tail(3) > 0.5).all()))
    balance = thesis_log.read("class_balance").set_index("split")
    counts = balance[["positive", "negative"]]
    p = stats.chi2_contingency(counts).pvalue
    found = f"positive: {_listed(counts.positive / counts.sum(axis=1), '{} {:.1%}')}; p that they differ {p:.0e}"
    yield Check("imbalance", found, bool(p <= alpha))
