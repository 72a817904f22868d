"""The table of scores: mean and deviation over seeds, and runs that are no repetitions of each other."""

import numpy as np
import pandas as pd
from nbformat.v4 import new_code_cell, new_notebook, new_output

from studies import headline
from vilbert_lib import notebooks, pages
from vilbert_lib.config import ModelConfig, RunConfig
from vilbert_lib.runs import Run


def results_of(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["architecture", "task", "seed", "test_accuracy", "test_auroc"])


def test_scores_are_mean_and_deviation_over_seeds_in_the_given_order():
    table = headline.scores(
        results_of(
            [
                ("late", "memes", 0, 0.5, 0.6),
                ("late", "memes", 1, 0.7, 0.6),
                ("early", "memes", 0, 0.25, 0.5),
                ("late", "genres", 0, 0.9, np.nan),
                ("early", "genres", 0, 0.8, np.nan),
            ]
        )
    )
    assert list(table.index) == ["late", "early"]
    assert list(table) == [("memes", "accuracy"), ("memes", "auroc"), ("genres", "accuracy")]
    assert table.loc["late", ("memes", "accuracy")] == f"0.6000 ± {np.std([0.5, 0.7], ddof=1):.4f}"
    assert table.loc["early", ("memes", "accuracy")] == "0.2500"


def test_runs_with_a_seed_in_common_are_told_apart_by_their_settings():
    models = [ModelConfig(), ModelConfig(frozen_layers=2), ModelConfig(frozen_layers=2)]
    trained = [
        Run(RunConfig(task="a", architecture="baseline", seed=seed, model=model))
        for seed, model in zip((0, 0, 1), models, strict=True)
    ]
    other = Run(RunConfig(task="a", architecture="late_fusion"))
    kept, *apart = headline.names([other, *trained]).values()
    assert kept == "late_fusion"
    assert apart == [f"baseline (frozen_layers {n})" for n in (0, 2, 2)]
    assert headline.name_of_first([other, *trained], "baseline") == "baseline (frozen_layers 0)"
    assert list(headline.names([other, *trained[1:]]).values()) == ["late_fusion", "baseline", "baseline"]
    started = Run(RunConfig(task="a", architecture="late_fusion", start_from="b/late_fusion-s0-00000000"))
    table = pd.DataFrame({"run": [started.config.id, other.config.id]})
    assert list(headline.named_by_settings(table, [other, started]).architecture) == [
        "late_fusion (start pretrained)",
        "late_fusion (start scratch)",
    ]


def test_a_table_with_files_stands_beside_the_page_and_not_in_the_source(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        notebooks,
        "display",
        lambda data, raw=False, metadata=None: (
            shown.append(new_output("display_data", data=data, metadata=metadata)) if raw else None
        ),
    )
    rows = pd.DataFrame({("memes", "accuracy"): ["0.6000 ± 0.1000"]}, index=["late_fusion"])
    notebooks.table_with_files(rows, "scores")
    source = pages.without_pictures(new_notebook(cells=[new_code_cell(outputs=shown)]))
    assert source.cells[0].outputs[0].metadata == {}
    notebooks.table_with_files(rows, "scores")
    page = pages.with_data_files(new_notebook(cells=[new_code_cell(outputs=shown[1:])]), tmp_path / "09_a.ipynb")
    assert page.cells[0].outputs[0].data["text/markdown"] == (
        "The same table as [CSV](csv/09_a-table-scores.csv) and as [LaTeX](csv/09_a-table-scores.tex)."
    )
    assert "late_fusion,0.6000 ± 0.1000" in (tmp_path / "csv" / "09_a-table-scores.csv").read_text()
    assert r"late\_fusion & 0.6000 ± 0.1000" in (tmp_path / "csv" / "09_a-table-scores.tex").read_text()
