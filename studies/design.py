"""What a study needs of its parameters: checked before anything is trained."""

from pathlib import Path
from types import SimpleNamespace

from vilbert_lib import runs
from vilbert_lib.config import BASELINES, TASK_METRICS, Profile, RunConfig, choose, placement
from vilbert_lib.data import formats
from vilbert_lib.runs import Run


def configurations(
    scale: Profile,
    root: Path,
    parameters: SimpleNamespace,
    architectures: list[str],
    tasks: list[str] | None = None,
) -> list[RunConfig]:
    """One run for every task, architecture and seed; a placement starts where ``start_from`` says.

    A ValueError names a placement in ``start_from`` that is not known: its run would start afresh without a word.
    """
    for name in filter(None, parameters.start_from):
        placement(name)
    return [
        runs.configure(scale, root, task, name, seed, start_from=start_of(parameters, name))
        for task in tasks or parameters.tasks
        for name in architectures
        for seed in parameters.seeds
    ]


def start_of(parameters: SimpleNamespace, architecture: str) -> str:
    """The pretraining run from which an architecture starts; baselines start afresh."""
    known = parameters.start_from
    return "" if architecture in BASELINES else known.get(architecture, known.get("", ""))


def existing(parameters: SimpleNamespace, *, variants: bool = False) -> list[RunConfig]:
    """Return the runs that the parameter ``runs`` names; tasks, architectures and seeds become theirs.

    Runs of one task, architecture and seed with other settings are no repetitions of each other: without
    ``variants`` they are a ValueError.
    """
    if not parameters.runs:
        return []
    found = [run.config for run in runs.matching(parameters.runs)]
    if pretrained := [config.id for config in found if config.objectives]:
        raise ValueError(f"runs names the pretraining {pretrained[0]}: runs of labelled tasks are needed")
    named: dict[tuple, str] = {}
    for config in found:
        other = named.setdefault((config.task, config.architecture, config.seed), config.id)
        if other != config.id and not variants:
            raise ValueError(
                f"runs names {other} and {config.id}, which differ in their settings: name one of them"
            )
    for name, field in (("tasks", "task"), ("architectures", "architecture"), ("seeds", "seed")):
        setattr(parameters, name, list(dict.fromkeys(getattr(config, field) for config in found)))
    if hasattr(parameters, "baselines"):
        parameters.baselines = [name for name in parameters.architectures if name in BASELINES]
        parameters.architectures = [name for name in parameters.architectures if name not in BASELINES]
    return found


def check_lists(parameters: SimpleNamespace, *needed: str) -> None:
    """Raise a ValueError for a list that holds a value twice, or one of the ``needed`` that is empty."""
    for name, values in vars(parameters).items():
        if not isinstance(values, list):
            continue
        if name in needed and not values:
            raise ValueError(f"{name} is empty: give at least one value")
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise ValueError(f"{name} {values} holds {twice[0]!r} twice: give it once")


def check_tasks(field: str, tasks: list[str], root: Path) -> None:
    """Raise a ValueError that names ``field`` unless each of ``tasks`` is a labelled task of the data root."""
    there = formats.names_in(root)
    for name in tasks:
        if name not in there:
            raise ValueError(f"{field} {name!r} is no task of {root}: it holds {', '.join(there) or 'none'}")
        if formats.task(name, root).kind == "captions":
            raise ValueError(f"{field} {name!r} has no labels to fine-tune on: name a labelled task")


def check_placements(field: str, architectures: list[str], *, at_least: int = 1) -> None:
    """Raise a ValueError that names ``field`` unless all have two streams, and ``at_least`` so many blocks."""
    blocks = [name for name in architectures if placement(name)[0]]
    if single := [name for name in architectures if "streams" in BASELINES.get(name, {})]:
        raise ValueError(f"{field} {single} have no two streams to compare: name placements of co-attention")
    if len(blocks) < at_least:
        raise ValueError(f"{field} {architectures}: at least {at_least} with co-attention blocks are needed")


def check_baselines(architectures: list[str], baselines: list[str]) -> None:
    """Raise a ValueError for a baseline that is not known, or named among the ``architectures`` as well."""
    for name in baselines:
        placement(name)
        if name in architectures:
            raise ValueError(f"baselines {baselines}: {name!r} is among the architectures, name it once")


def check_target(field: str, target: str, tasks: list[str], root: Path) -> None:
    """Raise a ValueError that names ``field`` unless ``target`` is recorded for runs of each of ``tasks``."""
    for name in tasks:
        kind = formats.task(name, root).kind
        recorded = [f"test_{metric}" for metric in ("loss", *TASK_METRICS[kind])]
        if target not in recorded:
            raise ValueError(f"{field} {target!r} is not recorded for {name}: name one of {', '.join(recorded)}")


def check_pair(field: str, pair: list[str], known: list[str]) -> None:
    """Raise a ValueError that names ``field`` unless it is two of ``known``."""
    if len(pair) != 2 or set(pair) - set(known):
        raise ValueError(f"{field} {pair}: two of {', '.join(known)} are needed, which are compared")


def check_recorded(field: str, target: str, configs: list[RunConfig]) -> None:
    """Raise a ValueError that names ``field`` where a finished run of ``configs`` has no metric ``target``."""
    for run in map(Run, configs):
        if run.finished and target not in run.summary:
            known = ", ".join(name for name in run.summary if name.startswith("test_"))
            raise ValueError(f"{field} {target!r} is not recorded for run {run.config.id}: it has {known}")


def check_optional_task(field: str, name: str, tasks: list[str], root: Path) -> None:
    """Raise a ValueError that names ``field`` unless ``name`` is empty, one of ``tasks`` or a known task."""
    if name and name not in tasks:
        choose(field, name, [*formats.names_in(root), *formats.TASKS])
