"""Figures that the thesis logged, as they are in ``data/thesis_log/``."""

from pathlib import Path

import pandas as pd

from vilbert_lib.paths import REPOSITORY

FOLDER = REPOSITORY / "data" / "thesis_log"


def read(subject: str) -> pd.DataFrame:
    """The table of one ``subject``; a ValueError lists the subjects that there are."""
    return pd.read_csv(_path(subject))


def printed(subject: str) -> pd.DataFrame:
    """The table of one ``subject`` to be looked at: digits as in the log, empty cells empty, without ``note``."""
    return pd.read_csv(_path(subject), dtype=str, keep_default_na=False).drop(columns="note")


def _path(subject: str) -> Path:
    path = FOLDER / f"{subject}.csv"
    if not path.is_file():
        raise ValueError(
            f"unknown subject {subject!r}; known: {', '.join(sorted(p.stem for p in FOLDER.glob('*.csv')))}"
        )
    return path
