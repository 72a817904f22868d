"""What a dataset on disk is like, and what is wrong with it: every list read, every image decoded once."""

import math
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from vilbert_lib.data import images
from vilbert_lib.data.formats import TASKS, Problem, Reading, Record, Splits, Task, in_words
from vilbert_lib.data.formats.files import IMAGE_ENDINGS
from vilbert_lib.data.formats.records import doubtful_names, is_below, settled
from vilbert_lib.data.tokenizer import Tokenizer

MANY = 0.2  # share of a split's samples with a text of another split from which on groups are advised


@dataclass(frozen=True)
class Findings:
    """What :func:`check` found in one dataset.

    Tidy frames, a row for each split and what their other columns name::

        sizes       split, samples, images, unlabelled, repeated (pairs that the split holds already)
        balance     split, label, count, share of the samples that have labels
        words       split, median, p95, longest: words of a text, split at blanks; cut: share of the texts that
                        have more wordpieces than a model reads, NaN where these were not counted
        left_out    split, cause, rows: what the dataset is known to hold without use
        duplicates  what (image, or image and text), split, other, count, documented, example
        shared_texts  split, other, count and share of the samples of other whose text split has, example

    ``problems`` are the broken samples and images, ``unused`` the images that no sample uses.
    ``other_sizes`` tells where a list has another length than the published one, a sentence each.
    ``label_faults`` and ``group_faults`` are sentences, as are ``notes``: what need not be a mistake.
    """

    task: Task
    sizes: pd.DataFrame
    balance: pd.DataFrame
    words: pd.DataFrame
    left_out: pd.DataFrame
    duplicates: pd.DataFrame
    shared_texts: pd.DataFrame
    problems: list[Problem]
    unused: list[Path]
    other_sizes: list[str]
    label_faults: list[str]
    group_faults: list[str]
    notes: list[str]

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
            *self.label_faults,
            *self.group_faults,
        ]


def check(task: Task, data_root: Path, tokenizer: Tokenizer | None = None, max_tokens: int = 0) -> Findings:
    """Read the dataset of ``task`` and look at all that can be wrong with it.

    Parameters
    ----------
    task : Task
        The dataset.
    data_root : Path
        The folder that holds the dataset's folder.
    tokenizer : Tokenizer, optional
        Where it is given, the texts of more than ``max_tokens`` wordpieces are counted.
    max_tokens : int, optional
        How many wordpieces of a text are read.

    Returns
    -------
    Findings

    Raises
    ------
    FileNotFoundError, ValueError
        If a list is missing or unreadable as a whole.
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
    labels = task.labels(folder)
    balance = _balance(reading.splits, labels)
    shared_texts, groups = _shared_texts(reading.splits), task.groups(folder)
    left_out = [(s, cause, rows) for s, counts in reading.left_out.items() for cause, rows in counts.items()]
    return Findings(
        task=task,
        sizes=_sizes(reading.splits, digests),
        balance=balance,
        words=_words(reading.splits, tokenizer, max_tokens),
        left_out=pd.DataFrame(left_out, columns=["split", "cause", "rows"]),
        duplicates=_duplicates(reading.splits, digests, task.overlaps),
        shared_texts=shared_texts,
        problems=problems,
        unused=_images_below(task.images(folder), files),
        other_sizes=_other_sizes(task, reading),
        label_faults=[
            *([] if task.labels_are_given else doubtful_names(labels)),
            *_contradictions(reading.splits, digests, labels),
            *_single_classes(task, balance),
        ],
        group_faults=_split_groups(groups),
        notes=[
            *_unlabelled(task, reading.splits),
            *_absent_labels(balance),
            *_alike_texts(reading.splits),
            *_notes_on_shared_texts(shared_texts, may_advise=task.name not in TASKS and not any(groups.values())),
            *doubtful_names(sorted(set().union(*groups.values())), "group"),
            *_links_outside(files, [Path(data_root), task.images(folder)]),
        ],
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


def _words(splits: Splits, tokenizer: Tokenizer | None, max_tokens: int) -> pd.DataFrame:
    rows = []
    for split, records in splits.items():
        lengths = pd.Series([len(record.text.split()) for record in records], dtype=float)
        cut = math.nan
        if tokenizer and records:
            cut = (tokenizer.lengths([record.text for record in records]) > max_tokens).mean()
        rows.append((split, lengths.median(), lengths.quantile(0.95), lengths.max(), cut))
    return pd.DataFrame(rows, columns=["split", "median", "p95", "longest", "cut"])


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


def _contradictions(splits: Splits, digests: dict[Path, bytes], names: tuple[str, ...]) -> list[str]:
    """Samples of the same image, byte for byte, and the same text that have different labels.

    Texts that differ in blanks or Unicode form only are the same, as they are for a tokenizer.
    """
    first: dict[tuple[bytes, str], tuple[str, Record]] = {}
    examples: dict[tuple[bytes, str], str] = {}
    for split, records in splits.items():
        for record in records:
            if record.label is None:
                continue
            key = digests[record.img], " ".join(unicodedata.normalize("NFC", record.text).split())
            at, other = first.setdefault(key, (split, record))
            if record.label != other.label:
                told = [f"{at} {other.id}: {in_words(other.label, names)!r}"]
                told += [f"{split} {record.id}: {in_words(record.label, names)!r}"]
                examples.setdefault(key, f"{record.img.name}, {' and '.join(told)}")
    example = next(iter(examples.values()), "")
    return [f"same image and text with different labels: {len(examples)}, such as {example}"] if examples else []


def _single_classes(task: Task, balance: pd.DataFrame) -> list[str]:
    """Splits of several samples that all have one label, where a sample has a single one."""
    if task.kind not in ("binary", "multiclass"):
        return []
    sums = balance.groupby("split", sort=False)["count"].agg(["sum", "max"])
    single = sums[(sums["sum"] > 1) & (sums["sum"] == sums["max"])].index
    label = balance[balance["count"] > 0].groupby("split").label.first()
    return [
        f"{split} has one label only, {label[split]!r}: nothing can be learned or measured" for split in single
    ]


def _other_sizes(task: Task, reading: Reading) -> list[str]:
    """Lists with more or fewer rows than the published ones."""
    found = []
    for splits, published in task.published.items():
        rows = sum(
            len(reading.splits.get(split, ()))
            + len(reading.problems.get(split, ()))
            + sum(reading.left_out.get(split, {}).values())
            for split in splits
        )
        if rows not in (0, published):
            found.append(f"{' and '.join(splits)}: {rows} rows, {published} in the list as it is published")
    return found


def _absent_labels(balance: pd.DataFrame) -> list[str]:
    found = []
    for split, rows in balance.groupby("split", sort=False):
        absent = rows.label[rows["count"] == 0].tolist()
        if rows["count"].any() and absent:
            found.append(f"{split} lacks {len(absent)} of {len(rows)} labels, such as {absent[0]!r}")
    return found


def _unlabelled(task: Task, splits: Splits) -> list[str]:
    """Samples for which fine-tuning ends in an error."""
    if task.kind == "captions":
        return []
    counts = {split: sum(record.label is None for record in records) for split, records in splits.items()}
    return [f"{split}: {n} samples have no label: fine-tuning refuses them" for split, n in counts.items() if n]


def _alike_texts(splits: Splits) -> list[str]:
    return [
        f"all {len(records)} texts of {split} read the same: alignment prediction refuses them"
        for split, records in splits.items()
        if len(records) > 1 and len({record.text for record in records}) == 1
    ]


def _shared_texts(splits: Splits) -> pd.DataFrame:
    rows = []
    for one, other in combinations(splits, 2):
        known = {record.text for record in splits[one]}
        shared = [record.text for record in splits[other] if record.text in known]
        if shared:
            rows.append((one, other, len(shared), len(shared) / len(splits[other]), shared[0]))
    return pd.DataFrame(rows, columns=["split", "other", "count", "share", "example"])


def _notes_on_shared_texts(shared: pd.DataFrame, *, may_advise: bool) -> list[str]:
    found = [
        f"texts of {row.split} in {row.other}: {row.count} samples ({row.share:.0%}), such as {row.example[:60]!r}"
        for row in shared.itertuples(index=False)
    ]
    if may_advise and (shared.share >= MANY).any():
        found.append("many texts are shared: a column 'group' in the list keeps rows of one group in one split")
    return found


def _split_groups(groups: dict[str, set[str]]) -> list[str]:
    """Groups that the lists of two splits have."""
    return [
        f"groups in the lists of {one} and {other}: {len(shared)}, such as {min(shared)!r}"
        for one, other in combinations(groups, 2)
        if (shared := groups[one] & groups[other])
    ]


def _links_outside(files: set[Path], folders: list[Path]) -> list[str]:
    """Images that links lead to from outside the data root and the folder of the images."""

    def is_inside(path: Path) -> bool:
        return any(is_below(path, folder) for folder in folders)

    places = {place: is_inside(place) for place in {file.parent for file in files}}
    found = sorted(file for file in files if not (is_inside(file) if file.is_symlink() else places[file.parent]))
    return [f"images outside the data root, by a link: {len(found)}, such as {found[0]}"] if found else []


def _images_below(folder: Path, used: set[Path]) -> list[Path]:
    """The images below ``folder`` that are not in ``used``."""
    found = (
        Path(place, name)
        for place, _, names in os.walk(settled(folder))
        for name in names
        if name.lower().endswith(IMAGE_ENDINGS)
    )
    return sorted(path for path in found if path not in used)
