"""What a study would train, noted down in place of being trained.

While ``VILBERT_PLAN`` names a file, :func:`vilbert_lib.runs.ensure` adds a line to it for every run that it
is asked for, and gives back runs that cannot be read. A notebook that is executed so, its errors
passed over, tells all runs that do not depend on what an earlier one found.
"""

import json
import os
from pathlib import Path
from typing import NoReturn

from vilbert_lib import paths
from vilbert_lib.config import RunConfig, check_arranged, from_dict, to_dict
from vilbert_lib.runs import archive
from vilbert_lib.runs.inputs import data_in
from vilbert_lib.runs.store import Run
from vilbert_lib.training import checkpoint

VARIABLE = "VILBERT_PLAN"


class NotTrainedError(Exception):
    """A run was read while runs are only noted down."""


class NotedRun(Run):
    """A run that was noted down: it has a name, and nothing can be read of it."""

    def _refuse(self, *_, **__) -> NoReturn:
        raise NotTrainedError(f"run {self.config.id} is only noted down, as {VARIABLE} is set")

    summary = epochs = metrics = training_alignment = property(_refuse)
    alignment = model = table = tables = _refuse


def note(configs: list[RunConfig], data_root: Path) -> list[NotedRun]:
    """Note down ``configs``, and what they start from where only its figures are kept."""
    needed = [config for config in configs if archive.find(config.id) is None]
    # A run that is trained here needs the weights of its start, and the archive keeps none.
    starts = [kept for config in needed if config.start_from and (kept := archive.find(config.start_from))]
    rows = [{"data_root": str(data_root), "config": start["config"]} for start in starts]
    rows += [{"data_root": str(data_root), "config": to_dict(config)} for config in needed]
    with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return [NotedRun(config) for config in configs]


def write(noted: Path) -> list[Path]:
    """A file for each run that was noted down in ``noted``, below :func:`vilbert_lib.paths.plans`; returns them.

    They are in the order in which they were asked for, so what a run starts from comes before it.
    """
    written = {}
    for row in checkpoint.read_json_lines(noted):
        config = from_dict(RunConfig, row["config"])
        path = paths.plans() / f"{config.id}.json"
        if path not in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_json(path, row)
        written[path] = config.id
    return list(written)


def read(path: Path) -> tuple[RunConfig, Path]:
    """The configuration and the data root of a file of :func:`write`.

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
