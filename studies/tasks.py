"""What the tasks are: what is knowable of their labels from which side, and how their labels are spread."""

from collections import Counter
from typing import NamedTuple

import pandas as pd

from vilbert_lib.data.formats import Record, Splits, in_words


def knowable(manifest: dict) -> pd.DataFrame:
    """A row a task of a synthetic root: the parts of the information in bits, and the best possible accuracy.

    ``manifest`` is that of ``synthetic.read_manifest``; what the bits mean is said in
    ``vilbert_lib.synthetic.truth``.
    """
    bits = pd.DataFrame(manifest["decomposition"]).T.add_suffix(" (bits)")
    best = pd.DataFrame(manifest["best_possible_accuracy"]).T.add_prefix("best: ")
    table = bits.join(best).join(pd.Series(manifest["label_noise"], name="wrong labels"))
    return table.rename_axis("task").rename(columns=lambda name: name.replace("_", " "))


def sizes(splits: Splits) -> pd.DataFrame:
    """A row a split: samples, different images, different texts, and words of a text on average."""
    return pd.DataFrame(
        {
            split: {
                "samples": len(records),
                "images": len({r.img for r in records}),
                "texts": len({r.text for r in records}),
                "words a text": sum(len(r.text.split()) for r in records) / max(len(records), 1),
            }
            for split, records in splits.items()
        }
    ).T.rename_axis("split")


def described(record: Record, names: tuple[str, ...]) -> str:
    """A sample's text and, on a line of its own, its label, if it has one."""
    label = in_words(record.label, names)
    return f"{record.text}\n\u2192 {label}" if label else record.text


def label_shares(splits: Splits, names: tuple[str, ...]) -> pd.DataFrame:
    """A row a label, a column a split: the share of the split's samples that have the label.

    Shares of a multi-label task need not add up to 1; samples without label are not counted.
    """
    shares = {}
    for split, records in splits.items():
        labelled = [r for r in records if r.label is not None]
        counts = Counter(i for r in labelled for i in (r.label if isinstance(r.label, tuple) else (r.label,)))
        shares[split] = {name: counts[i] / max(len(labelled), 1) for i, name in enumerate(names)}
    return pd.DataFrame(shares, index=list(names)).rename_axis("label")


class Furthest(NamedTuple):
    """The label whose shares in training and test part are furthest apart, in standard errors."""

    label: str
    train: float
    test: float
    errors: float


def furthest(shares: pd.DataFrame, splits: Splits) -> Furthest | None:
    """The label of ``label_shares`` whose difference between training and test part is least like chance.

    The standard error is that of a difference of two shares, from both parts together. Of many
    labels, one beyond two standard errors is no surprise. None: one of the two parts has no labels.
    """
    n, m = (sum(r.label is not None for r in splits[split]) for split in ("train", "test"))
    if not n or not m:
        return None
    pooled = (n * shares.train + m * shares.test) / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)) ** 0.5
    errors = ((shares.train - shares.test).abs() / error).fillna(0)
    label = errors.idxmax()
    return Furthest(label, shares.train[label], shares.test[label], errors[label])


def notes(knowable: pd.DataFrame, shares: dict[str, pd.DataFrame], splits: dict[str, Splits]) -> list[str]:
    """State what can be known from which side, and which label's share differs most between the parts.

    Parameters
    ----------
    knowable : pandas.DataFrame
        By task: best possible accuracies and bits; empty for real data.
    shares : dict of pandas.DataFrame
        Results of :func:`label_shares` by task.
    splits : dict
        Records of every split by task.
    """
    found = [
        f"{task}: best possible accuracy {row['best: text']:.1%} from the text, {row['best: image']:.1%} from the"
        f" image, {row['best: both']:.1%} from both; redundancy {row['redundancy (bits)']:.2f} bits, unique to the"
        f" text {row['unique text (bits)']:.2f}, to the image {row['unique image (bits)']:.2f}, synergy"
        f" {row['synergy (bits)']:.2f}."
        for task, row in knowable.iterrows()
    ]
    apart = {task: furthest(table, splits[task]) for task, table in shares.items()}
    return found + [
        f"{task}: the share of {label.label!r} differs most between training and test part, {label.train:.3f} and"
        f" {label.test:.3f} ({label.errors:.1f} standard errors)."
        for task, label in apart.items()
        if label
    ]
