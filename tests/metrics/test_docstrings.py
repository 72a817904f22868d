"""Examples in the docstrings of the measures and of their package run."""

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


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_an_example_that_runs(name):
    text = MEASURES[name].__doc__
    assert f"{name}(" in text.partition("Examples\n    --------\n")[2]
    examples, said = doctest.DocTestParser().get_doctest(text, {}, name, None, 0), []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert result.attempted > 3 and result.failed == 0, "".join(said)
