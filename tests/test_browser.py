"""The built book as a reader sees it: from disk, without a network, on a desktop and on a phone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from vilbert_lib.paths import REPOSITORY
from website import browser, pdf

pytestmark = [
    pytest.mark.slow,  # the book is built, and every page opened
    pytest.mark.skipif(browser.find() is None, reason="no Chromium on the path: apt install chromium"),
]
WIDTHS = {"desktop": 1280, "phone": 390}
CHECKS = {
    "images that are missing": "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)",
    "formulas that are not set": """[...document.querySelectorAll('.math')].filter(e =>
        !e.querySelector('mjx-container') || e.querySelector('mjx-merror, [data-mjx-error]'))
        .map(e => e.innerText)""",
    "images without a description": """[...document.querySelectorAll('article img')].filter(i => !i.alt)
        .map(i => i.src)""",
}
TOO_WIDE = """[...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > %d + 1)
    .slice(0, 5).map(e => e.tagName + '.' + e.className + ' ' + e.innerText.slice(0, 60))"""
ENTRIES = (
    "[...document.querySelectorAll('.bd-sidebar-primary .bd-links li')].filter(e => e.checkVisibility()).length"
)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The book, or what ``VILBERT_HTML`` names, built from the pages that are there."""
    if "VILBERT_HTML" in os.environ:
        return Path(os.environ["VILBERT_HTML"])
    out = tmp_path_factory.mktemp("book")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(REPOSITORY / "book")]
    subprocess.run([*command, "--all", "--quiet", "--path-output", str(out)], check=True, capture_output=True)
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def tab():
    with browser.Browser() as opened:
        yield opened


def problems(tab, page: Path, query: str = "") -> list[str]:
    """What is wrong with a page."""
    tab.resize(WIDTHS["desktop"])
    tab.open(page, query)
    found = tab.complaints()
    found += [f"{name}: {here}" for name, script in CHECKS.items() if (here := tab.evaluate(script))]
    if (entries := tab.evaluate(ENTRIES)) > 30:
        found.append(f"{entries} entries in the sidebar")
    for name, width in WIDTHS.items():
        tab.resize(width)
        if tab.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"scrolls sideways on a {name}: {tab.evaluate(TOO_WIDE % width)}")
    if page.stat().st_size > 1_000_000:
        found.append(f"{page.stat().st_size:,} bytes")
    return found


def test_every_page_is_whole_on_desktop_and_phone(tab, html):
    pages = [page for page in sorted(html.rglob("*.html")) if "_static" not in page.parts]
    pages.remove(html / "index.html")  # leads to the introduction
    assert len(pages) > 40
    found = {page.relative_to(html): problems(tab, page) for page in pages}
    wrong = [f"{page}: {problem}" for page, problems_ in found.items() for problem in problems_]
    assert not wrong, "\n".join(wrong)


def test_the_first_page_leads_to_the_introduction(tab, html):
    tab.open(html / "index.html")
    _wait(lambda: tab.evaluate("location.pathname").endswith("/intro.html"))


def test_the_book_as_one_page_is_whole(html):
    page = BeautifulSoup(pdf.whole(html), "html.parser")
    names = {tag["id"] for tag in page.select("[id]")}
    entries = [link["href"] for link in page.select("nav a")]
    assert len(entries) > 40 and "#intro.html" in entries
    lost = [link["href"] for link in page.select("a[href^='#']") if link["href"][1:] not in names]
    assert not lost
    assert all((html / image["src"]).is_file() for image in page.select("img"))


def test_a_search_from_disk_shows_what_it_finds(tab, html):
    tab.resize(WIDTHS["desktop"])
    tab.open(html / "search.html", "?q=wasserstein")
    _wait(lambda: tab.evaluate("document.querySelectorAll('#search-results li .context').length") > 0)
    found = tab.evaluate("[...document.querySelectorAll('#search-results li')].map(e => e.innerText)")
    assert any("Measures" in each and "wasserstein" in each.lower() for each in found)
    assert tab.complaints() == []


def test_what_is_wrong_with_a_page_is_seen(tab, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        """<meta name="viewport" content="width=device-width"><article>
        <img src="nowhere.png"><span class="math">x</span>
        <div style="width: 900px">wide</div><script src="https://example.org/a.js"></script>
        <script>missing()</script></article>"""
    )
    found = "\n".join(problems(tab, page))
    for each in ("ERR_FILE_NOT_FOUND", "asks the network", "missing is not defined", "images that are missing"):
        assert each in found
    for each in ("formulas that are not set", "without a description", "sideways on a phone"):
        assert each in found


def _wait(happened, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)
