"""A book that is not right does not build: each fault is made on purpose in a small one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vilbert_lib.paths import REPOSITORY

pytestmark = pytest.mark.slow  # a build each
STUDY = "02_metric_sanity.ipynb"


@pytest.fixture
def book(tmp_path) -> Path:
    """A book of an introduction, the bibliography and a page, with the project's configuration."""
    folder = tmp_path / "book"
    (folder / "results").mkdir(parents=True)
    config = (REPOSITORY / "_config.yml").read_text(encoding="utf-8")
    assert "website.extension: .." in config
    config = config.replace("website.extension: ..", f"website.extension: {REPOSITORY}")
    (folder / "_config.yml").write_text(config)
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n- file: bibliography\n- file: results/02_metric_sanity\n"
    )
    (folder / "intro.md").write_text("# Start\n\n<!-- computed: citation -->\n")
    for name in ("bibliography.md", "references.bib", "_static"):
        source = REPOSITORY / "book" / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    cells = json.loads((REPOSITORY / "notebooks" / STUDY).read_text(encoding="utf-8"))
    cells["cells"] = [cell for cell in cells["cells"] if cell["cell_type"] == "code"]
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# Page"]}
    cells["cells"].insert(0, title)
    (folder / "results" / STUDY).write_text(json.dumps(cells))
    return folder


def build(book: Path) -> tuple[bool, str]:
    """Build the way ``make html`` does: whether it succeeds, and what is said."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(book), "-W", "-n", "--all"]
    done = subprocess.run([*command, "--keep-going"], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def change_page(book: Path, change) -> None:
    page = book / "results" / STUDY
    notebook = json.loads(page.read_text())
    change(notebook["cells"][1])
    page.write_text(json.dumps(notebook))


def fail(cell: dict) -> None:
    cell["outputs"] = [{"output_type": "error", "ename": "KeyError", "evalue": "x", "traceback": []}]


def rewrite(cell: dict) -> None:
    cell["source"] = ["another = 1"]


FAULTS = {
    "an error on a page": (lambda book: change_page(book, fail), "cell 2: KeyError"),
    "code that is not the source's": (lambda book: change_page(book, rewrite), f"not that of notebooks/{STUDY}"),
    "a link to a page that is not there": (
        lambda book: (book / "intro.md").write_text("# Start\n\nSee [](nowhere.md).\n"),
        "'nowhere.md'",
    ),
    "a link to a heading that is not there": (
        lambda book: (book / "intro.md").write_text("# Start\n\nSee [here](bibliography.md#nothing).\n"),
        "nothing",
    ),
    "a missing picture": (
        lambda book: (book / "intro.md").write_text("# Start\n\n![none](none.png)\n"),
        "none.png",
    ),
    "a mark that names nothing": (
        lambda book: (book / "intro.md").write_text("# Start\n\n<!-- computed: nothing -->\n"),
        "nothing is computed as 'nothing'",
    ),
    "a citation of nothing": (
        lambda book: (book / "intro.md").write_text("# Start\n\n{cite:p}`nobody1900`\n"),
        "nobody1900",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_stops_the_build(book, fault):
    make, message = FAULTS[fault]
    make(book)
    succeeds, said = build(book)
    assert not succeeds and message in said, said[-2000:]


def test_launch_buttons_appear_where_a_repository_is_named(book):
    succeeds, said = build(book)
    assert succeeds, said[-2000:]
    page = book / "_build" / "html" / "results" / "02_metric_sanity.html"
    assert "colab" not in page.read_text(encoding="utf-8")
    config = (book / "_config.yml").read_text()
    named = config.replace('url: ""', 'url: "https://github.com/someone/something"')
    assert named != config
    (book / "_config.yml").write_text(named)
    succeeds, said = build(book)
    assert succeeds, said[-2000:]
    text = page.read_text(encoding="utf-8")
    place = "someone/something/blob/main/book/results/02_metric_sanity.ipynb"
    assert f"https://colab.research.google.com/github/{place}" in text
    assert "https://mybinder.org/v2/gh/someone/something/main" in text
