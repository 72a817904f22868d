"""Features of any model's layers, from the model itself or from files, and their alignment."""

from vilbert_lib.features.extraction import Extracted, extract
from vilbert_lib.features.files import (
    DEFAULT_MEASURES,
    PICTURES,
    TABLES,
    align,
    heat_map,
    in_words,
    read,
    writable,
    write,
)

__all__ = [
    "DEFAULT_MEASURES",
    "PICTURES",
    "TABLES",
    "Extracted",
    "align",
    "extract",
    "heat_map",
    "in_words",
    "read",
    "writable",
    "write",
]
