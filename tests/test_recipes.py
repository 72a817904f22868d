"""The recipes of the developer chapter, followed literally in a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from vilbert_lib.paths import REPOSITORY

pytestmark = pytest.mark.slow  # each runs the tests of what it added
RECIPES = REPOSITORY / "book" / "howto"


def blocks(recipe: str) -> list[str]:
    """The Python blocks of a recipe, without their indentation in lists."""
    text = (RECIPES / f"{recipe}.md").read_text(encoding="utf-8")
    found = re.findall(r"^( *)```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return ["".join(line.removeprefix(indent) for line in code.splitlines(True)) for indent, code in found]


@pytest.fixture
def copy(tmp_path) -> Path:
    """The repository without pages, archive and data."""
    for name in ("vilbert_lib", "studies", "tests", "notebooks", "pyproject.toml", "Makefile", "README.md"):
        source, place = REPOSITORY / name, tmp_path / "repo" / name
        place.parent.mkdir(exist_ok=True)
        shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    for name in ("reference", "method"):
        shutil.copytree(REPOSITORY / "book" / name, tmp_path / "repo" / "book" / name)
    return tmp_path / "repo"


def run(copy: Path, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VILBERT_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=clean | {"PYTHONPATH": str(copy), "VILBERT_DATA": str(copy / "data")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def append(path: Path, code: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n\n" + code, encoding="utf-8")


def test_a_measure(copy):
    prepare, entry, plain = blocks("measure")
    append(copy / "vilbert_lib" / "metrics" / "kernels.py", prepare)
    registry = copy / "vilbert_lib" / "metrics" / "registry.py"
    first = '        Measure(\n            name="svcca"'
    listed = "".join(f"        {line}" for line in entry.splitlines(True))
    assert registry.read_text().count(first) == 1
    registry.write_text(registry.read_text().replace(first, listed + first))
    append(copy / "tests" / "metrics" / "plain_definitions.py", plain)
    code = "import numpy as np; from vilbert_lib.metrics import cka_quadratic as d; X = np.eye(8)[:, :3]"
    assert run(copy, "-c", f"{code}; print(round(d(X, X), 6))").strip() == "1.0"
    run(copy, "-m", "pytest", "-q", "-x", "tests/metrics", "tests/config", "tests/test_import_rule.py")


def test_a_dataset(copy, tmp_path):
    module, listed = blocks("dataset")
    formats = copy / "vilbert_lib" / "data" / "formats"
    (formats / "talks.py").write_text(module)
    known = (formats / "known.py").read_text()
    head, _, rest = listed.partition("\n\n")
    known = re.sub(r"^from vilbert_lib.data.formats import [^(\n]*$", head, known, count=1, flags=re.MULTILINE)
    (formats / "known.py").write_text(known[: known.index("TASKS: dict")] + rest)
    folder = tmp_path / "root" / "talks"
    for name in ("stills", "transcripts"):
        (folder / name).mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        rows = [{"talk": f"{split}{i}", "topic": ("art", "science")[i % 2]} for i in range(4)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for i, row in enumerate(rows):
            Image.new("RGB", (8, 8), (60 * i, 80 * number, 0)).save(folder / "stills" / f"{row['talk']}.jpg")
            (folder / "transcripts" / f"{row['talk']}.txt").write_text(f"talk {i} of {split}")
    assert "talks" in run(copy, "-m", "vilbert_lib", "data", "check", str(tmp_path / "root"), "--task", "talks")
    run(copy, "-m", "pytest", "-q", "-x", "tests/data/test_formats.py", "tests/data/test_check.py")


def test_an_architecture(copy):
    [line] = blocks("architecture")
    path = copy / "vilbert_lib" / "config" / "architectures.py"
    path.write_text(
        path.read_text().replace('    "baseline": ((), ()),\n', f'    "baseline": ((), ()),\n    {line}')
    )
    code = "from vilbert_lib.config import placement; print(placement('my_fusion'))"
    assert run(copy, "-c", code).strip() == "((2, 7), (5, 11))"
    run(copy, "-m", "pytest", "-q", "-x", "tests/config", "tests/model/test_vilbert.py", "tests/search")


def test_a_notebook(copy):
    parameters, check, findings = (block.replace("<name>", "example") for block in blocks("study"))
    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    tagged = new_code_cell(parameters.strip(), metadata={"tags": ["parameters"]})
    notebook.cells = [
        new_markdown_cell("# Example\n\n**Question.** Do seeds differ?"),
        tagged,
        new_code_cell(check.strip()),
        new_code_cell(findings.strip()),
    ]
    nbformat.write(notebook, copy / "notebooks" / "09_example.ipynb")
    run(copy, "-m", "vilbert_lib", "refresh", "09_example")
    run(copy, "-m", "vilbert_lib", "page", "09_example")
    page = (copy / "book" / "results" / "09_example.ipynb").read_text()
    assert "The seeds differ by +0.500 [+0.250, +0.750]" in page and "supported" in page
    run(copy, "-m", "pytest", "-q", "-x", "tests/test_notebooks.py", "-k", "typed_and_explained")
