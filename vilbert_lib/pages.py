"""Executed notebooks as pages of the book: without what differs between machines and runs."""

import ast
import base64
import html
import io
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from papermill import inspect_notebook
from PIL import Image

from vilbert_lib import paths
from vilbert_lib.files import write_whole
from vilbert_lib.runs import device_name


def tidy(notebook: NotebookNode, hidden: dict[str, str] | None = None) -> NotebookNode:
    """Take out of an executed notebook what differs from run to run and machine to machine.

    Progress (stderr), timings and papermill's metadata go; ``hidden`` maps paths to what stands in their place, in
    outputs that are text and in the injected parameters. Pictures and all other code stay as they are.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    hidden = hidden or {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        if "injected-parameters" in tags:
            cell.id = "injected-parameters"
            cell.source = hide(cell.source, hidden)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                _hide_in_output(output, hidden)
    return notebook


def _hide_in_output(output: NotebookNode, hidden: dict[str, str]) -> None:
    if "text" in output:
        output.text = hide(output.text, hidden)
    data = output.get("data", {})
    spellings = {"text/plain": str, "text/csv": str, "text/markdown": escape_markdown, "text/html": html.escape}
    for kind, spell in spellings.items():
        if kind in data:  # a path and its stand-in are spelled as the rest of the text is
            data[kind] = hide(data[kind], {spell(path): spell(stand_in) for path, stand_in in hidden.items()})


# Embedded files, colours of a terminal, and end tags: </p> is no path.
_NOT_TEXT = re.compile(r"(data:[\w/+.;=-]*;base64,[A-Za-z0-9+/=\n]+|\x1b\[[\d;]*m|</\w+>)")


def hide(text: str, hidden: dict[str, str]) -> str:
    """Replace the paths in ``text`` by what ``hidden`` gives for each.

    A path is replaced where it stands whole or begins a longer one: ``/d`` in ``/d/x``, not in ``/data`` or
    ``/a/d``. Embedded files (``data:...;base64``) stay as they are.
    """
    parts = _NOT_TEXT.split(text)
    begins = r"(?:(?<![\w.~+-])|(?<=\\[nrt]))(?<![\w.~+:-]/)"  # also behind a newline that is written as \n
    for path, stand_in in hidden.items():
        whole = re.compile(rf"{begins}{re.escape(path)}(?![\w~+-]|\.\w)")
        parts[::2] = [whole.sub(lambda _, stand_in=stand_in: stand_in, part) for part in parts[::2]]
    return "".join(parts)


_SPECIAL = re.compile(
    r"[\\`*$]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is a character like others
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)"  # HTML
    r"|\[(?=\^)|\](?=[(\[])"  # footnotes and links
    r"|\{(?=\{)"  # substitutions
    r"|^[#>%+=:~([-]"  # at the beginning: headings, lists, quotes, fences, targets
)


def escape_markdown(text: str) -> str:
    """``text`` as Markdown that shows it character by character, on one line."""
    text = _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", text)


def as_code(text: str) -> str:
    """``text`` as a Markdown code span, on one line; a span cannot be empty, so no text is shown as ``""``."""
    text = " ".join(text.split()) or '""'
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


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
    return _assigned(notebook, "parameters")


def injected(notebook: NotebookNode) -> dict:
    """The parameters that papermill put into an executed notebook."""
    return _assigned(notebook, "injected-parameters")


def _assigned(notebook: NotebookNode, tag: str) -> dict:
    """The names and values of the assignments in the cell with the tag ``tag``."""
    source = next((cell.source for cell in notebook.cells if tag in cell.metadata.get("tags", [])), "")
    nodes = [node for node in ast.parse(source).body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    names = [node.target.id if isinstance(node, ast.AnnAssign) else node.targets[0].id for node in nodes]
    return {name: ast.literal_eval(node.value) for name, node in zip(names, nodes, strict=True)}


def without_parameter(notebook: NotebookNode, name: str) -> NotebookNode:
    """Take a parameter that is not the user's out of what papermill put into an executed notebook."""
    for cell in [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]:
        lines = cell.source.splitlines(keepends=True)
        cell.source = "".join(line for line in lines if not line.startswith(f"{name} = "))
        if not injected(notebook):
            notebook.cells.remove(cell)
    return notebook


def data_of(notebook: NotebookNode) -> str:
    """What an executed notebook says of its data in :func:`vilbert_lib.synthetic.describe`, as Markdown."""
    for output in (o for cell in notebook.cells for o in cell.get("outputs", [])):
        text = escape_markdown(output.get("text", "")) + output.get("data", {}).get("text/markdown", "")
        if named := re.search(r"synthetic data \([^)]*\)|real data", text, re.IGNORECASE):
            return named[0][0].lower() + named[0][1:]
    return ""


TABLE_OF_FINDINGS = "| question | answer | n | p | verdict |"  # its head
ABOUT_FINDINGS = (
    "In brackets stand 95 % intervals; n counts what is independent, such as seeds, architectures or samples."
    " What a verdict means, and when p is given: [](verdicts)."
)
ON_TOP = 8  # findings that stand at the beginning of a page


def finding_rows(notebook: NotebookNode) -> list[str]:
    """The rows of all tables of :func:`vilbert_lib.notebooks.findings` in an executed notebook, as Markdown."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    tables = (output.get("data", {}).get("text/markdown", "").splitlines() for output in outputs)
    return [line for table in tables if table[:1] == [TABLE_OF_FINDINGS] for line in table[2:] if line[:2] == "| "]


def as_table(rows: list[str]) -> str:
    """Rows of :func:`finding_rows` as a table."""
    return "\n".join([TABLE_OF_FINDINGS, "|---|---|---|---|---|", *rows])


def answer_first(notebook: NotebookNode) -> NotebookNode:
    """Put the findings of an executed study behind its question, and its code behind a toggle.

    The first finding stays the first; of the others those come first that are supported or contradicted.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code" and "hide-input" not in (tags := cell.metadata.get("tags", [])):
            cell.metadata["tags"] = [*tags, "hide-input"]
    rows = finding_rows(notebook)
    if not rows or any(cell.get("id") == "answer" for cell in notebook.cells):
        return notebook
    decided = [row for row in rows if not row.endswith("| *inconclusive* |")]
    chosen = list(dict.fromkeys([rows[0], *decided, *rows]))[:ON_TOP]
    text = as_table(chosen)
    if len(rows) > 1:
        rest = ", and the others are inconclusive" if len(decided) < len(rows) else ""
        shown = f"; {len(chosen)} stand here, all at the end of the page" if len(chosen) < len(rows) else ""
        text = f"Of {len(rows)} findings {len(decided)} are supported or contradicted{rest}{shown}.\n\n{text}"
    text += f"\n\n{ABOUT_FINDINGS}"
    first = notebook.cells[0]
    first.source, _, behind = first.source.partition("\n\n**Method.**")
    answer = nbformat.v4.new_markdown_cell(f"## Answer\n\n{text}", id="answer")
    about = nbformat.v4.new_markdown_cell(f"## Method\n\n{behind.strip()}", id="method")
    notebook.cells[1:1] = [answer, about] if behind else [answer]
    return notebook


def found(notebook: NotebookNode) -> list[str]:
    """The findings of an executed notebook, then its notes, from :func:`vilbert_lib.notebooks.findings`."""
    said = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            lines = output.get("data", {}).get("text/markdown", "").splitlines()
            if lines and lines[0].startswith(("- ", "| question |")):
                rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines[2:] if line.startswith("| ")]
                notes = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
                said = [f"{cells[0]} {cells[1]}" for cells in rows] + notes
    return said


def without_pictures(notebook: NotebookNode) -> NotebookNode:
    """Take the pictures and their data out of a notebook's outputs; their descriptions as text stay."""
    for output in (o for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o):
        for kind in [kind for kind in output["data"] if kind.startswith("image/") or kind == "text/csv"]:
            del output["data"][kind]
            output["metadata"].pop(kind, None)
        output.get("metadata", {}).pop("files", None)
    return notebook


def in_cell(markdown: str) -> str:
    """Markdown for a cell of a table: a bar ends no cell."""
    return markdown.replace("|", "\\|")


def with_parameters(notebook: NotebookNode, declared: dict[str, dict]) -> NotebookNode:
    """Put a table of the parameters before the cell that declares them: name, value on this page, meaning.

    ``declared`` is what papermill's ``inspect_notebook`` reads there: the meaning is the comment behind a
    parameter. A setting of the profile, which may be given as well, stands below them.
    """
    given = injected(notebook)
    values = _assigned(notebook, "parameters") | given
    meanings = {name: parameter["help"] for name, parameter in declared.items()}
    rows = []
    for name, value in values.items():
        shown = as_code(str(value)) if value not in ("", [], {}) else "(empty)"
        meaning = escape_markdown(meanings.get(name, "a setting of the profile"))
        rows.append(f"| `{name}` | {in_cell(shown)} | {in_cell(meaning)} |")
    text = "\n".join(["## Parameters of this page", "", "| parameter | value | meaning |", "|---|---|---|", *rows])
    cell = nbformat.v4.new_markdown_cell(text, id="parameter-table")
    if rows:
        places = [i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", [])]
        notebook.cells.insert(places[0], cell)
    return notebook


def with_data_files(notebook: NotebookNode, page: Path) -> NotebookNode:
    """Number the figures of an executed notebook and write the data of each beside the page, with a link to it.

    A figure of :func:`vilbert_lib.notebooks.show` is an output with a picture and its data as ``text/csv``; the
    output after it is its caption. The files are ``csv/<page>-figure-<number>.csv``, and of the tables of
    :func:`vilbert_lib.notebooks.table_with_files` ``csv/<page>-table-<name>``; those of an earlier page of that
    name are removed.
    """
    folder = page.parent / "csv"
    for earlier in [*folder.glob(f"{page.stem}-figure-*.csv"), *folder.glob(f"{page.stem}-table-*")]:
        earlier.unlink()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [i for i, output in enumerate(outputs) if "text/csv" in output.get("data", {})]
    for number, i in enumerate(figures, start=1):
        name = f"{page.stem}-figure-{number}.csv"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(outputs[i]["data"].pop("text/csv"), encoding="utf-8")
        rows = outputs[i]["metadata"].pop("text/csv")["rows"]
        caption = outputs[i + 1]["data"]
        caption["text/markdown"] = (
            f"**Figure {number}.** {caption['text/markdown']} [Data: CSV, {rows}](csv/{name})"
        )
        caption.pop("text/plain", None)
    for output in (o for o in outputs if "files" in o.get("metadata", {})):
        links = []
        for file, text in output["metadata"].pop("files").items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{page.stem}-table-{file}").write_text(text, encoding="utf-8")
            kind = {".csv": "CSV", ".tex": "LaTeX"}[Path(file).suffix]
            links.append(f"[{kind}](csv/{page.stem}-table-{file})")
        output["data"] = {"text/markdown": f"The same table as {' and as '.join(links)}."}
    return notebook


def _machine_paths(values: dict) -> dict[str, str]:
    """What stands for the folders of this machine in a published page; the longest come first."""
    hidden = {str(paths.REPOSITORY): ".", str(Path.home()): "~"}
    for name, value in values.items():
        if isinstance(value, str) and Path(value).is_absolute():
            hidden |= {str(Path(value)): f"<{name}>", str(Path(value).resolve()): f"<{name}>"}
    hidden.pop("/", None)  # begins every path
    return dict(sorted(hidden.items(), key=lambda pair: -len(pair[0])))


def publish(executed: Path, page: Path, *, entry: str = "", scale: str = "", runs: str = "") -> Path:
    """Write an executed notebook as a page of the book, whole or not at all.

    ``entry`` makes it an entry of the results log: it stands before the title, behind it the single values that
    were given and are no defaults, and below it what the run was, on which data, and the first of its findings.
    ``scale`` makes it a page of another profile than the source's, which stands below the title, with the findings
    first (:func:`answer_first`). ``runs`` says in either what the trained runs took.
    """
    notebook = without_parameter(nbformat.read(executed, as_version=4), "run_list_file")
    took = notebook.metadata.get("papermill", {}).get("duration")
    given = injected(notebook)
    hidden = _machine_paths(given)
    with_light_pictures(tidy(notebook, hidden))
    with_data_files(with_parameters(notebook, inspect_notebook(str(executed))), page)
    if entry:
        title, _, rest = notebook.cells[0].source.partition("\n")
        values = {name: hide(str(value), hidden) for name, value in given.items()}
        listed = ", ".join(f"`{name}` = {as_code(value)}" for name, value in values.items())
        data, usual = data_of(notebook), declared(notebook)
        own = [
            f", {name} {escape_markdown(value) or 'none'}"
            for name, value in values.items()
            if not isinstance(given[name], list) and name != "data_root" and given[name] != usual.get(name)
            if not set("<>&") & set(value)  # the book's theme repeats titles as HTML that is not escaped
        ]
        about = (
            f"*Run of {entry} with {listed or 'the default parameters'}{f', on {data}' if data else ''};"
            f" it took {took / 60:.1f} minutes on {device_name()}. {runs}".rstrip()
            + "*"
        )
        if sentences := found(notebook):
            about += f"\n\n**Found.** {sentences[0]}"
        notebook.cells[0].source = f"# {entry}: {title.removeprefix('# ')}{''.join(own)}\n\n{about}\n{rest}"
    elif scale:
        title, _, rest = notebook.cells[0].source.partition("\n")
        about = f"*This page was run at the profile `{scale}`. {runs}".rstrip() + "*"
        notebook.cells[0].source = f"{title}\n\n{about}\n{rest}"
        answer_first(notebook)
    write(page, notebook)
    return page


def write(path: Path, notebook: NotebookNode) -> bool:
    """Write ``notebook`` where it differs from what is there; returns whether it did."""
    text = nbformat.writes(notebook) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
    return True
