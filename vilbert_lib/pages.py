"""Executed notebooks as pages of the book: without what differs between machines and runs."""

import ast
import base64
import io
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from vilbert_lib import paths
from vilbert_lib.runs import device_name


def tidy(notebook: NotebookNode, hidden: dict[str, str] | None = None) -> NotebookNode:
    """Take out of an executed notebook what differs from run to run and machine to machine.

    Progress (stderr), timings and papermill's metadata go; ``hidden`` maps texts to what stands
    in their place.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        if "injected-parameters" in tags:
            cell.id = "injected-parameters"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return _replace(notebook, hidden or {})


def _replace(value, hidden: dict[str, str]):
    if isinstance(value, str):
        for text, stand_in in hidden.items():
            value = value.replace(text, stand_in)
        return value
    if isinstance(value, dict):
        for name in value:
            value[name] = _replace(value[name], hidden)
    elif isinstance(value, list):
        value[:] = [_replace(item, hidden) for item in value]
    return value


def with_light_pictures(notebook: NotebookNode) -> NotebookNode:
    """Give the pictures of an executed notebook 256 colours where that makes them smaller: a third is usual."""
    for output in (o for cell in notebook.cells for o in cell.get("outputs", [])):
        if picture := output.get("data", {}).get("image/png"):
            light, whole = io.BytesIO(), Image.open(io.BytesIO(base64.b64decode(picture)))
            if whole.mode == "RGBA" and whole.getextrema()[3][0] < 255:
                continue  # what shines through would be lost
            whole.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                light, "PNG", optimize=True
            )
            found = base64.b64encode(light.getvalue()).decode() + "\n"
            output["data"]["image/png"] = min(picture, found, key=len)
    return notebook


def declared(notebook: NotebookNode) -> dict:
    """The parameters of a notebook with their defaults."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            return {n.target.id: ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.AnnAssign)}
    return {}


def data_of(notebook: NotebookNode) -> str:
    """What an executed notebook says of its data, as :func:`vilbert_lib.data.synthetic.describe` words it."""
    for output in (o for cell in notebook.cells for o in cell.get("outputs", [])):
        text = output.get("text", "") + output.get("data", {}).get("text/markdown", "")
        if named := re.search(r"synthetic data \([^)]*\)|real data", text, re.IGNORECASE):
            return named[0][0].lower() + named[0][1:]
    return ""


def injected(notebook: NotebookNode) -> dict:
    """The parameters that papermill put into an executed notebook."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            return {
                node.targets[0].id: ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign)
            }
    return {}


def found(notebook: NotebookNode) -> list[str]:
    """The sentences of the last findings in an executed notebook, see :func:`findings`."""
    said = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/markdown", "")
            if text.startswith("- "):
                said = [line.removeprefix("- ") for line in text.splitlines()]
    return said


def _machine_paths(values: dict) -> dict[str, str]:
    """What stands for the folders of this machine in a published page; the longest come first."""
    hidden = {str(paths.REPOSITORY): ".", str(Path.home()): "~"}
    for name, value in values.items():
        if isinstance(value, str) and Path(value).is_absolute():
            hidden |= {value: f"<{name}>", str(Path(value).resolve()): f"<{name}>"}
    return dict(sorted(hidden.items(), key=lambda pair: -len(pair[0])))


def publish(executed: Path, page: Path, *, entry: str = "", scale: str = "", runs: str = "") -> Path:
    """Write an executed notebook as a page of the book, whole or not at all.

    ``entry`` makes it an entry of the results log: it stands before the title, behind it the single values that
    were given and are no defaults, and below it what the run was, on which data, and the first of its findings.
    ``scale`` makes it a page of another profile than the source's, which stands behind the title. ``runs`` says in
    either what the trained runs took.
    """
    notebook = nbformat.read(executed, as_version=4)
    took = notebook.metadata.get("papermill", {}).get("duration")
    values = injected(notebook)
    hidden = _machine_paths(values)
    with_light_pictures(tidy(notebook, hidden))
    if entry:
        title, _, rest = notebook.cells[0].source.partition("\n")
        listed = ", ".join(f"`{name}` = `{_replace(value, hidden)}`" for name, value in values.items())
        data, usual = data_of(notebook), declared(notebook)
        own = [
            f", {name} {_replace(value, hidden)}"
            for name, value in values.items()
            if not isinstance(value, list) and name != "data_root" and value != usual.get(name)
        ]
        about = (
            f"*Run of {entry} with {listed or 'the default parameters'}{f', on {data}' if data else ''};"
            f" it took {took / 60:.1f} minutes on {device_name()}. {runs}".rstrip()
            + "*"
        )
        if sentences := found(notebook):
            about += f"\n\n**Found.** {_replace(sentences[0], hidden)}"
        notebook.cells[0].source = f"# {entry}: {title.removeprefix('# ')}{''.join(own)}\n\n{about}\n{rest}"
    elif scale:
        title, _, rest = notebook.cells[0].source.partition("\n")
        about = f"*This page was run at the profile `{scale}`. {runs}".rstrip() + "*"
        notebook.cells[0].source = f"{title} ({scale})\n\n{about}\n{rest}"
    write(page, notebook)
    return page


def write(path: Path, notebook: NotebookNode) -> bool:
    """Write ``notebook`` where it differs from what is there; returns whether it did."""
    text = nbformat.writes(notebook) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return True
