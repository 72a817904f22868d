"""What a dataset on disk is like, and what is wrong with it: every list read, every image decoded once."""

import math
import os
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from vilbert_lib.data import images
from vilbert_lib.data.formats import Problem, Record, Splits, Task
from vilbert_lib.data.formats.files import IMAGE_ENDINGS


@dataclass(frozen=True)
class Findings:
    """What :func:`check` found in one dataset.

    Tidy frames, a row for each split and what their other columns name:

    ``sizes``       split, samples, images, unlabelled, repeated (pairs that the split holds already)
    ``balance``     split, label, count, share of the samples that have labels
    ``words``       split, median, p95, longest: words of a text, split at blanks
    ``left_out``    split, cause, rows: what the dataset is known to hold without use
    ``duplicates``  what (image, or image and text), split, other, count, documented, example

    ``problems`` are the broken samples and images, ``unused`` the images that no sample uses.
    """

    task: Task
    sizes: pd.DataFrame
    balance: pd.DataFrame
    words: pd.DataFrame
    left_out: pd.DataFrame
    duplicates: pd.DataFrame
    problems: list[Problem]
    unused: list[Path]

    @property
    def faults(self) -> list[str]:
        """What is wrong, a line each; none: the dataset can be used as it is."""
        causes = Counter(problem.cause for problem in self.problems)
        empty = self.sizes[self.sizes.samples == 0].split
        leaks = self.duplicates[~self.duplicates.documented]
        return [
            *(f"{cause}: {count}" for cause, count in sorted(causes.items())),
            *(f"{split} holds no samples" for split in empty),
            *(
                f"same {r.what} in {r.split} and {r.other}: {r.count}, such as {r.example}"
                for r in leaks.itertuples()
            ),
        ]


def check(task: Task, data_root: Path) -> Findings:
    """Read the dataset of ``task`` and look at all that can be wrong with it.

    Raises FileNotFoundError or ValueError where a list is missing or unreadable as a whole.
    """
    folder = task.folder(data_root)
    reading = task.read(data_root, on_error="skip")
    files = {record.img for records in reading.splits.values() for record in records}
    inspected = images.inspect(files)
    digests = {path: found.digest or os.fsencode(path) for path, found in inspected.items()}
    problems = [problem for found in reading.problems.values() for problem in found]
    problems += [
        Problem(str(path), "broken image", found.cause) for path, found in inspected.items() if found.cause
    ]
    left_out = [(s, cause, rows) for s, counts in reading.left_out.items() for cause, rows in counts.items()]
    return Findings(
        task=task,
        sizes=_sizes(reading.splits, digests),
        balance=_balance(reading.splits, task.labels(folder)),
        words=_words(reading.splits),
        left_out=pd.DataFrame(left_out, columns=["split", "cause", "rows"]),
        duplicates=_duplicates(reading.splits, digests, task.overlaps),
        problems=problems,
        unused=_images_below(task.images(folder), files),
    )


def _sizes(splits: Splits, digests: dict[Path, bytes]) -> pd.DataFrame:
    rows = [
        (
            split,
            len(records),
            len({record.img for record in records}),
            sum(record.label is None for record in records),
            len(records) - len({(digests[record.img], record.text) for record in records}),
        )
        for split, records in splits.items()
    ]
    return pd.DataFrame(rows, columns=["split", "samples", "images", "unlabelled", "repeated"])


def _balance(splits: Splits, names: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for split, records in splits.items():
        labels = [record.label for record in records if record.label is not None]
        counts = Counter(n for label in labels for n in (label if isinstance(label, tuple) else (label,)))
        rows += [
            (split, name, counts[n], counts[n] / len(labels) if labels else math.nan)
            for n, name in enumerate(names)
        ]
    return pd.DataFrame(rows, columns=["split", "label", "count", "share"])


def _words(splits: Splits) -> pd.DataFrame:
    rows = []
    for split, records in splits.items():
        lengths = pd.Series([len(record.text.split()) for record in records], dtype=float)
        rows.append((split, lengths.median(), lengths.quantile(0.95), lengths.max()))
    return pd.DataFrame(rows, columns=["split", "median", "p95", "longest"])


def _duplicates(
    splits: Splits, digests: dict[Path, bytes], documented: tuple[frozenset[str], ...]
) -> pd.DataFrame:
    """Images, and pairs of image and text, that two splits share, byte for byte."""

    def same_image(record: Record) -> bytes:
        return digests[record.img]

    def same_pair(record: Record) -> tuple[bytes, str]:
        return digests[record.img], record.text

    rows = []
    for what, key in (("image", same_image), ("image and text", same_pair)):
        seen = {split: {key(record): record for record in records} for split, records in splits.items()}
        for one, other in combinations(splits, 2):
            if shared := sorted(seen[one].keys() & seen[other].keys()):
                example = f"{seen[one][shared[0]].img.name} and {seen[other][shared[0]].img.name}"
                rows.append((what, one, other, len(shared), frozenset({one, other}) in documented, example))
    frame = pd.DataFrame(rows, columns=["what", "split", "other", "count", "documented", "example"])
    return frame.astype({"documented": bool})


def _images_below(folder: Path, used: set[Path]) -> list[Path]:
    """The images below ``folder`` that are not in ``used``."""
    found = (
        Path(place, name)
        for place, _, names in os.walk(os.path.normpath(folder))
        for name in names
        if name.lower().endswith(IMAGE_ENDINGS)
    )
    return sorted(path for path in found if path not in used)
