"""What a page of the book may not be: one with an error, or one that its source would not make any more."""

import json
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "notebooks"


def code(notebook: Path) -> list[str]:
    """Sources of a notebook's code cells, without the parameters that papermill put in."""
    return [
        "".join(cell["source"])
        for cell in _cells(notebook)
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]


def problems(book: Path, sources: Path = SOURCES) -> Iterator[str]:
    """Sentences that say what is wrong with the pages of ``book``, with file and fix."""
    for page in sorted([*(book / "results").rglob("*.ipynb"), *(book / "log").glob("*.ipynb")]):
        for number, cell in enumerate(_cells(page), 1):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    yield f"{page}, cell {number}: {output['ename']}: mend the study and make its page again"
    for page in sorted((book / "results").glob("*.ipynb")):
        if not (sources / page.name).is_file():
            yield f"{page}: there is no notebooks/{page.name} of which it could be the page"
        elif code(page) != code(sources / page.name):
            yield (
                f"{page}: its code is not that of notebooks/{page.name}; "
                f"run: python -m vilbert_lib page {page.stem}"
            )


def _cells(notebook: Path) -> list[dict]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]
