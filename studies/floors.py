"""Baselines that need no model, and what they and a constant prediction say of a model's accuracy."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from vilbert_lib import stats as statistics
from vilbert_lib.config import OnError
from vilbert_lib.data import formats
from vilbert_lib.data.datasets import PretrainingDataset, label_rows
from vilbert_lib.data.formats import Record
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.stats import findings


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


LOOKUP = "text lookup"  # as a name among models


def baselines(task: str, root: Path, on_error: OnError = "raise") -> dict[str, float]:
    """Test accuracy of the ``majority`` class and of the ``text lookup`` on a task of a data root.

    Both know the training and the validation part, see :func:`majority` and :func:`text_only`.
    """
    found = formats.task(task, root)
    splits, names = found.splits(root, on_error), found.labels(found.folder(root))
    parts = splits["train"] + splits["val"], splits["test"], names
    return {"majority": majority(*parts), LOOKUP: text_only(*parts)}


def against_baselines(task: str, accuracy: pd.Series, levels: dict[str, float], n_test: int) -> dict[str, object]:
    """Compare the best mean test accuracy of a task with its :func:`baselines`: a finding.

    Parameters
    ----------
    accuracy : pandas.Series
        Mean test accuracy by model.
    levels : dict
        Result of :func:`baselines`.
    n_test : int
        Test samples, over which the interval is taken.
    """
    best, higher = accuracy.idxmax(), max(levels, key=levels.get)
    names = {
        LOOKUP: "a text lookup (the most frequent training label of each text)",
        "majority": "the majority class",
    }
    low, high = statistics.share_difference(accuracy.max(), levels[higher], n_test)
    return findings.finding(
        f"{task}: is the best model better than what needs no model?",
        f"On {task}, {best} reaches {accuracy.max():.1%}, against {levels[higher]:.1%} of {names[higher]}: {{}}.",
        100 * (accuracy.max() - levels[higher]),
        100 * low,
        100 * high,
        direction="positive",
        unit="points",
        n=n_test,
        digits=1,
    )


def against_one_side(
    task: str, results: pd.DataFrame, main: str, sides: list[str], levels: dict[str, float]
) -> dict[str, object]:
    """Compare ``main`` with the best of what reads one side or none: a finding on whether it uses both.

    Parameters
    ----------
    results : pandas.DataFrame
        A row a run of the task: ``architecture``, ``seed``, ``test_accuracy``.
    main : str
        An architecture.
    sides : list of str
        Models that read one side.
    levels : dict
        Result of :func:`baselines`.
    """
    of_seed = results.pivot(index="seed", columns="architecture", values="test_accuracy").assign(**levels)
    best = of_seed[[*sides, *levels]].mean().round(6).idxmax()  # of equal ones a model
    lead = 100 * (of_seed[main] - of_seed[best])
    low, high = statistics.seed_interval(lead, (-100, 100), strict=False)
    return findings.finding(
        f"{task}: does {main} use text and image?",
        f"On {task}, {main} differs from {best}, the best of one side or none, by {{}}.",
        lead.mean(),
        low,
        high,
        direction="positive",
        unit="points",
        n=len(lead),
        digits=1,
    )


SELECTED_BY = {"loss": "loss", "accuracy": "accuracy", "auroc": "AUROC", "macro_f1": "macro F1"}


def notes(results: pd.DataFrame) -> list[str]:
    """State by what the epoch of each run was selected, and which runs predict one class.

    ``results`` are rows of :func:`vilbert_lib.runs.summaries`. Runs whose summary has no ``select`` were selected
    by accuracy; whether one without ``test_classes_predicted`` predicts one class is not known.
    """
    optional = results.reindex(columns=["select", "test_classes_predicted"])
    counts = optional["select"].fillna("accuracy").map(SELECTED_BY).value_counts(sort=False)
    criteria = [f"{name} ({count} runs)" if len(counts) > 1 else name for name, count in counts.items()]
    found = [f"The epoch of a run is the one with the best validation {', '.join(criteria)}."]
    predicted = optional.test_classes_predicted
    if constant := list(dict.fromkeys(results.run[predicted <= 1])):
        found.append(
            f"{len(constant)} of {results.run.nunique()} runs predict one class for every test sample, so their"
            f" accuracy is that of a constant: {', '.join(constant)}."
        )
    if unknown := int(predicted.isna().sum()):
        found.append(f"Of {unknown} of {len(results)} runs it is not recorded how many classes they predict.")
    return found


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
