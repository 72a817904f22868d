"""Figures that others published on the real datasets, to stand beside a user's own."""

import pandas as pd

#: task -> (model, metric, value, source)
PUBLISHED: dict[str, list[tuple[str, str, float, str]]] = {
    "hateful_memes": [
        ("image only", "AUROC", 0.526, "Kiela et al. 2020, test_seen"),
        ("text only, BERT", "AUROC", 0.651, "Kiela et al. 2020, test_seen"),
        ("ViLBERT", "accuracy", 0.623, "Kiela et al. 2020, test_seen"),
        ("ViLBERT", "AUROC", 0.705, "Kiela et al. 2020, test_seen"),
        ("VisualBERT, COCO", "AUROC", 0.714, "Kiela et al. 2020, test_seen"),
        ("human", "accuracy", 0.847, "Kiela et al. 2020, test_seen"),
    ],
    "easy_vqa": [
        ("convolutional network and bag of words, lower published figure", "accuracy", 0.876, "Easy-VQA"),
        ("convolutional network and bag of words, higher published figure", "accuracy", 0.938, "Easy-VQA"),
    ],
}


def beside(task: str, data: str) -> pd.DataFrame:
    """The published figures of ``task``, with a column that says what this page's ``data`` are.

    They hold for the real dataset: a synthetic number beside them is another task's.
    """
    rows = pd.DataFrame(PUBLISHED.get(task, []), columns=["model", "metric", "published", "source"])
    return rows.assign(**{"this page's data": data})
