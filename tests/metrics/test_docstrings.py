"""Examples in the docstrings of the measures' package run."""

import doctest

import pytest

from vilbert_lib.metrics import MEASURES, custom, streaming


@pytest.mark.parametrize("module", [custom, streaming], ids=lambda module: module.__name__)
def test_the_examples_print_what_they_say(module):
    before = set(MEASURES)
    result = doctest.testmod(module)
    for name in set(MEASURES) - before:
        del MEASURES[name]
    assert result.attempted > 2 and result.failed == 0
