"""Where data, runs and the book live. Environment variables override each place."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def _place(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().resolve()


def data() -> Path:
    """Folder of everything that is made or downloaded (``VILBERT_DATA``)."""
    return _place("VILBERT_DATA", REPOSITORY / "data")


def datasets() -> Path:
    """Folder of the data roots that the project makes itself."""
    return data() / "datasets"


def cache() -> Path:
    """Decoded images and trained tokenizers: may be deleted at any time."""
    return data() / "cache"


def runs() -> Path:
    """Folder of the run directories (``VILBERT_RUNS``)."""
    return _place("VILBERT_RUNS", data() / "runs")


def studies() -> Path:
    """Folder of the searches' records, a database each."""
    return data() / "studies"


def archive() -> Path:
    """Folder of the figures of runs that are kept with the code (``VILBERT_ARCHIVE``)."""
    return _place("VILBERT_ARCHIVE", REPOSITORY / "data" / "results")


def plans() -> Path:
    """Folder of the descriptions of runs that studies will ask for."""
    return data() / "plan"


def notebooks() -> Path:
    """Folder of the studies' sources (``VILBERT_NOTEBOOKS``)."""
    return _place("VILBERT_NOTEBOOKS", REPOSITORY / "notebooks")


def book() -> Path:
    """Folder of the book's pages (``VILBERT_BOOK``)."""
    return _place("VILBERT_BOOK", REPOSITORY / "book")
