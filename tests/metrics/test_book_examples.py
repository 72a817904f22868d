"""The chapter on measures: its examples print what it says, and its table says what the measures say."""

import doctest
import re

import pytest

from vilbert_lib.metrics import MEASURES
from vilbert_lib.paths import REPOSITORY

PAGE = (REPOSITORY / "book" / "method" / "measures.md").read_text(encoding="utf-8")
LETTERS = {"R": "rotation", "S": "scaling", "T": "translation"}


def test_the_examples_print_what_the_chapter_says():
    before = set(MEASURES)
    examples = doctest.DocTestParser().get_doctest(re.sub(r"(?m)^```.*$", "", PAGE), {}, "measures.md", None, 0)
    said = []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    for name in set(MEASURES) - before:  # the chapter's own measure, which is of use nowhere else
        del MEASURES[name]
    assert len(examples.examples) > 20
    assert result.failed == 0, "".join(said)


OVERVIEW = [line for line in PAGE.splitlines() if re.match(r"\| `\w+` \|", line) and line.count("|") == 8]


@pytest.mark.parametrize("row", OVERVIEW, ids=lambda row: row.split("`")[1])
def test_the_overview_agrees_with_the_registry(row):
    name, title, _, identical, symmetric, invariances, chance = (cell.strip() for cell in row.split("|")[1:8])
    name = name.strip("`")
    measure = MEASURES[name]
    assert set(re.findall(r"`(\w+)`", title)) - {"masks"} == set(measure.uses) or name.startswith("max_sim")
    assert (symmetric == "yes") == measure.symmetric
    assert {LETTERS[letter] for letter in invariances} | {"permutation of samples"} == set(measure.invariances)
    assert identical == f"{measure.identical:g}" if measure.identical is not None else not identical.isdigit()
    assert (chance not in ("permutation", "none")) == bool(measure.moments)
    assert (chance == "none") == (not measure.paired)


def test_the_overview_names_each_of_its_measures_once():
    names = [row.split("`")[1] for row in OVERVIEW]
    assert len(names) == len(set(names)) >= 23 and set(names) <= set(MEASURES)
