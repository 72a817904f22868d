"""Put the figures of finished runs of a profile where the code is, so that its studies need no training."""

from pathlib import Path

from vilbert_lib import paths
from vilbert_lib.config import Profile, RunConfig, from_dict, to_dict
from vilbert_lib.runs import archive
from vilbert_lib.runs.store import Run, open_run


def keep(profile: Profile) -> list[Path]:
    """Archive the figures of all runs that were trained here at the scale of ``profile``; returns the files.

    What the archive has of other runs of the profile stays. A ValueError where there is nothing to keep.
    """
    runs = {
        run_id: Run(from_dict(RunConfig, archive.find(run_id)["config"])) for run_id in archive.ids(profile.name)
    }
    for path in sorted(paths.runs().glob("*/*/summary.json")):
        run = open_run(str(path.parent.relative_to(paths.runs())))
        if profile.trained(run.config):
            runs[run.config.id] = run
    if not runs:
        raise ValueError(f"no run of profile {profile.name} is finished below {paths.runs()}")
    entries = {run_id: _entry(run) for run_id, run in runs.items()}
    tables = {"training_alignment": {run_id: run.training_alignment for run_id, run in runs.items()}}
    for run_id, run in runs.items():
        for key, table in run.tables().items():
            tables.setdefault(key, {})[run_id] = table
    return archive.write(profile.name, entries, tables)


def _entry(run: Run) -> dict:
    if not run.trained:
        return archive.find(run.config.id)
    return {
        "config": to_dict(run.config),
        "env": run.env,
        "summary": run.summary,
        "metrics": run.epochs,
    }
