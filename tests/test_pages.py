"""The book's pages are what the studies say now, without errors, and the book builds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from studies import answers
from vilbert_lib import notebooks, pages
from vilbert_lib.paths import REPOSITORY

RESULTS = sorted((REPOSITORY / "book" / "results").glob("*.ipynb"))
LOG = sorted((REPOSITORY / "book" / "log").glob("*.ipynb"))


def names(paths):
    return [f"{page.parent.name}/{page.stem}" for page in paths]


def outputs(page):
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


def code(path):
    cells = nbformat.read(path, as_version=4).cells
    tagged = [(cell.source, cell.metadata.get("tags", [])) for cell in cells if cell.cell_type == "code"]
    return [source for source, tags in tagged if "injected-parameters" not in tags]


@pytest.mark.parametrize("page", RESULTS, ids=names(RESULTS))
def test_a_page_was_made_by_the_code_that_its_source_holds_now(page):
    source = REPOSITORY / "notebooks" / page.name
    assert code(source) == code(page), f"run: python -m vilbert_lib page {page.stem}"


@pytest.mark.parametrize("page", RESULTS, ids=names(RESULTS))
def test_a_page_was_given_what_its_profile_gives_now(page):
    assert pages.injected(nbformat.read(page, as_version=4)) == notebooks.given(page.stem, "small")


def test_the_first_page_of_the_book_gives_the_findings_of_the_pages():
    book = REPOSITORY / "book"
    assert (book / "_answers.md").read_text(encoding="utf-8") == answers.text(book), "run: make html"
    with pytest.raises(ValueError, match=r"04_correlation\.ipynb has 0 findings that begin with 'Is it so'"):
        answers.table({"A question": [("04_correlation", "Is it so")]}, book)


@pytest.mark.parametrize("page", RESULTS, ids=names(RESULTS))
def test_a_page_gives_its_findings_behind_its_question_and_hides_its_code(page):
    notebook = nbformat.read(page, as_version=4)
    assert all("hide-input" in cell.metadata.tags for cell in notebook.cells if cell.cell_type == "code")
    rows = pages.finding_rows(notebook)
    if rows:
        assert notebook.cells[1].source.startswith("## Answer\n\n") and rows[0] in notebook.cells[1].source
        assert notebook.cells[2].source.startswith("## Method\n\n")
    again = nbformat.from_dict(notebook)
    assert pages.answer_first(again) == notebook


@pytest.mark.parametrize("page", RESULTS, ids=names(RESULTS))
def test_every_figure_of_a_page_is_described_and_followed_by_a_sentence_and_its_data(page):
    found = outputs(page)
    pictures = [i for i, output in enumerate(found) if "image/png" in output.get("data", {})]
    for number, i in enumerate(pictures, start=1):
        assert found[i]["metadata"]["image/png"]["alt"] == "".join(found[i]["data"]["text/plain"])
        caption = "".join(found[i + 1]["data"]["text/markdown"])
        said = re.fullmatch(rf"\*\*Figure {number}\.\*\* (.+)\. .*\[Data: CSV, .*\]\((csv/.+)\)", caption)
        assert len(said[1].split()) > 4 and (page.parent / said[2]).stat().st_size < 200_000, caption
    files = {file.name for file in (page.parent / "csv").glob(f"{page.stem}-figure-*.csv")}
    assert files == {f"{page.stem}-figure-{number}.csv" for number in range(1, len(pictures) + 1)}


@pytest.mark.parametrize("page", RESULTS, ids=names(RESULTS))
def test_a_page_lists_its_parameters_with_their_values_and_meaning(page):
    notebook = nbformat.read(page, as_version=4)
    [table] = [cell.source for cell in notebook.cells if cell.id == "parameter-table"]
    declared = notebooks.declared_in(page.stem)
    values = declared | pages.injected(notebook)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", table, re.MULTILINE))
    assert set(rows) == set(values)
    assert all(
        rows[name] == (f"`{value}`" if value not in ("", [], {}) else "(empty)") for name, value in values.items()
    )


@pytest.mark.parametrize("page", RESULTS + LOG, ids=names(RESULTS + LOG))
def test_a_page_holds_no_error_and_no_path_of_a_machine(page):
    assert not [output for output in outputs(page) if output["output_type"] == "error"]
    text = page.read_text(encoding="utf-8")
    assert str(REPOSITORY) not in text and str(Path.home()) + "/" not in text
    assert not re.search(r"/(home|root|Users|tmp)/\w", text)


@pytest.mark.parametrize("page", LOG, ids=names(LOG))
def test_an_entry_of_the_log_is_dated_and_says_what_was_run(page):
    first = json.loads(page.read_text(encoding="utf-8"))["cells"][0]
    assert re.match(r"# \d{4}-\d\d-\d\d: ", "".join(first["source"]))
    assert "Run of" in "".join(first["source"]) and "minutes on" in "".join(first["source"])


@pytest.mark.parametrize("source", notebooks.sources(), ids=lambda path: path.stem)
def test_a_source_is_compared_in_more_than_one_cell(source):
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    compared = [
        cell
        for cell in cells
        if cell["cell_type"] == "code"
        and cell["outputs"]
        and "nbval-ignore-output" not in cell["metadata"].get("tags", [])
    ]
    assert len(compared) >= 2


def test_the_book_builds_without_a_warning_and_without_the_internet(tmp_path):
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(REPOSITORY / "book")]
    done = subprocess.run(
        [*command, "-W", "-n", "--keep-going", "--all", "--path-output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    html = tmp_path / "_build" / "html"
    for page in RESULTS + LOG:
        assert (html / page.relative_to(REPOSITORY / "book")).with_suffix(".html").is_file()
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(https?:)?//|<link[^>]+stylesheet[^>]+href="(https?:)?//'
    )
    for page in html.rglob("*.html"):
        assert not loaded.search(page.read_text(encoding="utf-8")), page
