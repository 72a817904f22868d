"""The copied figures are well formed, and those that the log itself holds (where it is to be had)."""

import os
import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from studies import thesis_log
from vilbert_lib.config import ARCHITECTURES
from vilbert_lib.metrics import MEASURES

SUBJECTS = sorted(path.stem for path in thesis_log.FOLDER.glob("*.csv"))
SHARES = {"accuracy", "val_accuracy", "ap_accuracy", "share_positive", "p", "mean_p", "gain", "sd", "mean"}
MEASURED = {"value", "r", "p", "mean", "sd", "loss", "accuracy", "val_accuracy", "identical", "random"}
MEASURED |= {"mean_r", "sd_r", "train_loss", "val_loss", "seconds"}


def as_text(subject):
    """A table with its digits as they stand in the file; an empty cell is an empty text."""
    return pd.read_csv(thesis_log.FOLDER / f"{subject}.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_table_is_dated_and_holds_each_observation_once(subject):
    table = as_text(subject)
    assert table.date.str.fullmatch(r"2025-(0[89]|10)-\d\d").all() and pd.to_datetime(table.date).notna().all()
    assert not table.duplicated([c for c in table if c not in {"note", "seconds"}]).any() or subject in REPEATED
    assert table.columns[-1] == "note" and table.map(str.strip).equals(table)


REPEATED = {"training_times"}  # epochs of one training that took the same time


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("pooled_models", ["task", "model", "split"]),
        ("correlations", ["task", "split", "coefficient", "measure", "target"]),
        ("architectures_epoch5", ["task", "architecture"]),
        ("fusion_placements", ["task", "architecture", "metric"]),
        ("learning_curves", ["series", "epoch"]),
        ("layer_alignment", ["series", "data", "epoch", "layer", "kind", "measure"]),
        ("pretraining_losses", ["series", "epoch"]),
        ("searches", ["date", "task", "trial", "quantity"]),
        ("settings", ["date", "subject", "setting"]),
    ],
)
def test_an_observation_is_named_by_its_columns(subject, key):
    assert not as_text(subject).duplicated(key).any()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_names_are_those_of_the_project_and_numbers_are_in_range(subject):
    table = thesis_log.read(subject)
    known = {
        "task": {"hateful_memes", "mm_imdb", "upmc_food", "easy_vqa", "conceptual_captions"},
        "architecture": {*ARCHITECTURES, "depth_4", "depth_5"},
        "measure": {*MEASURES, "cka_normed"},
        "split": {"train", "validation", "test"},
        "coefficient": {"pearson", "spearman"},
        "kind": {"tv", "tt", "vv"},
    }
    for column in known.keys() & set(table):
        assert set(table[column].dropna()) <= known[column], column
    for column in SHARES & set(table):
        assert table[column].dropna().between(0, 1).all(), column
    for column in {"r", "mean_r"} & set(table):
        assert table[column].dropna().between(-1, 1).all()
    for column in MEASURED & set(table):
        assert pd.api.types.is_numeric_dtype(table[column]), column


def test_the_tables_are_as_long_as_what_they_copy():
    assert {s: len(thesis_log.read(s)) for s in ("correlations", "pooled_models", "fusion_placements")} == {
        "correlations": 2 * 2 * 2 * 2 * 11,
        "pooled_models": 2 * (15 + 14),
        "fusion_placements": 3 * 4,
    }
    layers = thesis_log.read("layer_alignment")
    assert layers[layers.date == "2025-10-05"].groupby("series").size().eq(12 * 6).all()
    assert layers[layers.date == "2025-10-05"].series.nunique() == 8


def test_a_training_has_the_same_name_and_placement_in_both_its_tables():
    columns = ["series", "task", "architecture", "t_biattention_ids", "v_biattention_ids", "pretraining"]
    curves, layers = (as_text(s)[columns].drop_duplicates() for s in ("learning_curves", "layer_alignment"))
    assert not curves.series.duplicated().any() and not layers.series.duplicated().any()
    both = curves.merge(layers, on="series", suffixes=("", "_of_layers"))
    assert len(both) == 17
    for column in columns[1:]:
        assert (both[column] == both[f"{column}_of_layers"]).all()


def test_shares_of_classes_follow_from_their_counts():
    table = thesis_log.read("class_balance")
    assert (table.positive / (table.positive + table.negative)).to_numpy() == pytest.approx(table.share_positive)


# The log itself

LOG = Path(os.environ.get("VILBERT_THESIS", "/nowhere"))
with_log = pytest.mark.skipif(
    not (LOG / "results_log.md").is_file(), reason="VILBERT_THESIS does not name a folder with results_log.md"
)
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:e-?\d+)?")


@cache
def numbers_of_lines(name="results_log.md"):
    lines = (LOG / name).read_text(encoding="utf-8").splitlines()
    return [NUMBER.findall(line) for line in lines]


def missing(wanted, lines):
    """Which of ``wanted`` (tuples of numbers) does not stand in a line, each in or below the line of the last."""
    at = 0
    for values in wanted:
        values = list(values)
        while at < len(lines) and not any(
            lines[at][i : i + len(values)] == values for i in range(len(lines[at]) - len(values) + 1)
        ):
            at += 1
        if at == len(lines):
            return values
    return None


def test_a_figure_that_is_not_there_or_out_of_order_is_found():
    lines = [["1", "0.50"], ["2", "0.60", "7"]]
    assert missing([("1", "0.50"), ("0.60", "7")], lines) is None
    assert missing([("2", "0.60"), ("1", "0.50")], lines) == ["1", "0.50"]
    assert missing([("1", "0.5")], lines) == ["1", "0.5"]


@with_log
def test_all_correlations_are_the_log_s_line_by_line():
    text = (LOG / "results_log.md").read_text(encoding="utf-8")
    target = {"accuracy": "acc ", "loss": "loss"}
    ours = [
        f"corr. of {row.measure:<14} with {target[row.target]}: r={row.r}, p={row.p}"
        for row in as_text("correlations").itertuples()
    ]
    assert ours == [line for line in text.splitlines() if line.startswith("corr. of ")]


@with_log
def test_all_learning_curves_are_the_log_s():
    lines = numbers_of_lines()
    for name, rows in as_text("learning_curves").groupby("series", sort=False):
        wanted = rows[["epoch", "epochs", "train_loss", "val_loss", "val_accuracy"]].to_numpy()
        assert missing(wanted, lines) is None, name


@with_log
def test_all_layer_lines_are_the_log_s():
    lines = numbers_of_lines()
    table = as_text("layer_alignment")
    for name, rows in table.groupby(["series", "data"], sort=False):
        wanted = [
            (layer, *marks, *group.value)
            for (_, layer), group in rows.groupby(["epoch", "layer"], sort=False)
            for marks in [group.co_attention[:1] if group.date.iloc[0] == "2025-10-05" else ()]
        ]
        assert missing(wanted, lines) is None, name


@with_log
def test_all_pooled_models_are_the_log_s():
    table = as_text("pooled_models")
    for task, rows in table.groupby("task", sort=False):
        assert missing(rows[["loss", "accuracy"]].to_numpy(), numbers_of_lines()) is None, task


@with_log
def test_both_tables_of_architectures_are_the_log_s():
    text = (LOG / "results_log.md").read_text(encoding="utf-8").replace("*", "")
    for name, rows in as_text("fusion_placements").groupby("architecture", sort=False):
        cells = " | ".join(f"{row.mean} ± {row.sd}" for row in rows.itertuples(index=False, name="Row"))
        assert re.search(rf"\| {name.split('_')[0].title()} Fusion\s+\| {re.escape(cells)} \|", text), name
    sections = dict(zip(("mm_imdb", "upmc_food"), re.split(r"Val Acc @ Epoch 5", text)[1:], strict=True))
    for row in as_text("architectures_epoch5").to_dict("records"):
        label = f"{row['architecture'].removesuffix('_fusion')} [{row['v_biattention_ids'].replace(' ', ',')}]"
        value = f"{row['mean']} ± {row['sd']}" if row["sd"] else f"{row['mean']} (1 seed)"
        assert re.search(rf"\| ?{re.escape(label)}\s+\| {re.escape(value)} \|", sections[row["task"]]), label


@with_log
def test_all_pretraining_losses_are_the_log_s():
    sources = [numbers_of_lines(name) for name in ("results_log.md", "readme.md", "todo.md")]
    columns = ["train_mlm", "test_mlm", "train_ap", "test_ap", "ap_accuracy", "train_mim", "test_mim"]
    without_mim = ["train_ap", "train_mlm", "test_ap", "test_mlm", "ap_accuracy"]
    for name, rows in as_text("pretraining_losses").groupby("series", sort=False):
        wanted = []
        for row in rows.to_dict("records"):
            order = columns if row["train_mim"] else without_mim
            wanted += [(row["epoch"], row["epochs"]), *((row[column],) for column in order)]
        assert any(missing(wanted, lines) is None for lines in sources), name


@with_log
@pytest.mark.parametrize(
    ("subject", "columns"),
    [
        ("measure_sanity", ["identical", "random"]),
        ("running_times", ["seconds", "sd_seconds"]),
        ("agreement", ["mean_r", "sd_r", "mean_p", "sd_p"]),
        ("class_balance", ["positive", "negative"]),
        ("class_balance", ["share_positive"]),
        ("searches", ["value"]),
    ],
)
def test_the_small_tables_are_the_log_s(subject, columns):
    lines = numbers_of_lines()
    for row in as_text(subject)[columns].to_numpy():
        values = [value for value in row if value]
        assert not values or missing([values], lines) is None, values


@with_log
def test_what_the_log_states_in_percent_is_copied_as_shares():
    text = (LOG / "results_log.md").read_text(encoding="utf-8").replace("*", "")
    for row in thesis_log.read("logged_gains").itertuples():
        name = {"middle_fusion": "Mid fusion", "asymmetric_fusion": "Asymmetric"}.get(row.architecture)
        name = name or row.architecture.replace("_", " ").capitalize()
        assert f"- {name}: +{row.gain * 100:.1f}%" in text
    for row in thesis_log.read("pretraining_objectives").dropna(subset=["gain"]).itertuples():
        assert f"{row.accuracy * 100:.1f}% | +{row.gain * 100:.1f}%" in text
        assert f"{row.ap_accuracy_first:.0%} → {row.ap_accuracy_last:.0%}" in text


@with_log
def test_k_and_size_pairs_settings_and_times_are_the_log_s():
    text = "".join((LOG / name).read_text(encoding="utf-8") for name in ("results_log.md", "readme.md"))
    for row in as_text("agreement_values").query("r != ''").to_dict("records"):
        if row["subject"] == "k":
            pair = f"K={row['value_a']:>3} vs K={row['value_b']:>3}: r={row['r']}, p={row['p']}"
        else:
            pair = f"between {row['value_a']} and {row['value_b']} for {row['measure']} is not significant"
            pair += f" (p={row['p']}, r={row['r']})"
        assert pair in text
    for row in as_text("settings").to_dict("records"):
        assert re.search(rf"(?<![\d.]){re.escape(row['value'])}(?![\d.]\d)", text), row
    for row in as_text("training_times").to_dict("records"):
        if row["began"]:
            assert row["began"] in text and row["ended"] in text
            took = pd.Timestamp(row["ended"]) - pd.Timestamp(row["began"])
            assert int(row["seconds"]) == took.total_seconds()
        else:
            assert f"850/850 [{int(row['seconds']) // 60:02d}:{int(row['seconds']) % 60:02d}<" in text
    for row in as_text("configurations").to_dict("records"):
        t_ids, v_ids = (row[name].replace(" ", ",") for name in ("t_biattention_ids", "v_biattention_ids"))
        assert re.search(rf"\| {row['architecture']} +\| \[{t_ids}\] *\| \[{v_ids}\] ", text), row
