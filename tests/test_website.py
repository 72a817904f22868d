"""What the book says of the code is what the code says, and a page that is wrong stops the build."""

import json
from pathlib import Path

import pytest

from vilbert_lib import config
from vilbert_lib.paths import REPOSITORY
from website import computed, house, pages

BOOK = REPOSITORY / "book"


def test_the_house_is_drawn_from_the_imports_that_are_there_now():
    assert house.PICTURE.read_text(encoding="utf-8") == house.svg(), "run: python -m website.house"


def test_the_house_shows_an_import_once_and_below_its_importer():
    graph = {"top": {"middle", "ground"}, "middle": {"ground"}, "ground": set()}
    assert house.direct(graph) == {"top": {"middle"}, "middle": {"ground"}, "ground": set()}
    assert house.rows(graph) == [["ground"], ["middle"], ["top"]]


def test_every_package_has_a_page_in_the_reference():
    library = {path.parent.name for path in (REPOSITORY / "vilbert_lib").glob("*/__init__.py")} - {"commands"}
    described = {path.stem for path in (BOOK / "reference" / "api").glob("*.md")}
    assert described >= library
    for name in described:
        page = (BOOK / "reference" / "api" / f"{name}.md").read_text(encoding="utf-8")
        assert f"<!-- computed: api vilbert_lib.{name} -->" in page


def test_the_reference_lists_every_field_and_every_command():
    fields = computed.configuration()
    for name in (*config.TrainConfig.__dataclass_fields__, *config.ModelConfig.__dataclass_fields__):
        assert f"| `{name}` |" in fields
    commands = computed.command_line()
    assert "## `align`" in commands and "--permutations PERMUTATIONS" in commands
    assert "| `html` |" in computed.make_targets()


def test_a_mark_that_names_nothing_is_an_error():
    assert computed.filled("a\n<!-- computed: make -->\nb").startswith("a\n| target |")
    with pytest.raises(ValueError, match=r"'mak'; known are api"):
        computed.filled("<!-- computed: mak -->")


@pytest.fixture
def book(tmp_path) -> tuple[Path, Path]:
    """A book with a page and its source, and the source's folder."""
    for folder in ("book/results", "book/log", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    cell = {"cell_type": "code", "source": ["1"], "metadata": {}, "outputs": []}
    for folder in ("book/results", "notebooks"):
        (tmp_path / folder / "09_a.ipynb").write_text(json.dumps({"cells": [cell]}))
    return tmp_path / "book", tmp_path / "notebooks"


def test_a_page_with_an_error_or_other_code_is_a_problem(book):
    folder, sources = book
    page = folder / "results" / "09_a.ipynb"
    assert list(pages.problems(folder, sources)) == []
    failed = {"output_type": "error", "ename": "ValueError"}
    cell = {"cell_type": "code", "source": ["2"], "metadata": {}, "outputs": [failed]}
    page.write_text(json.dumps({"cells": [cell]}))
    first, second = pages.problems(folder, sources)
    assert "09_a.ipynb, cell 1: ValueError" in first
    assert second.endswith("run: python -m vilbert_lib page 09_a")


def test_the_pages_that_are_there_have_no_problem():
    assert list(pages.problems(BOOK)) == []
