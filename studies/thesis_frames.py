"""The thesis' figures in the form in which they are drawn: one row a point, ``panel`` names its place."""

import pandas as pd

from studies import thesis_correlations, thesis_log
from studies.thesis_trainings import PLACES
from vilbert_lib import stats as statistics
from vilbert_lib.config import ARCHITECTURES
from vilbert_lib.metrics import MEASURES

TITLES = {name: measure.title for name, measure in MEASURES.items()}
QUANTITIES = {"train_loss": "training loss", "val_loss": "validation loss", "val_accuracy": "validation accuracy"}
LOSSES = {
    f"{part}_{objective}": f"{objective.upper()}, {said}"
    for objective in ("mlm", "ap", "mim")
    for part, said in (("train", "training"), ("test", "validation"))
}


#: What columns of the log's tables are called on its page.
HEADS = {
    "r_accuracy_loss": "r of accuracy and loss",
    "as_logged": "possible as logged",
    "negated": "possible with the loss negated",
    "counted": "what counts as a model",
    "holm": "p after Holm",
    "by": "p after Benjamini-Yekutieli",
    "t_biattention_ids": "blocks before text layers",
    "v_biattention_ids": "blocks before vision layers",
    "last": "last layer",
    "largest": "largest layer",
    "none_first": "no pretraining",
    "none_again": "no pretraining, again",
    "none": "no pretraining, mean of both",
    "train_mlm": "MLM loss, training",
    "test_mlm": "MLM loss, test",
    "train_ap": "AP loss, training",
    "test_ap": "AP loss, test",
    "ap_accuracy": "AP accuracy",
    "train_mim": "MIM loss, training",
    "test_mim": "MIM loss, test",
    "ap_accuracy_first": "AP accuracy, first epoch",
    "ap_accuracy_last": "AP accuracy, last epoch",
    "value_a": "one value",
    "value_b": "other value",
    "mean_r": "mean r",
    "sd_r": "deviation of r",
    "mean_p": "mean p",
    "sd_p": "deviation of p",
    "p_below": "p below",
}


def pooled_accuracy() -> pd.DataFrame:
    """Mean and range of the pooled models' accuracy, a row an architecture, task and split."""
    models = thesis_log.read("pooled_models")
    by = ["task", "split", "architecture"]
    table = models.groupby(by, sort=False).accuracy.agg(["mean", "min", "max"]).reset_index()
    return table.assign(panel=table.task + ", " + table.split)


def all_correlations() -> pd.DataFrame:
    """Every logged r, a row a task and measure."""
    table = thesis_correlations.recomputed()
    table["of"] = table.coefficient + ", " + table.split + ", " + table.target
    wide = table.pivot(index=["task", "measure"], columns="of", values="r")
    return wide.loc[pd.MultiIndex.from_frame(table[["task", "measure"]].drop_duplicates()), table["of"].unique()]


def correlation_intervals() -> pd.DataFrame:
    """Pearson's r with test accuracy and its interval, counted over the models and over the architectures."""
    rows = thesis_correlations.recomputed().query(
        "split == 'test' and target == 'accuracy' and coefficient == 'pearson'"
    )
    five = thesis_correlations.ARCHITECTURES
    models = rows.assign(panel=rows.task + ", " + rows.n.astype(str) + " models")
    both = pd.concat([models, rows.assign(n=five, panel=rows.task + f", {five} architectures")])
    bounds = [statistics.pearson_interval(r, n) for r, n in zip(both.r, both.n, strict=True)]
    return both.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])


def placements(pretrained: bool) -> pd.DataFrame:
    """Accuracy (and ROC-AUC) of the placements with or without pretraining, one deviation to either side."""
    if pretrained:
        table = thesis_log.read("fusion_placements")
        table["panel"] = table.task + ", " + table.metric.map({"accuracy": "accuracy", "roc_auc": "ROC-AUC"})
    else:
        table = thesis_log.read("architectures_epoch5").fillna({"sd": 0})
        table = table.sort_values("architecture", key=lambda s: s.map(list(ARCHITECTURES).index), kind="stable")
        table = table.sort_values("task", kind="stable").assign(panel=lambda t: t.task + ", accuracy")
    return table.assign(low=table["mean"] - table.sd, high=table["mean"] + table.sd)


def fusion_curves() -> pd.DataFrame:
    """Losses and accuracy against the epoch, a row a fusion method, epoch and quantity."""
    curves = thesis_log.read("learning_curves").query("date == '2025-10-01'").rename(columns=QUANTITIES)
    return curves.melt(["fusion", "epoch"], list(QUANTITIES.values()), var_name="panel")


def layer_lines(measures: list[str]) -> pd.DataFrame:
    """Text and vision by layer for four placements, alone and after contrastive pretraining."""
    trainings = {"none": "fine-tuned alone", "contrastive": "after contrastive pretraining"}
    rows = thesis_log.read("layer_alignment").query("date == '2025-10-05' and measure in @measures")
    rows = rows.sort_values("measure", key=lambda s: s.map(measures.index), kind="stable")
    place = rows.series.str.split().str[0]
    return rows.assign(panel=place + ": " + rows.measure, training=rows.pretraining.map(trainings))


def pretraining_curves() -> pd.DataFrame:
    """Accuracy against the epoch on hateful_memes, a row a placement, kind of pretraining and epoch."""
    kinds = {"03.10 none": "none", "05.10 none": "none, again", "03.10 plain": "plain"}
    curves = thesis_log.read("learning_curves")
    name = curves.series.str.split(n=1, expand=True)
    kind = name[1].map(kinds | {"05.10 contrastive": "contrastive"})
    table = curves.assign(panel=name[0], kind=kind).dropna(subset=["kind"])
    for column, order in (("kind", ["none", "none, again", "plain", "contrastive"]), ("panel", PLACES)):
        table = table.sort_values(column, key=lambda s, order=order: s.map(order.index), kind="stable")
    return table


def other_curves() -> pd.DataFrame:
    """Losses and accuracy of the trainings of several epochs that no other frame holds."""
    curves = thesis_log.read("learning_curves")
    placed = curves.series.isin(pretraining_curves().series) | (curves.date == "2025-10-01")
    several = curves[~placed & (curves.groupby("series").epoch.transform("size") > 2)]
    return several.rename(columns=QUANTITIES).melt(
        ["series", "epoch"], list(QUANTITIES.values()), var_name="quantity"
    )


def pretraining_losses() -> pd.DataFrame:
    """Losses of the pretrainings of which several epochs are logged, a row a loss and epoch."""
    losses = thesis_log.read("pretraining_losses")
    several = losses[losses.groupby("series").epoch.transform("size") > 1].rename(columns=LOSSES)
    return several.melt(["series", "epoch"], list(LOSSES.values()), var_name="panel")


def earlier_layers(measures: list[str]) -> pd.DataFrame:
    """Layers of the earlier design against the epoch, on hateful_memes; epoch 0 is before fine-tuning."""
    rows = thesis_log.read("layer_alignment").query("measure in @measures and data == 'hateful_memes'")
    rows = rows[rows.architecture.isin(["depth_4", "depth_5"]) & (rows.date != "2025-08-18")]
    rows = rows.sort_values("measure", key=lambda s: s.map(measures.index), kind="stable")
    rows = rows.sort_values("series", kind="stable").astype({"epoch": int})
    return rows.assign(panel=rows.series + ": " + rows.measure)


def earlier_cka() -> pd.DataFrame:
    """CKA of 22 August against the epoch, with and without pretraining."""
    rows = thesis_log.read("layer_alignment").query("date == '2025-08-22'").astype({"epoch": int})
    return rows.assign(panel=rows.series.map({"none 22.08": "not pretrained", "pretrained 22.08": "pretrained"}))


def easy_vqa() -> pd.DataFrame:
    """Seven measures by layer of one model after two epochs."""
    rows = thesis_log.read("layer_alignment").query("task == 'easy_vqa'")
    return rows.assign(panel=rows.measure.map(TITLES), epoch=rows.epoch.astype(int))


def identical_layers() -> pd.DataFrame:
    """SVCCA of each layer with itself, and of text with vision."""
    pairs = {"vv": "vision with itself", "tt": "text with itself", "tv": "text with vision"}
    rows = thesis_log.read("layer_alignment").query("date == '2025-10-17'")
    return rows.assign(panel="one model", pair=rows.kind.map(pairs))


def times() -> pd.DataFrame:
    """Seconds that measuring and training took."""
    measuring = thesis_log.read("running_times").dropna(subset=["seconds"])
    what = "all measures, " + measuring.n_samples.astype(str) + " samples"
    training = (
        thesis_log.read("training_times").groupby("subject", sort=False).seconds.agg(["mean", "std", "size"])
    )
    measured = pd.DataFrame({"mean": measuring.seconds.to_numpy(), "std": measuring.sd_seconds.to_numpy()}, what)
    return pd.concat([measured, training]).rename_axis("what").rename(columns={"size": "epochs"})
