"""``make pdf``: the built book as one PDF with a title page, contents and page numbers, printed by Chromium."""

import base64
import sys
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, Tag

from website.browser import Browser

REPOSITORY = Path(__file__).parent.parent
HTML = REPOSITORY / "book" / "_build" / "html"
LEFT_OUT = ".headerlink, .toctree-wrapper, script, button, .prev-next-area, #search-results"
STYLE = """
body { font-family: sans-serif; font-size: 10pt; }
section.page, nav { break-before: page; }
h1, h2, h3 { break-after: avoid; }
figure, img, tr { break-inside: avoid; }
img { max-width: 100%; height: auto; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 7.5pt; }
table { font-size: 7.5pt; border-collapse: collapse; max-width: 100%; }
td, th { padding: 2px 5px; border-bottom: 1px solid #ccc; overflow-wrap: anywhere; text-align: left; }
details { display: none; }
header { padding-top: 35vh; text-align: center; }
nav li { list-style: none; }
"""
FOOT = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'


def parts(html: Path = HTML) -> list[tuple[str, list[str]]]:
    """Captions of the book's parts, each with its pages in the order of the sidebar."""
    home = BeautifulSoup((html / "intro.html").read_text(encoding="utf-8"), "html.parser")
    found = [("", ["intro.html"])]
    for caption in home.select(".bd-sidebar-primary p.caption"):
        links = caption.find_next_sibling("ul").select("a.reference.internal")
        found.append((caption.get_text(strip=True), [link["href"] for link in links]))
    return found


def whole(html: Path = HTML) -> str:
    """All pages as one: identifiers carry the name of their page, and links between pages lead to these."""
    book = yaml.safe_load((REPOSITORY / "_config.yml").read_text(encoding="utf-8"))
    version = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    contents, sections = [], []
    for caption, pages in parts(html):
        entries = []
        for page in pages:
            title, section = _section(html, page)
            entries.append(f'<li><a href="#{page}">{title}</a></li>')
            sections.append(section)
        contents.append(f"<h3>{caption}</h3><ul>{''.join(entries)}</ul>")
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{book["title"]}</title>
<link rel="stylesheet" href="_static/pygments.css"><style>{STYLE}</style>
<script defer src="_static/mathjax/tex-chtml.js"></script></head><body>
<header><h1>{book["title"]}</h1><p>{book["author"]}</p><p>Version {version}, {book["copyright"]}</p></header>
<nav><h2>Contents</h2>{"".join(contents)}</nav>{"".join(sections)}</body></html>"""


def _section(html: Path, page: str) -> tuple[str, str]:
    article = BeautifulSoup((html / page).read_text(encoding="utf-8"), "html.parser").select_one("article")
    for unread in article.select(LEFT_OUT):
        unread.decompose()
    for tag in article.select("[id]"):
        tag["id"] = f"{page}-{tag['id']}"
    for image in article.select("img[src]"):
        image["src"] = _from_root(html, page, image["src"])
    for link in article.select("a[href]"):
        _redirect(link, html, page)
    return article.h1.get_text(
        strip=True
    ), f'<section class="page" id="{page}">{article.decode_contents()}</section>'


def _redirect(link: Tag, html: Path, page: str) -> None:
    place, _, label = link["href"].partition("#")
    if "://" in place or place.startswith("mailto:"):
        return
    target = _from_root(html, page, place) if place else page
    if target.endswith(".html"):
        link["href"] = f"#{target}-{label}" if label else f"#{target}"
    else:
        del link["href"]  # a file that lies beside the page, not in the PDF


def _from_root(html: Path, page: str, address: str) -> str:
    return str(((html / page).parent / address).resolve().relative_to(html.resolve()))


def main(html: Path = HTML) -> None:
    """Print the book that ``make html`` built into ``book/_build/book.pdf``."""
    if not (html / "intro.html").is_file():
        sys.exit(f"{html}/intro.html is not there: run make html")
    source, out = html / "book-as-one-page.html", html.parent / "book.pdf"
    source.write_text(whole(html), encoding="utf-8")
    try:
        with Browser() as tab:
            tab.open(source)
            printed = tab.call(
                "Page.printToPDF",
                seconds=900,
                printBackground=True,
                displayHeaderFooter=True,
                headerTemplate="<span></span>",
                footerTemplate=FOOT,
                paperWidth=8.27,
                paperHeight=11.69,
                marginTop=0.7,
                marginBottom=0.7,
                generateDocumentOutline=True,
                generateTaggedPDF=True,
            )
    except FileNotFoundError as error:
        sys.exit(str(error))
    finally:
        source.unlink()
    out.write_bytes(base64.b64decode(printed["data"]))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
