"""Which pictures a task's samples have: the part of its identity that annotations do not tell."""

import hashlib
import json
from functools import cache
from pathlib import Path

from vilbert_lib import paths
from vilbert_lib.data import synthetic
from vilbert_lib.data.formats import Task
from vilbert_lib.data.sources import source_table


def fingerprint(task: Task, data_root: Path) -> str:
    """Eight hex digits that identify the pictures of all samples of ``task`` in ``data_root``.

    Of real data the hash of their files' contents, which is looked at once a process: the first time every file
    is read, later only those that changed. Drawn data are told by what they were drawn with, as the same
    pictures may be other bytes where another library compressed them.
    """
    drawn = synthetic.drawn_with(data_root, task.name)
    said = _contents(task, Path(data_root), task.fingerprint(data_root)) if drawn is None else drawn
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]


@cache
def _contents(task: Task, data_root: Path, annotations: str) -> dict[str, list[str]]:
    store = paths.cache() / "images"
    store.mkdir(parents=True, exist_ok=True)
    # By split and in order of the names, as they are decoded: their checksums are then kept once.
    files = {split: sorted({r.img for r in rows}) for split, rows in task.splits(data_root, "skip").items()}
    return {split: source_table(names, store).sha256.tolist() for split, names in files.items() if names}
