"""What is reached without looking: the floors below which no model of a task means anything."""

from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from vilbert_lib.data.datasets import PretrainingDataset, label_rows
from vilbert_lib.data.formats import Record
from vilbert_lib.data.masking import IGNORED


def most_frequent_label(records: list[Record], names: tuple[str, ...]) -> dict[str, object]:
    """The name of the label that most of ``records`` have, and the share that has it; NaN where none has any."""
    labels = [record.label for record in records if record.label is not None]
    counts = Counter(number for label in labels for number in (label if isinstance(label, tuple) else (label,)))
    if not counts:
        return {"most frequent label": "", "its share": float("nan")}
    number, count = max(counts.items(), key=lambda item: (item[1], -item[0]))
    return {"most frequent label": names[number], "its share": round(count / len(labels), 3)}


def majority(train: list[Record], test: list[Record], names: tuple[str, ...] = ()) -> float:
    """Accuracy on ``test`` of the label that is most frequent in ``train``.

    Where samples have several labels, of the labels ``names``, each label is guessed by itself, and
    the accuracy is that over all labels.
    """
    if isinstance(train[0].label, tuple):
        return _label_by_label(train, test, len(names), same=lambda record: None)
    answer = Counter(record.label for record in train).most_common(1)[0][0]
    return sum(record.label == answer for record in test) / len(test)


def text_only(train: list[Record], test: list[Record], names: tuple[str, ...] = ()) -> float:
    """Accuracy on ``test`` of each text's most frequent label in ``train``; several labels as in :func:`majority`.

    A text that ``train`` does not hold gets the label that is most frequent overall.
    """
    if isinstance(train[0].label, tuple):
        return _label_by_label(train, test, len(names), same=lambda record: record.text)
    by_text: dict[str, Counter] = defaultdict(Counter)
    for record in train:
        by_text[record.text][record.label] += 1
    fallback = Counter(record.label for record in train).most_common(1)[0][0]
    guess = {text: counts.most_common(1)[0][0] for text, counts in by_text.items()}
    return sum(record.label == guess.get(record.text, fallback) for record in test) / len(test)


def _label_by_label(
    train: list[Record], test: list[Record], classes: int, same: Callable[[Record], str | None]
) -> float:
    """Accuracy over all labels, each guessed as most samples of ``train`` of the ``same`` kind have it."""
    seen, wanted = label_rows(train, classes), label_rows(test, classes)
    rows: dict[str | None, list[int]] = defaultdict(list)
    for row, record in enumerate(train):
        rows[same(record)].append(row)
    guess = {kind: seen[of_kind].mean(0) > 0.5 for kind, of_kind in rows.items()}
    fallback = seen.mean(0) > 0.5
    return float(np.mean([guess.get(same(r), fallback) == row for r, row in zip(test, wanted, strict=True)]))


def most_frequent_word(train: PretrainingDataset, held_out: PretrainingDataset) -> float:
    """Share of the masked words of ``held_out`` that are the most frequent one of ``train``."""
    counts = np.bincount(train.ids.ravel(), minlength=train.tokenizer.vocab_size)
    counts[train.tokenizer.special_ids] = 0
    targets = held_out.__getitems__(list(range(len(held_out))))["mlm_targets"]
    asked = targets[targets != IGNORED]
    return float((asked == int(counts.argmax())).float().mean()) if len(asked) else 0.0
