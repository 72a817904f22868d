"""Sphinx extension of the book: checks of pages, what is computed from the code, a search from disk."""

import importlib
import json
import re
from functools import reduce
from pathlib import Path

from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

from website import computed, pages

logger = logging.getLogger(__name__)

SEARCH_TEXTS = "search_texts.js"
#: A page that is opened from disk may not fetch others: the texts of which the search shows excerpts come along.
FETCH_FROM_TEXTS = """
if (window.location.protocol === "file:")
  window.fetch = async (address) => ({ text: async () => PAGE_TEXTS[address.replace("./", "")] });
"""


def hide_launch_buttons(app: Sphinx, config) -> None:
    """Leave the launch buttons out where no repository is named, as they would lead nowhere."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def warn_of_pages(app: Sphinx) -> None:
    """Warn of every page that holds an error or another code than its source; ``-W`` makes errors of these."""
    for problem in pages.problems(Path(app.srcdir)):
        logger.warning(problem)


def fill_in(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace each line ``<!-- computed: what -->`` of a page by the Markdown that is computed."""
    try:
        source[0] = computed.filled(source[0])
    except ValueError as error:
        raise ExtensionError(f"{name}: {error}") from error


def resolve(app: Sphinx, env, node, shown):
    """Find what a docstring names: by the name that a package gives, or the last part of it; others as plain code.

    A name is code without a link where it exists but has no entry, as in another library. One that does not exist
    stays unresolved, which Sphinx warns of.
    """
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    found = _named(target) or _named(f"{node.get('py:module')}.{target}")
    name = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    entries = [entry for entry in domain.objects if entry == name or entry.endswith(f".{target}")]
    if name in domain.objects or len(entries) == 1:
        entry = name if name in domain.objects else entries[0]
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", entry, node, shown)
    return shown if found is not None or entries or node["reftype"] == "attr" else None


def _named(name: str):
    """The object with a full name, or None."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except (ImportError, ValueError):
            continue
        return reduce(lambda of, part: getattr(of, part, None), parts[end:], found)
    return None


def choose_scripts(app: Sphinx, name: str, template: str, context: dict, doctree) -> None:
    """Leave out the scripts of thebe, which are not used and would be there twice; give the search its texts."""
    if name == "search":
        app.add_js_file(SEARCH_TEXTS)
    context["script_files"] = [
        script
        for script in context.get("script_files", ())
        if "thebe" not in str(script.filename) and "THEBE" not in script.attributes.get("body", "")
    ]


def write_search_texts(app: Sphinx, error: Exception | None) -> None:
    """Write the text of all pages into one script, which the search page loads."""
    if error or app.builder.format != "html":
        return
    texts = {}
    folder = Path(app.outdir)
    for name in sorted(app.env.found_docs):
        page = BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        for unread in page.select(".headerlink, script, style"):
            unread.decompose()
        text = page.select_one("article").get_text(" ")
        main = BeautifulSoup('<div role="main"></div>', "html.parser")
        main.div.string = re.sub(r"\s+", " ", text)
        texts[f"{name}.html"] = str(main)
    script = f"const PAGE_TEXTS = {json.dumps(texts)};\n{FETCH_FROM_TEXTS}"
    (folder / "_static" / SEARCH_TEXTS).write_text(script, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Connect what the extension does to the events of the build."""
    app.connect("config-inited", hide_launch_buttons)
    app.connect("builder-inited", warn_of_pages)
    app.connect("source-read", fill_in)
    app.connect("missing-reference", resolve)
    app.connect("html-page-context", choose_scripts, priority=900)
    app.connect("build-finished", write_search_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
