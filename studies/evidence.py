"""What ``04_correlation`` reasons from: runs that are trained or found, or the placement table."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from studies import design, floors, placement_table
from vilbert_lib import config, notebooks, runs, synthetic
from vilbert_lib.config import Profile
from vilbert_lib.stats import alignment

BASELINE = "baseline"


@dataclass(frozen=True)
class Evidence:
    """Runs with their scores and the alignment of their layers.

    ``results`` has a row a run (:func:`vilbert_lib.runs.summaries`), ``measured`` the rows of
    :func:`vilbert_lib.runs.alignments`, ``placements`` the text and vision layers of each architecture.
    ``settings`` says how the runs were trained, ``source`` is for captions, ``data`` says whose samples they are;
    ``floors`` are findings on baselines without a model.
    """

    results: pd.DataFrame
    measured: pd.DataFrame
    placements: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    measures: list[str]
    settings: pd.DataFrame
    source: str
    data: str
    floors: list[dict]

    @property
    def tasks(self) -> list[str]:
        """The tasks in their order."""
        return list(dict.fromkeys(self.results.task))

    def per_run(self, aggregate: str, epoch: str = "best") -> pd.DataFrame:
        """``results`` with a column a measure, alignment above chance: :func:`alignment.per_run`."""
        return self.results.merge(alignment.per_run(self.measured, aggregate, epoch, above_chance=True), on="run")


def gather(p: SimpleNamespace, scale: Profile) -> Evidence:
    """The evidence that the notebook's parameters ask for. What is wrong with them is an error first."""
    alignment.declare("primary_measure", p.primary_measure, scale.alignment.measures, distances=True)
    config.choose("primary_aggregate", p.primary_aggregate, alignment.AGGREGATES)
    return of_table(p, scale) if p.table else of_runs(p, scale)


def of_runs(p: SimpleNamespace, scale: Profile) -> Evidence:
    """Runs that the parameter ``runs`` names, or those of the lists of parameters, trained where missing."""
    root = synthetic.root_of(scale, p.data_root)
    existing = design.existing(p)
    design.check_lists(p, "tasks", "architectures", "seeds")
    design.check_tasks("tasks", p.tasks, root)
    if BASELINE not in p.architectures:
        raise ValueError(
            f"architectures {p.architectures}: {BASELINE}, which the others are compared with, is missing"
        )
    design.check_placements("architectures", p.architectures, at_least=3)
    design.check_target("primary_target", p.primary_target, p.tasks, root)
    configs = existing or design.configurations(scale, root, p, p.architectures)
    design.check_recorded("primary_target", p.primary_target, configs)
    trained = runs.ensure(configs, root, run_list=p.run_list)
    results = with_validation(runs.summaries(trained), trained)
    return Evidence(
        results,
        runs.alignments(trained, scale.alignment, root),
        {a: config.placement(a) for a in p.architectures},
        list(scale.alignment.measures),
        notebooks.training_settings(trained),
        notebooks.provenance(root, p.profile, trained),
        synthetic.describe(root),
        [_floor(name, results, root) for name in p.tasks],
    )


def _floor(name: str, results: pd.DataFrame, root: Path) -> dict:
    of_task = results[results.task == name]
    accuracy = of_task.groupby("architecture").test_accuracy.mean()
    return floors.against_baselines(name, accuracy, floors.baselines(name, root), int(of_task.n_test.min()))


def of_table(p: SimpleNamespace, scale: Profile) -> Evidence:
    """The placement table (:mod:`studies.placement_table`), whose score of each task is ``score``."""
    design.check_lists(p, "tasks")
    results, layers = placement_table.read()
    known = list(dict.fromkeys(results.setting))
    for name in p.tasks:
        config.choose("task of the table", name, known)
    if p.primary_target not in results:
        raise ValueError(f"primary_target {p.primary_target!r} is no column of the table")
    results = results[results.setting.isin(p.tasks)].assign(task=lambda rows: rows.setting)
    measured = placement_table.as_alignments(results, layers[layers.split == "test"])
    samples, seeds = (", ".join(map(str, sorted(set(of)))) for of in (measured.n_samples, results.seed))
    runs_of = results.groupby("setting", sort=False)
    settings = pd.DataFrame({name: placement_table.described(name, rows) for name, rows in runs_of})
    return Evidence(
        results,
        measured,
        {a: config.placement(a) for a in dict.fromkeys(results.architecture)},
        [name for name in scale.alignment.measures if name in set(measured.measure)],
        settings,
        f"The placement table: {len(results)} runs, profile small, n = {samples} test samples for alignment, seeds"
        f" {seeds}",
        "; ".join(f"{name}: {placement_table.SETTINGS[name].data}" for name in p.tasks),
        [],
    )


def with_validation(results: pd.DataFrame, trained: list[runs.Run]) -> pd.DataFrame:
    """``results``, a row a run, with the validation metrics of each run's best epoch as columns ``val_*``."""
    rows = []
    for run in trained:
        best = run.metrics[run.metrics.epoch == run.summary["best_epoch"]].iloc[0]
        rows.append({"run": run.config.id} | {k: v for k, v in best.items() if k.startswith("val_")})
    kept = results.drop(columns=[name for name in results if name.startswith("val_")])
    return kept.merge(pd.DataFrame(rows), on="run")
