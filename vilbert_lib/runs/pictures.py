"""Which pictures a task's samples have: the part of its identity that annotations do not tell."""

import hashlib
import json
import os
import tempfile
from itertools import chain
from pathlib import Path

from PIL import Image

from vilbert_lib import paths, synthetic
from vilbert_lib.data.cache import Images, digest_of
from vilbert_lib.data.formats import Task
from vilbert_lib.data.sources import MISSING, source_table

#: The images of each split, by task, data root and fingerprint of the annotations.
_files: dict[tuple[str, Path, str], dict[str, list[Path]]] = {}


def fingerprint(task: Task, data_root: Path) -> str:
    """Eight hex digits that identify the pictures of all samples of ``task`` in ``data_root``.

    Of real data the hash of their files' contents: the first time every file is read, later only those whose
    size, times or inode differ. Drawn data are identified by what they were drawn with, as the same pictures may
    be other bytes where another library compressed them; a ValueError names one that shows something else.
    """
    drawn, contents = synthetic.drawn_with(data_root, task.name), _contents(task, Path(data_root))
    if drawn is not None:
        _check_drawn(task, Path(data_root), drawn, digest_of([drawn, task.name, contents]))
    identity = contents if drawn is None else drawn
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def check_decoded(task: Task, data_root: Path, split: str, images: Images) -> None:
    """Raise ValueError unless ``images`` were decoded from the pictures that ``split`` has now."""
    if digest_of(_contents(task, Path(data_root))[split]) != images.sources_sha256:
        raise ValueError(
            f"{task.folder(data_root)}: images of {split} changed while they were read; start again when nothing"
            " writes there"
        )


def _check_drawn(task: Task, data_root: Path, drawn: dict, name: str) -> None:
    """Draw the pictures of a synthetic task once more and compare them, once for each content of their files."""
    checked = paths.cache() / "images" / f"drawn-{name[:16]}"
    if checked.is_file() or drawn["version"] != synthetic.VERSION:
        return
    with tempfile.TemporaryDirectory() as place:
        settings = {key: drawn[key] for key in ("n_train", "n_test", "seed")} | {"tasks": [task.name]}
        again = synthetic.make_root(Path(place) / "root", knobs=synthetic.Knobs(**drawn["knobs"]), **settings)
        for image in chain.from_iterable(_images(task, data_root).values()):
            if not _is_drawn(image, again / os.path.relpath(image.resolve(), data_root.resolve())):
                raise ValueError(
                    f"{image} is not the picture that the settings in {data_root / 'MANIFEST.json'} draw: remove"
                    " the root and make it anew, or remove its MANIFEST.json, and it is read as real data"
                )
    checked.touch()


def _is_drawn(image: Path, other: Path) -> bool:
    """Whether ``image`` has the pixels of ``other``, or is broken, which is found when it is decoded."""
    if not other.is_file() or image.read_bytes() == other.read_bytes():
        return other.is_file()
    try:
        with Image.open(image) as a, Image.open(other) as b:
            return (a.mode, a.size, a.tobytes()) == (b.mode, b.size, b.tobytes())
    except (OSError, ValueError, SyntaxError):
        return True


def _contents(task: Task, data_root: Path) -> dict[str, list[str]]:
    """The checksums of the images of each split, in order of the images' names."""
    store = paths.cache() / "images"
    store.mkdir(parents=True, exist_ok=True)
    files = _images(task, data_root)
    contents = {split: source_table(names, store).sha256.tolist() for split, names in files.items()}
    if any(MISSING in sums for sums in contents.values()):
        _files.clear()
        files = _images(task, data_root)
        contents = {split: source_table(names, store).sha256.tolist() for split, names in files.items()}
    return contents


def _images(task: Task, data_root: Path) -> dict[str, list[Path]]:
    """The images of each split in order of their names, as they are decoded: their checksums are kept once."""
    key = task.name, data_root.resolve(), task.fingerprint(data_root)
    if key in _files:
        return _files[key]
    reading = task.read(data_root, "skip")
    files = {split: sorted({r.img for r in rows}) for split, rows in reading.splits.items() if rows}
    if not reading.problems:  # an image that is missing may appear later
        _files[key] = files
    return files
