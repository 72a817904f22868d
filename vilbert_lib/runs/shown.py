"""Which runs a study was given: noted while it is executed, told on its page.

While ``VILBERT_SHOWN`` names a file, :func:`vilbert_lib.runs.ensure` adds a line to it for every run that it
gives back.
"""

import json
import os
from pathlib import Path

from vilbert_lib.runs.store import Run
from vilbert_lib.training import checkpoint

VARIABLE = "VILBERT_SHOWN"


def note(runs: list[Run]) -> None:
    """Note down ``runs`` where that is wanted."""
    if not (path := os.environ.get(VARIABLE)):
        return
    rows = [{"id": r.config.id, "seconds": r.summary["seconds"], "device": r.env["device"]} for r in runs]
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def tell(noted: Path) -> str:
    """How many runs were noted in the file ``noted``, and how long they took on what; empty without any.

    Of a run that was interrupted the time since it was last taken up is known: the sum is the least.
    """
    rows = {row["id"]: row for row in checkpoint.read_json_lines(noted)} if noted.is_file() else {}
    if not rows:
        return ""
    hours = sum(row["seconds"] for row in rows.values()) / 3600
    time = f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:.1f} hours"
    devices = ", ".join(sorted({row["device"] for row in rows.values()}))
    return f"The {len(rows)} run{'s' * (len(rows) > 1)} behind it took at least {time}, added up, on {devices}."
