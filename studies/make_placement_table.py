"""How the placement table is made: placements are drawn, trained and measured.

    python -m studies.make_placement_table --data-root <folder of the real Easy-VQA> [--tasks synergy genres]

trains the runs that the table lacks, measures them, and adds them to its two files below ``data/results``, which
``data/README.md`` describes. The runs themselves, with weights, stay in the run store.
"""

import argparse
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torchmetrics.functional.classification import multilabel_auroc

from studies import task_structure
from studies.placement_table import LAYERS, RUNS, SETTINGS, read
from vilbert_lib import paths, representations, runs, synthetic
from vilbert_lib.config import ARCHITECTURES, Profile, RunConfig, architecture_of, placement, profile
from vilbert_lib.data.datasets import batches
from vilbert_lib.metrics import MEASURES, alignment_grid
from vilbert_lib.runs.inputs import dataset
from vilbert_lib.search import space
from vilbert_lib.synthetic.genres import GENRES
from vilbert_lib.training import checkpoint

SEEDS = (0, 1)
BASELINE_SEEDS = (0, 1, 2, 3, 4, 5)
PLACEMENTS = 60  # with blocks; the model without any stands beside them
DRAWN_WITH = 2026  # the seed by which the placements without a name were drawn
SAMPLES, K = 512, 10
#: Measured between every text and every vision layer; the others between layers at the same relative depth.
EVERY_PAIR = ("unbiased_cka", "mknn")


@cache
def placements(num_layers: int = 12) -> list[str]:
    """The architectures of the table: those with a name first, then placements drawn from the search space.

    Count, centre and spread are drawn as random search draws them, each value alike likely; what was drawn before
    is passed over.
    """
    draw = np.random.default_rng(DRAWN_WITH)
    chosen = list(ARCHITECTURES)
    while len(chosen) < PLACEMENTS + 1:
        count = int(draw.choice(space.counts(num_layers)))
        ids = []
        for _ in ("text", "image"):
            center, spread = draw.choice(space.centers(num_layers)), draw.choice(space.spreads(num_layers))
            ids.append(space.layer_ids(count, float(center), float(spread), num_layers))
        if (name := architecture_of(*ids)) not in chosen:
            chosen.append(name)
    return chosen


def root_of(name: str, scale: Profile, data_root: str) -> Path:
    """Where the data of a task lie: synthetic ones are made, ``data_root`` holds the real Easy-VQA."""
    if name == "easy_vqa":
        if not data_root:
            raise ValueError("data_root is empty: name the folder that holds easy_vqa, or leave out that task")
        return synthetic.root_of(scale, data_root)
    if name == "genres":
        return synthetic.root_of(scale)
    return task_structure.roots(scale, [name]).root.iloc[0]


def configurations(scale: Profile, name: str, root: Path) -> list[RunConfig]:
    """The runs on the task ``name``, whose data lie in ``root``: all placements of a seed together."""
    setting = SETTINGS[name]
    wanted = [(seed, architecture) for seed in SEEDS for architecture in placements(scale.model.num_layers)]
    wanted += [(seed, "baseline") for seed in BASELINE_SEEDS if seed not in SEEDS]
    train = {"n_train": setting.n_train, "epochs": setting.epochs}
    return [
        runs.configure(scale, root, setting.task, a, seed, train=train, model={"fusion": setting.fusion})
        for seed, a in wanted
    ]


def measured(run: runs.Run, root: Path, measures: tuple[str, ...]) -> pd.DataFrame:
    """Alignment of a run's layers: at its best epoch on test and validation samples, untrained on test samples.

    Columns ``moment``, ``split``, ``measure``, ``text_layer``, ``vision_layer``, ``n_samples``, ``value`` and
    ``chance``, which is NaN for measures without a chance level in closed form. Measured once, and kept with the
    run.
    """

    def make() -> pd.DataFrame:
        models = {"best": run.model(root), "untrained": runs.build_model(run.config, root).eval()}
        parts = []
        for moment, split in (("best", "test"), ("best", "val"), ("untrained", "test")):
            data = dataset(run.config, root, split, analysis=True)
            rows = representations.sample_rows(data, SAMPLES)
            features = representations.layer_features(models[moment].vilbert, data, rows)
            parts.append(_grid(features, measures).assign(moment=moment, split=split, n_samples=len(rows)))
        return pd.concat(parts, ignore_index=True)

    return run.table("placement_layers", make, measures=list(measures), n=SAMPLES, k=K)


def _grid(features: dict[str, torch.Tensor], measures: tuple[str, ...]) -> pd.DataFrame:
    constant = {name for name, x in features.items() if representations.is_constant(x)}
    across = [(x, y) for x in features for y in features if x[0] == "t" and y[0] == "v"]
    others = [name for name in measures if name not in EVERY_PAIR]
    parts = []
    for names, pairs in ((EVERY_PAIR, across), (others, representations.paired_names(features))):
        values = representations.measure_pairs(features, names, K, pairs)
        known = [name for name in names if MEASURES[name].moments is not None]
        if defined := [pair for pair in pairs if not constant & set(pair)] if known else []:
            chance = alignment_grid(features, known, pairs=defined, k=K, null="exact")
            values = values.merge(chance[["x", "y", "measure", "chance"]], "left", ["x", "y", "measure"])
        parts.append(values)
    found = pd.concat(parts, ignore_index=True)
    layers = {f"{side}_layer": found[name].str[1:].astype(int) for side, name in (("text", "x"), ("vision", "y"))}
    return found.drop(columns=["x", "y"]).assign(**layers)


@torch.inference_mode()
def scores_by_information(run: runs.Run, root: Path) -> dict[str, float]:
    """Mean area under the ROC curve over the genres of each kind of information, on the test split, in [0, 1].

    Keys are ``test_auroc_redundancy``, ``test_auroc_unique_text`` and so on. Measured once, and kept with the run.
    """

    def make() -> pd.DataFrame:
        model, data = run.model(root), dataset(run.config, root, "test")
        logits, labels = [], []
        for batch in batches(data, np.arange(len(data)), 128):
            logits.append(model(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])[0])
            labels.append(batch["label"])
        scores, labels = torch.cat(logits), torch.cat(labels).int()
        areas = multilabel_auroc(scores, labels, labels.shape[1], average=None, thresholds=None)
        found = pd.DataFrame({"part": [genre.part for genre in GENRES], "auroc": areas.numpy()})
        return found.groupby("part").auroc.mean().reset_index()

    return {f"test_auroc_{row.part}": row.auroc for row in run.table("auroc_by_information", make).itertuples()}


def row_of(run: runs.Run, name: str, root: Path) -> dict:
    """What the table has of a run beside its alignment; ``data/README.md`` describes the columns."""
    t_ids, v_ids = placement(run.config.architecture)
    trained = run.metrics[run.metrics.epoch > 0]
    numbers = {k: v for k, v in run.summary.items() if k.startswith(("test_", "val_", "n_")) or k == "best_epoch"}
    row = run.describe() | {"setting": name, "t_ids": list(t_ids), "v_ids": list(v_ids)} | numbers
    row |= {"val_loss": float(run.metrics.val_loss[run.metrics.epoch == run.summary["best_epoch"]].iloc[0])}
    row |= {"mean_val_accuracy": trained.val_accuracy.mean(), "val_accuracies": trained.val_accuracy.tolist()}
    if name == "genres":
        row |= scores_by_information(run, root)
    return row | {
        "score": row[SETTINGS[name].score],
        "seconds": run.summary["seconds"],
        "device": run.env["device"],
    }


def write(finished: dict[str, list[runs.Run]], roots: dict[str, Path], measures: tuple[str, ...]) -> list[Path]:
    """Add the ``finished`` runs of each task to the table; what it has of other runs stays."""
    rows, parts = [], []
    for name, of_task in finished.items():
        for run in of_task:
            rows.append(row_of(run, name, roots[name]))
            parts.append(measured(run, roots[name], measures).assign(run=run.config.id))
    table, layers = pd.DataFrame(rows), pd.concat(parts, ignore_index=True).round({"value": 4, "chance": 4})
    if (paths.archive() / RUNS).is_file():
        before, layers_before = read()
        before = before[~before.run.isin(table.run)]
        table = pd.concat([before, table], ignore_index=True)
        layers = pd.concat([layers_before[layers_before.run.isin(before.run)], layers], ignore_index=True)
    small = {"value": "float32", "chance": "float32", "text_layer": "int8", "vision_layer": "int8"}
    layers = layers.astype(small | {"n_samples": "int16"})
    layers = layers.astype(dict.fromkeys(("run", "moment", "split", "measure"), "category"))
    for name, frame in ((RUNS, table), (LAYERS, layers)):
        checkpoint.write_frame(paths.archive() / name, frame)
    return [paths.archive() / name for name in (RUNS, LAYERS)]


def main() -> None:
    """Train, measure and write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--data-root", default="", help="folder that holds the real Easy-VQA")
    given = parser.parse_args()
    scale = profile("small")
    roots = {name: root_of(name, scale, given.data_root) for name in given.tasks}
    there = set(read()[0].run) if (paths.archive() / RUNS).is_file() else set()
    for name, root in roots.items():
        lacking = [config for config in configurations(scale, name, root) if config.id not in there]
        if lacking:
            print(f"{name}: {len(lacking)} runs are lacking")
            for path in write({name: runs.ensure(lacking, root)}, roots, scale.alignment.measures):
                print(f"wrote {path}")
        else:
            print(f"{name}: the table has all runs")


if __name__ == "__main__":
    main()
