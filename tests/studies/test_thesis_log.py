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


def test_a_training_has_the_same_name_and_placement_in_both_its_tables():
    columns = ["series", "task", "architecture", "t_biattention_ids", "v_biattention_ids", "pretraining"]
    curves, layers = (as_text(s)[columns].drop_duplicates() for s in ("learning_curves", "layer_alignment"))
    assert not curves.series.duplicated().any() and not layers.series.duplicated().any()
    both = curves.merge(layers, on="series", suffixes=("", "_of_layers"))
    assert len(both) == 17
    for column in columns[1:]:
        assert (both[column] == both[f"{column}_of_layers"]).all()


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
@pytest.mark.parametrize(
    ("subject", "group", "columns"),
    [
        ("learning_curves", "series", ["epoch", "epochs", "train_loss", "val_loss", "val_accuracy"]),
        ("pooled_models", "task", ["loss", "accuracy"]),
        ("measure_sanity", "measure", ["identical", "random"]),
        ("running_times", "n_samples", ["seconds", "sd_seconds"]),
        ("class_balance", "task", ["positive", "negative"]),
    ],
)
def test_rows_of_numbers_are_the_log_s(subject, group, columns):
    for name, rows in as_text(subject).groupby(group, sort=False):
        wanted = [[value for value in row if value] for row in rows[columns].to_numpy()]
        assert missing(filter(None, wanted), numbers_of_lines()) is None, name


@with_log
def test_all_layer_lines_are_the_log_s():
    for name, rows in as_text("layer_alignment").groupby(["series", "data"], sort=False):
        wanted = [
            (layer, *marks, *group.value)
            for (_, layer), group in rows.groupby(["epoch", "layer"], sort=False)
            for marks in [group.co_attention[:1] if group.date.iloc[0] == "2025-10-05" else ()]
        ]
        assert missing(wanted, numbers_of_lines()) is None, name
