"""Figures that the thesis logged, as they are in ``data/thesis_log/``."""

import pandas as pd

from vilbert_lib.paths import REPOSITORY

FOLDER = REPOSITORY / "data" / "thesis_log"


def read(subject: str) -> pd.DataFrame:
    """The table of one ``subject``; a ValueError lists the subjects that there are."""
    path = FOLDER / f"{subject}.csv"
    if not path.is_file():
        raise ValueError(
            f"unknown subject {subject!r}; known: {', '.join(sorted(p.stem for p in FOLDER.glob('*.csv')))}"
        )
    return pd.read_csv(path)
