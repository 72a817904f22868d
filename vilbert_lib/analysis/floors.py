"""What is reached without looking: the floors below which no model of a task means anything."""

from collections import Counter, defaultdict

import numpy as np

from vilbert_lib.data.datasets import PretrainingDataset
from vilbert_lib.data.formats import Record
from vilbert_lib.data.masking import IGNORED


def majority(train: list[Record], test: list[Record]) -> float:
    """Accuracy on ``test`` of the label that is most frequent in ``train``."""
    answer = Counter(record.label for record in train).most_common(1)[0][0]
    return sum(record.label == answer for record in test) / len(test)


def text_only(train: list[Record], test: list[Record]) -> float:
    """Accuracy on ``test`` of each text's most frequent label in ``train``.

    A text that ``train`` does not hold gets the label that is most frequent overall.
    """
    by_text: dict[str, Counter] = defaultdict(Counter)
    for record in train:
        by_text[record.text][record.label] += 1
    fallback = Counter(record.label for record in train).most_common(1)[0][0]
    guess = {text: counts.most_common(1)[0][0] for text, counts in by_text.items()}
    return sum(record.label == guess.get(record.text, fallback) for record in test) / len(test)


def most_frequent_word(train: PretrainingDataset, held_out: PretrainingDataset) -> float:
    """Share of the masked words of ``held_out`` that are the most frequent one of ``train``."""
    counts = np.bincount(train.ids.ravel(), minlength=train.tokenizer.vocab_size)
    counts[train.tokenizer.special_ids] = 0
    targets = held_out.__getitems__(list(range(len(held_out))))["mlm_targets"]
    asked = targets[targets != IGNORED]
    return float((asked == int(counts.argmax())).float().mean()) if len(asked) else 0.0
