"""Which runs a study asks for: listed for whoever executes it, or planned in place of being trained."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vilbert_lib import paths
from vilbert_lib.config import RunConfig, check_arranged, from_dict, to_dict
from vilbert_lib.runs import archive
from vilbert_lib.runs.inputs import data_in
from vilbert_lib.runs.store import Run
from vilbert_lib.training import checkpoint


class NotTrainedError(Exception):
    """A run was read that is only planned."""


class PlannedRun(Run):
    """A run that is only planned: it has a name, and nothing can be read of it."""

    def _refuse(self, *_, **__) -> NoReturn:
        raise NotTrainedError(f"run {self.config.id} is only planned, not trained")

    summary = epochs = metrics = training_alignment = property(_refuse)
    alignment = model = table = tables = _refuse


@dataclass(frozen=True)
class RunList:
    """A file in which a study lists the runs that it asks for, one line each.

    Whoever executes the study's notebook names ``file``; without one nothing is listed. With ``plan_only``
    :func:`vilbert_lib.runs.ensure` trains nothing and returns runs that cannot be read: a notebook that is
    executed so, its errors passed over, lists all runs that do not depend on what an earlier one found.
    """

    file: Path | None = None
    plan_only: bool = False

    def add(self, configs: list[RunConfig], data_root: Path) -> None:
        """List ``configs``, which are trained on the data of ``data_root``."""
        if self.file is not None:
            rows = [{"data_root": str(data_root), "config": to_dict(config)} for config in configs]
            with open(self.file, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)

    def read(self) -> dict[RunConfig, Path]:
        """The listed configurations with their data roots, in the order in which they were asked for."""
        rows = checkpoint.read_json_lines(self.file)
        return {from_dict(RunConfig, row["config"]): Path(row["data_root"]) for row in rows}

    def time_spent(self) -> str:
        """How many finished runs are listed, and how long they took on what; empty without any.

        Of a run that was interrupted the time since it was last taken up is known: the sum is the least.
        """
        if not (runs := [Run(config) for config in self.read()]):
            return ""
        hours = sum(run.summary["seconds"] for run in runs) / 3600
        time = f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:.1f} hours"
        devices = ", ".join(sorted({run.env["device"] for run in runs}))
        count = f"{len(runs)} run{'s' * (len(runs) > 1)}"
        return f"The {count} behind it took at least {time}, added up, on {devices}."


NOT_LISTED = RunList()


def write_plan(run_list: RunList) -> list[Path]:
    """A file for each run of ``run_list`` that is to be trained, below :func:`vilbert_lib.paths.plans`.

    Left out are those whose results the archive keeps, unless a run that is to be trained starts from their
    weights. The files are in the order in which the runs were asked for; what a run starts from comes before it.
    """
    planned: dict[str, dict] = {}
    for config, data_root in run_list.read().items():
        if archive.find(config.id) is None:
            if config.start_from and (start := archive.find(config.start_from)):
                planned.setdefault(config.start_from, {"data_root": str(data_root), "config": start["config"]})
            planned.setdefault(config.id, {"data_root": str(data_root), "config": to_dict(config)})
    written = {paths.plans() / f"{run_id}.json": row for run_id, row in planned.items()}
    for path, row in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_json(path, row)
    return list(written)


def read_plan(path: Path) -> tuple[RunConfig, Path]:
    """The configuration and the data root of a file of :func:`write_plan`.

    Raises ValueError where the file is no such one, or where the data are others than those of the plan.
    """
    try:
        row = json.loads(Path(path).read_text(encoding="utf-8"))
        config, data_root = from_dict(RunConfig, row["config"]), Path(row["data_root"])
        check_arranged(config.model, config.architecture)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} describes no run: {error!r}; python -m vilbert_lib plan writes such files"
        ) from error
    if (found := data_in(config, data_root)) != config.data:
        raise ValueError(f"{path} was planned for other data than {data_root} holds: {config.data}, not {found}")
    return config, data_root
