"""The book's second table of bad input quotes messages that the library has; the cases are tested elsewhere."""

import ast
import csv
import re

import pytest

from vilbert_lib.paths import REPOSITORY

TABLE = REPOSITORY / "book" / "reference" / "bad_input_other.csv"


def literals() -> str:
    """All texts of the library's and the studies' source, those of f-strings without their values."""
    sources = [path for part in ("vilbert_lib", "studies") for path in (REPOSITORY / part).rglob("*.py")]
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text())))
    return "\n".join(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


@pytest.fixture(scope="module")
def known() -> str:
    return literals()


with open(TABLE, encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['what is given']}, {row['what is tried']}")
def test_every_quoted_message_is_one_of_the_library(row, known):
    [message] = re.findall("`([^`]+)`", row["what comes back"])
    parts = [part.strip(" :;,") for part in message.split("…")]
    assert any(len(part) > 10 for part in parts), "nothing of the message is quoted"
    assert [part for part in parts if part not in known] == []
