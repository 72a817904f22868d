"""Alignment of features that somebody else has made: files of arrays in, a table and a heat map out."""

import zipfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from vilbert_lib import figures
from vilbert_lib.files import check_writable
from vilbert_lib.metrics import MEASURES, alignment_grid

TABLES, PICTURES = (".csv", ".parquet"), (".png", ".pdf", ".svg")  # endings that can be written
IDS = "ids"  # the name of the array that holds sample ids
DEFAULT_MEASURES = ("cka", "unbiased_cka", "mknn")


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name: layers, and the sample ids where there is an array ``ids``.

    A ValueError names the file, and the array, that cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not an .npz file; numpy.savez writes one")
    arrays, name = {}, ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
    except Exception as error:  # of damaged archives zipfile and numpy raise errors of many types
        kind = MemoryError if isinstance(error, MemoryError) else ValueError
        raise kind(f"{path}: {f'array {name!r}' if name else 'it'} cannot be read: {error}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path}: {name!r} is no array")
        if name != IDS and array.dtype.kind not in "fiub":
            raise ValueError(f"{path}: array {name!r} holds {array.dtype}: numbers are needed")
    if not arrays.keys() - {IDS}:
        raise ValueError(f"{path}: holds no arrays of features")
    return arrays


def align(first: Path, second: Path | None, measures: list[str], **options) -> pd.DataFrame:
    """Alignment of every layer of ``first`` with every one of ``second``, or of ``first`` with one another.

    Columns as of :func:`vilbert_lib.metrics.alignment_grid`, to which ``options`` go. Files with an array
    ``ids`` must hold the same samples in the same order, or are matched by id with ``align=True``.
    """

    def named(path: Path) -> dict[str, np.ndarray]:
        # Names in errors tell the file.
        arrays = read(path)
        of_file = arrays.pop(IDS, None)
        if of_file is not None:
            ids.update({f"{path}: {name}": of_file for name in arrays})
        plain.update({f"{path}: {name}": name for name in arrays})
        return {f"{path}: {name}": x for name, x in arrays.items()}

    plain: dict[str, str] = {}
    ids: dict[str, np.ndarray] = {}
    layers = named(first)
    pairs = list(combinations(layers, 2))
    if second is not None:
        others = named(second)
        pairs = [(x, y) for x in layers for y in others]
        layers |= others
    elif not pairs:
        raise ValueError(f"{first}: holds one array: a second file, or a second array, is needed")
    table = alignment_grid(layers, measures, pairs=pairs, ids=ids, **options)
    return table.assign(x=table.x.map(plain), y=table.y.map(plain))


def writable(path: Path, endings: tuple[str, ...]) -> None:
    """Raise a ValueError where ``path`` is a folder or ends in none of the ``endings``; make its folder."""
    if path.suffix not in endings:
        raise ValueError(f"{path}: the name must end in {' or '.join(endings)}")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path.parent)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` as CSV or Parquet, as the name of ``path`` says."""
    writable(path, TABLES)
    save = table.to_csv if path.suffix == ".csv" else table.to_parquet
    _write_whole(path, lambda unfinished: save(unfinished, index=False))


def _write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write a file beside ``path`` that takes its place when it is complete."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        save(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def heat_map(table: pd.DataFrame, path: Path, caption: str) -> None:
    """Draw one panel a measure, the layers of either side on the axes."""
    writable(path, PICTURES)
    figure = figures.caption(figures.pair_heatmaps(table), caption)
    _write_whole(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format=path.suffix[1:]))


def in_words(table: pd.DataFrame) -> str:
    """The table for a terminal: values of each measure, x by y, and its best pair beside chance."""
    parts = []
    for name, rows in table.groupby("measure", sort=False):
        measure = MEASURES[name]
        values = rows.pivot(index="x", columns="y", values="value")
        values = values.loc[rows.x.unique(), rows.y.unique()].rename_axis(index=None, columns=None)
        shown = values.to_string(float_format="{:.3f}".format, na_rep="")
        best = rows.loc[rows.value.idxmin() if measure.direction == "distance" else rows.value.idxmax()]
        line = f"most alike: {best.x} and {best.y}, {best.value:.3f}"
        if "chance" in rows and np.isnan(best.chance):
            line += "; chance level unknown (tied neighbours): --null permutation gives one"
        elif "chance" in rows:
            line += f"; by chance {best.chance:.3f}"
            line += f" (standard deviation {best.chance_sd:.3f}, p {best.p:.2g})" if best.p == best.p else ""
        if "p_max" in rows:
            line += f"; p of a maximum over these {len(rows)} pairs {best.p_max:.2g}"
        elif "p" in rows and best.p == best.p:
            # The pair was chosen for its value: P tries make a small p up to P times as likely.
            line += f"; p of a maximum over these {len(rows)} pairs at most {min(1, len(rows) * best.p):.2g}"
        parts.append(f"{measure.title} ({name})\n{shown}\n{line}")
    return "\n\n".join(parts)
