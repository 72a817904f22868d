"""Which pictures a task's samples have: the part of its identity that annotations do not tell."""

import hashlib
import json
from pathlib import Path

from vilbert_lib import paths
from vilbert_lib.data import synthetic
from vilbert_lib.data.cache import Images, digest_of
from vilbert_lib.data.formats import Task
from vilbert_lib.data.sources import MISSING, source_table

#: The images of each split, by task, data root and fingerprint of the annotations.
_files: dict[tuple[str, Path, str], dict[str, list[Path]]] = {}


def fingerprint(task: Task, data_root: Path) -> str:
    """Eight hex digits that identify the pictures of all samples of ``task`` in ``data_root``.

    Of real data the hash of their files' contents: the first time every file is read, later only those whose
    size, times or inode differ. Drawn data are identified by what they were drawn with, as the same pictures may
    be other bytes where another library compressed them; a drawn picture that is replaced by hand is not noticed,
    as the manifest of a synthetic root holds no digests of its files.
    """
    drawn = synthetic.drawn_with(data_root, task.name)
    identity = _contents(task, Path(data_root)) if drawn is None else drawn
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def check_decoded(task: Task, data_root: Path, split: str, images: Images) -> None:
    """Raise ValueError unless ``images`` were decoded from the pictures that ``split`` has now."""
    if synthetic.drawn_with(data_root, task.name) is not None:
        return
    if digest_of(_contents(task, Path(data_root))[split]) != images.sources_sha256:
        raise ValueError(
            f"{task.folder(data_root)}: images of {split} changed while they were read; start again when nothing"
            " writes there"
        )


def _contents(task: Task, data_root: Path) -> dict[str, list[str]]:
    """The checksums of the images of each split, in order of the images' names."""
    store = paths.cache() / "images"
    store.mkdir(parents=True, exist_ok=True)
    key = task.name, data_root.resolve(), task.fingerprint(data_root)
    files = _files.pop(key, None)
    if files is None:
        reading = task.read(data_root, "skip")
        # By split and in order of the names, as they are decoded: their checksums are then kept once.
        files = {split: sorted({r.img for r in rows}) for split, rows in reading.splits.items() if rows}
        if not reading.problems:  # a missing image may appear later
            _files[key] = files
        return {split: source_table(names, store).sha256.tolist() for split, names in files.items()}
    contents = {split: source_table(names, store).sha256.tolist() for split, names in files.items()}
    if any(MISSING in sums for sums in contents.values()):
        return _contents(task, data_root)
    _files[key] = files
    return contents
