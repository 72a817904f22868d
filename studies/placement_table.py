"""The placement table: sixty placements of co-attention, each trained by two seeds; its tasks, and how it is read.

:mod:`studies.make_placement_table` makes it; ``data/README.md`` describes its columns.
"""

from dataclasses import dataclass

import pandas as pd

from vilbert_lib import paths, representations

RUNS, LAYERS = "placements.runs.parquet", "placements.layers.parquet"


@dataclass(frozen=True)
class Setting:
    """A task of the table at the setting that the pilot chose, and the score by which placements are compared."""

    name: str
    data: str
    task: str
    fusion: str
    n_train: int
    epochs: int
    score: str


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "synergy",
            "synthetic dishes with one synergistic bit",
            "upmc_food",
            "sum",
            2000,
            10,
            "mean_val_accuracy",
        ),
        Setting("genres", "synthetic genres", "mm_imdb", "concat", 1000, 12, "test_auroc_unique_image"),
        Setting("easy_vqa", "the real Easy-VQA", "easy_vqa", "sum", 1000, 16, "test_accuracy"),
    )
}


def read() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two files of the table: a row a run, and a row a run, moment, split, measure and pair of layers."""
    if lacking := [name for name in (RUNS, LAYERS) if not (paths.archive() / name).is_file()]:
        raise FileNotFoundError(
            f"{paths.archive() / lacking[0]} does not exist: restore it, or make the table by"
            " python -m studies.make_placement_table --tasks synergy"
        )
    runs_of, layers = (pd.read_parquet(paths.archive() / name) for name in (RUNS, LAYERS))
    plain = dict.fromkeys(("run", "moment", "split", "measure"), str)
    return runs_of, layers.astype(plain | {"value": float, "chance": float})


def as_alignments(results: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``layers`` of the runs in ``results`` in the columns of :func:`vilbert_lib.runs.alignments`.

    ``chance_best``, the chance level of the most alike pair, is not in the table: ``chance`` stands in its place.
    """
    names = ["run", "task", "architecture", "seed", "start", "best_epoch"]
    found = layers.merge(results[names], on="run")
    pairs = representations.paired_layers(*(found[["text_layer", "vision_layer"]].max() + 1))
    paired = pd.MultiIndex.from_frame(found[["text_layer", "vision_layer"]]).isin(pairs)
    epoch = found.best_epoch.where(found.moment == "best", 0)
    return found.assign(kind="tv", paired=paired, epoch=epoch, chance_best=found.chance).drop(columns="moment")


def described(name: str, rows: pd.DataFrame) -> dict[str, object]:
    """How the runs of one task of the table were trained, and which score they are compared by."""
    setting = SETTINGS[name]
    return {
        "data": setting.data,
        "fusion": setting.fusion,
        "training samples": setting.n_train,
        "epochs": setting.epochs,
        "score": setting.score,
        "placements": rows.architecture.nunique() - 1,
        "runs": len(rows),
        "seconds a run": round(rows.seconds.median()),
        "device": ", ".join(sorted(set(rows.device))),
    }
