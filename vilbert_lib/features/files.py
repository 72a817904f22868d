"""Files of features, the alignment of their layers, and the tables and pictures that are written of it."""

import pickle
import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vilbert_lib.files import check_writable, write_whole
from vilbert_lib.metrics import MEASURES, alignment_grid

TABLES, PICTURES = (".csv", ".parquet"), (".png", ".pdf", ".svg")  # endings that can be written
IDS = "ids"  # the name of the array that holds sample ids
SMALLEST_P = 1e-6
DEFAULT_MEASURES = ("cka", "unbiased_cka", "mknn")


def read(path: Path) -> dict[str, np.ndarray | Tensor]:
    """Layers of a file by name, and the sample ids where there are some, as ``ids``.

    ``.npz``: its arrays. ``.npy``: one array (n, d), or a stack (n, layers, d), mapped into memory. ``.pt``: a
    tensor, a list or a dict of tensors, loaded without running code. ``.safetensors``: its tensors. ``.parquet``:
    the numeric columns of a table; columns ``<layer>.<feature>`` are layers of their own, a column ``ids``, or an
    index with a name, holds the ids.

    A ValueError names the file, and the array, that cannot be read.
    """
    readers = {
        ".npz": _read_npz,
        ".npy": _read_npy,
        ".pt": _read_pt,
        ".safetensors": _read_safetensors,
        ".parquet": _read_parquet,
    }
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    if path.suffix not in readers:
        raise ValueError(f"{path}: the name must end in {', '.join(readers)}")
    arrays: dict = {}
    try:
        for name, array in readers[path.suffix](path):
            arrays[name] = array
    except Exception as error:  # libraries raise errors of many types for damaged files
        kind = MemoryError if isinstance(error, MemoryError) else ValueError
        raise kind(f"{path}: {error}") from error
    for name, array in arrays.items():
        if not isinstance(array, (np.ndarray, Tensor)):
            raise ValueError(f"{path}: {name!r} is no array")
        numbers = not isinstance(array, np.ndarray) or array.dtype.kind in "fiub"
        if name != IDS and not numbers:
            raise ValueError(f"{path}: array {name!r} holds {array.dtype}: numbers are needed")
    if not arrays.keys() - {IDS}:
        raise ValueError(f"{path}: holds no arrays of features")
    return arrays


def _read_npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if not zipfile.is_zipfile(path):
        raise ValueError("not an .npz file; numpy.savez writes one")
    with np.load(path, allow_pickle=False) as archive:
        for name in archive.files:
            try:
                yield name, archive[name]
            except Exception as error:
                kind = MemoryError if isinstance(error, MemoryError) else ValueError
                raise kind(f"array {name!r} cannot be read: {error}") from error


def _read_npy(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    array = np.load(path, allow_pickle=False, mmap_mode="r")
    if array.ndim == 3:
        yield from ((f"{path.stem}.{i}", array[:, i]) for i in range(array.shape[1]))
    else:
        yield path.stem, array


def _read_pt(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it holds other things than tensors: save a dict of tensors") from error
    if isinstance(content, Tensor):
        content = {path.stem: content}
    elif isinstance(content, (list, tuple)):
        content = {f"{path.stem}.{i}": tensor for i, tensor in enumerate(content)}
    for name, tensor in content.items():
        yield name, np.asarray(tensor) if name == IDS else tensor


def _read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    from safetensors.torch import load_file

    for name, tensor in load_file(path).items():
        yield name, tensor.numpy() if name == IDS else tensor


def _read_parquet(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    table = pd.read_parquet(path)
    if IDS in table:
        yield IDS, table.pop(IDS).to_numpy()
    elif table.index.name is not None:
        yield IDS, table.index.to_numpy()
    numbers = table.select_dtypes("number")
    layers = [str(name).rpartition(".")[0] or path.stem for name in numbers]
    for layer in dict.fromkeys(layers):
        yield layer, numbers.loc[:, [own == layer for own in layers]].to_numpy()


def align(first: Path, second: Path | None, measures: list[str], **options) -> pd.DataFrame:
    """Alignment of every layer of ``first`` with every one of ``second``, or of ``first`` with one another.

    Columns as of :func:`vilbert_lib.metrics.alignment_grid`, to which ``options`` go. Files with an array
    ``ids`` must hold the same samples in the same order, or are matched by id with ``align=True``.
    """

    def named(path: Path) -> dict[str, np.ndarray | Tensor]:
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
    write_whole(path, lambda unfinished: save(unfinished, index=False))


def heat_map(table: pd.DataFrame, path: Path, caption: str) -> None:
    """Draw one panel a measure, the layers of either side on the axes."""
    from vilbert_lib import figures  # needs matplotlib, which measures alone do not

    writable(path, PICTURES)
    figure = figures.caption(figures.pair_heatmaps(table), caption)
    write_whole(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format=path.suffix[1:]))


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
            line += f" (standard deviation {best.chance_sd:.3f}, p {_p(best.p)})" if best.p == best.p else ""
        if "p_max" in rows:
            line += f"; p of a maximum over these {len(rows)} pairs {_p(best.p_max)}"
        elif "p" in rows and best.p == best.p:
            # The pair was chosen for its value: P tries make a small p up to P times as likely.
            line += f"; p of a maximum over these {len(rows)} pairs at most {_p(min(1, len(rows) * best.p_bound))}"
        parts.append(f"{measure.title} ({name})\n{shown}\n{line}")
    return "\n\n".join(parts)


def _p(p: float) -> str:
    """A p-value as it is shown: what a fitted distribution says beyond ``SMALLEST_P`` is not known that well."""
    return f"{p:.2g}" if p >= SMALLEST_P else f"< {SMALLEST_P:g}"
