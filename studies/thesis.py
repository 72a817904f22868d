"""The thesis' programme: one pretraining for each architecture, fine-tunings from it, alignment, the pages.

    python -m studies.thesis --data-root <folder>                   # or: make thesis DATA=<folder>
    python -m studies.thesis --data-root <folder> --finetune-only   # from the published weights alone
    snakemake thesis --config profile=base data_root=<folder>       # as a graph, a job a run

Everything that exists is kept: after a kill the same command goes on. ``notebooks/base.yaml`` holds the settings.
"""

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import yaml

from studies import headline
from vilbert_lib import paths, runs
from vilbert_lib.config import PROFILES, Profile, RunConfig, placement, with_settings
from vilbert_lib.data import formats
from vilbert_lib.runs import Run, RunList
from vilbert_lib.runs.planning import write_plan

CAPTIONS = "conceptual_captions"
PAGES = ("01_finetuning", "03_sample_size_k", "04_correlation", "contrasts")
#: Samples a second of a training step at base size on one H100 in bfloat16, not compiled: the chapter Speed.
SAMPLES_A_SECOND = 1330


@dataclass(frozen=True)
class Programme:
    """What is trained and measured, and the page-by-page parameters; read from a file such as base.yaml."""

    architectures: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    objectives: tuple[str, ...]
    splits: tuple[str, ...]
    settings: dict
    pages: dict[str, dict]

    @classmethod
    def read(cls, path: Path) -> "Programme":
        """Read a programme; a ValueError names what the file has too much or lacks."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}: programme and settings are needed, not {content!r}")
        programme, settings = content.pop("programme", None), content.pop("settings", {})
        fields = {"architectures", "tasks", "seeds", "objectives", "splits"}
        if not isinstance(programme, dict) or set(programme) != fields:
            raise ValueError(f"{path}: programme must hold {', '.join(sorted(fields))}, and nothing else")
        if unknown := sorted(set(content) - set(PAGES)):
            raise ValueError(f"{path}: {unknown[0]!r} is none of programme, settings, {', '.join(PAGES)}")
        for name in programme["architectures"]:
            placement(name)
        lists = {name: tuple(values) for name, values in programme.items()}
        return cls(**lists, settings=settings, pages={name: content.get(name) or {} for name in PAGES})


def pretrainings(scale: Profile, root: Path, programme: Programme) -> dict[str, RunConfig]:
    """One pretraining for each architecture."""
    return {
        name: runs.configure(scale, root, CAPTIONS, name, objectives=programme.objectives)
        for name in programme.architectures
    }


def finetunings(scale: Profile, root: Path, programme: Programme, starts: dict[str, str]) -> list[RunConfig]:
    """One fine-tuning for each task, architecture and seed, from the architecture's pretraining if it has one."""
    return [
        runs.configure(scale, root, task, name, seed, start_from=starts.get(name, ""))
        for task in programme.tasks
        for name in programme.architectures
        for seed in programme.seeds
    ]


def estimate(configs: Iterable[RunConfig], root: Path) -> pd.DataFrame:
    """Samples that are passed through the model in training, and hours at base size on one H100, by task.

    Columns ``task``, ``runs``, ``samples`` (all epochs of all runs) and ``gpu_hours``; the last row is the sum.
    """
    rows: dict[str, list[float]] = {}
    there: dict[str, int] = {}
    for config in configs:
        if config.task not in there:
            there[config.task] = len(formats.task(config.task, root).splits(root, config.on_error)["train"])
        row = rows.setdefault(config.task, [0, 0])
        row[0] += 1
        row[1] += (config.train.n_train or there[config.task]) * config.train.epochs
    table = pd.DataFrame([(task, *row) for task, row in rows.items()], columns=["task", "runs", "samples"])
    table.loc[len(table)] = ["all", table.runs.sum(), table.samples.sum()]
    return table.assign(gpu_hours=(table.samples / SAMPLES_A_SECOND / 3600).round(2))


def configured(
    scale: Profile, root: Path, programme: Programme, *, finetune_only: bool
) -> tuple[dict[str, RunConfig], list[RunConfig]]:
    """Return the pretrainings by architecture, and the fine-tunings; a mistake in one is an error here."""
    before = {} if finetune_only else pretrainings(scale, root, programme)
    return before, finetunings(scale, root, programme, {name: config.id for name, config in before.items()})


def plan(configs: Iterable[RunConfig], root: Path, file: Path) -> None:
    """Describe each run that is to be trained in a file of its own, and list these files in ``file``."""
    with tempfile.TemporaryDirectory() as folder:
        run_list = RunList(Path(folder) / "runs.jsonl")
        run_list.add(list(configs), root)
        described = write_plan(run_list)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{path}\n" for path in described), encoding="utf-8")


def train(before: dict[str, RunConfig], after: list[RunConfig], root: Path) -> list[Run]:
    """Train what is missing of the result of :func:`configured`; returns the fine-tuned runs."""
    missing = [config for config in [*before.values(), *after] if not Run(config).finished]
    if missing:
        print(f"{len(missing)} of {len(before) + len(after)} runs are missing; hours are those of one H100:")
        print(estimate(missing, root).to_string(index=False), flush=True)
    runs.ensure(list(before.values()), root)
    return runs.ensure(after, root)


def measure(trained: list[Run], scale: Profile, root: Path, splits: Iterable[str]) -> None:
    """Measure the alignment of all runs on the splits, before training and at the best epoch; it is kept."""
    for split in splits:
        runs.alignments(trained, replace(scale.alignment, split=split), root)
        print(f"alignment of {len(trained)} runs on {split}: {', '.join(scale.alignment.measures)}", flush=True)


def pages(programme: Programme, starts: dict[str, str], root: Path, profile: str) -> None:
    """Make the pages of the studies on the programme's runs, in ``book/results/<profile>/``."""
    from vilbert_lib import notebooks  # here, as machines that only train may lack what runs notebooks

    shared = {"data_root": str(root), **programme.settings}
    ours = {
        "tasks": list(programme.tasks),
        "architectures": list(programme.architectures),
        "seeds": list(programme.seeds),
        "start_from": starts,
        "pretraining": "+".join(programme.objectives),
    }
    for name in PAGES:
        declared = notebooks.declared_in(name)
        own = {key: value for key, value in ours.items() if key in declared}
        if name == "contrasts" and not starts:
            continue  # it compares pretrainings
        parameters = shared | own | programme.pages[name]
        print(f"wrote {notebooks.make_page(name, profile, parameters)}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the programme, or go on where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, type=Path, metavar="FOLDER", help="holds the datasets")
    parser.add_argument("--profile", default="base", choices=sorted(PROFILES))
    parser.add_argument("--programme", type=Path, metavar="FILE", help="by default notebooks/<profile>.yaml")
    parser.add_argument("--finetune-only", action="store_true", help="no pretraining: start from the weights")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="train nothing: list descriptions of all runs")
    parser.add_argument("--no-pages", action="store_true", help="train and measure only")
    given = parser.parse_args(arguments)
    root = given.data_root.expanduser().resolve()
    try:
        programme = Programme.read(given.programme or paths.notebooks() / f"{given.profile}.yaml")
        scale = with_settings(PROFILES[given.profile], programme.settings)
        needed = [*programme.tasks, *([] if given.finetune_only else [CAPTIONS])]
        if lacking := [name for name in needed if name not in formats.names_in(root)]:
            raise ValueError(
                f"{root} has no {lacking[0]}; `python -m vilbert_lib data check {root}` lists what it has"
            )
        before, after = configured(scale, root, programme, finetune_only=given.finetune_only)
        if given.plan:
            plan([*before.values(), *after], root, given.plan)
            return
        trained = train(before, after, root)
    except (ValueError, OSError) as error:
        raise SystemExit(f"thesis: {error}") from error
    measure(trained, scale, root, programme.splits)
    table, folder = headline.scores(runs.summaries(trained)), paths.book() / "results" / given.profile
    print(table.to_string(), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "scores.csv")
    table.to_latex(folder / "scores.tex", na_rep="", escape=True)
    if not given.no_pages:
        pages(programme, {name: config.id for name, config in before.items()}, root, given.profile)


if __name__ == "__main__":
    main()
