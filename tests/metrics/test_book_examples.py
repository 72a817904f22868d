"""The chapter on measures: its examples print what it says, and its table says what the measures say."""

import doctest
import re

import pytest

from vilbert_lib.metrics import MEASURES
from vilbert_lib.paths import REPOSITORY

PAGE = (REPOSITORY / "book" / "method" / "measures.md").read_text(encoding="utf-8")
LETTERS = {"R": "rotation", "S": "scaling", "T": "translation"}


def test_the_examples_print_what_the_chapter_says():
    examples = doctest.DocTestParser().get_doctest(re.sub(r"(?m)^```.*$", "", PAGE), {}, "measures.md", None, 0)
    said = []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert len(examples.examples) > 20
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", MEASURES)
def test_the_overview_agrees_with_the_registry(name):
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |") and line.count("|") == 8]
    assert len(rows) == 1
    title, _, identical, symmetric, invariances, chance = (cell.strip() for cell in rows[0].split("|")[2:8])
    measure = MEASURES[name]
    assert set(re.findall(r"`(\w+)`", title)) - {"masks"} == set(measure.uses) or name.startswith("max_sim")
    assert (symmetric == "yes") == measure.symmetric
    assert {LETTERS[letter] for letter in invariances} | {"permutation of samples"} == set(measure.invariances)
    assert identical == f"{measure.identical:g}" if measure.identical is not None else not identical.isdigit()
    assert (chance not in ("permutation", "none")) == bool(measure.moments)
    assert (chance == "none") == (not measure.paired)
