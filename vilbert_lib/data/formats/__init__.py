"""One reader for each dataset's real layout on disk: files in, records out."""

from pathlib import Path

from vilbert_lib.config import choose
from vilbert_lib.data.formats import own
from vilbert_lib.data.formats.conceptual_captions import caption_image
from vilbert_lib.data.formats.known import TASKS
from vilbert_lib.data.formats.records import LeftOut, Problem, Reading, Record, Splits, Task, in_words

__all__ = [
    "TASKS",
    "LeftOut",
    "Problem",
    "Reading",
    "Record",
    "Splits",
    "Task",
    "caption_image",
    "in_words",
    "names_in",
    "own",
    "task",
    "tasks_in",
]


def task(name: str, data_root: Path | None = None) -> Task:
    """The task called ``name``: a dataset that the library knows, or one that ``data_root`` describes itself.

    A ValueError lists the known ones.
    """
    described = [] if data_root is None else names_in(data_root)
    choose("task", name, TASKS.keys() | set(described))
    return TASKS[name] if name in TASKS else own.task(Path(data_root) / name)


def names_in(data_root: Path) -> list[str]:
    """Names of the tasks whose folders ``data_root`` holds."""
    if not Path(data_root).is_dir():
        return []
    folders = [path for path in Path(data_root).iterdir() if path.is_dir()]
    return sorted(path.name for path in folders if path.name in TASKS or (path / own.FILE).is_file())


def tasks_in(data_root: Path) -> list[Task]:
    """The tasks whose folders ``data_root`` holds, by name."""
    return [task(name, data_root) for name in names_in(data_root)]
