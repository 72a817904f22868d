"""The notebooks as studies: their parameters checked, run by papermill, published as pages."""

import ast
import difflib
import json
import os
import re
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import yaml
from IPython.display import Markdown
from nbclient import NotebookClient
from papermill import inspect_notebook
from papermill.cli import papermill as papermill_command
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from vilbert_lib import pages, paths
from vilbert_lib.data import synthetic
from vilbert_lib.runs import Run, planning, shown

# Parameters ------------------------------------------------------------------------------------

_OF_THE_KERNEL = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def parameters(notebook: str, namespace: dict) -> SimpleNamespace:
    """The parameters of ``notebook`` as the kernel's ``namespace`` holds them, checked.

    Called in the cell after the parameters cell. A name that the notebook does not declare (a
    mistyped ``-p`` would otherwise run the default study without a word) and a value of another
    type than declared are a ValueError. ``-p`` cannot give lists or booleans: for a list
    parameter a string is split at its commas, for a boolean ``true`` and ``false`` are read.
    """
    declared = inspect_notebook(str(paths.notebooks() / f"{notebook}.ipynb"))
    for name, value in namespace.items():
        ours = name.startswith("_") or name in _OF_THE_KERNEL or callable(value) or isinstance(value, ModuleType)
        if not ours and name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(declared)}"
            raise ValueError(f"{notebook} has no parameter {name!r}{hint}")
    return SimpleNamespace(
        **{name: _typed(name, namespace[name], d["inferred_type_name"]) for name, d in declared.items()}
    )


def _typed(name: str, value, kind: str):
    simple = {"str": str, "int": int, "float": float, "bool": bool}
    if kind == "bool" and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    if inner := re.fullmatch(r"list\[(\w+)\]", kind):
        if isinstance(value, str):
            parts = [part.strip(" []'\"") for part in value.split(",")]
            value = [part if inner[1] == "str" else _literal(part) for part in parts if part]
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        return [_typed(name, item, inner[1]) for item in items]
    if kind == "str" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # -p turns digits into numbers
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not simple[kind]:
        raise ValueError(f"parameter {name} = {value!r} is of type {type(value).__name__}: {kind} is needed")
    return value


def _literal(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# What a study says ----------------------------------------------------------------------------


def provenance(root: Path, profile: str, runs: list[Run]) -> str:
    """Where the numbers of a figure come from, for its caption: data root, profile, n and seeds."""
    what = synthetic.describe(root)
    seeds = sorted({run.config.seed for run in runs})
    evaluated = sorted({run.summary.get("n_test", run.summary["n_val"]) for run in runs})
    aligned = sorted({int(n) for run in runs for n in run.alignment.n_samples.unique()})
    numbers = (", ".join(map(str, values)) for values in (evaluated, aligned, seeds))
    return "{}{}, profile {}, n = {} evaluated, {} for alignment, seeds {}".format(
        what[0].upper(), what[1:], profile, *numbers
    )


def findings(*sentences: str) -> Markdown:
    """Sentences as a list, each written by the cell that computed its numbers."""
    return Markdown("\n".join(f"- {sentence}" for sentence in sentences))


def note(text: str) -> Markdown:
    """What stands below a table, as a caption does below a figure."""
    return Markdown(f"*{text}*")


# Commands --------------------------------------------------------------------------------------


def sources() -> list[Path]:
    """The studies' notebooks, in order: the numbered ones first."""
    return sorted(paths.notebooks().glob("*.ipynb"))


def _execute(arguments: list[str], source: Path) -> tuple[Path, str]:
    """Run papermill with ``arguments`` and an output of its own, outside the book's pages.

    Gives the output, and what to say of the runs that were shown.
    """
    folder = paths.book() / "_partial"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{source.stem}-{os.getpid()}.ipynb"
    noted = partial.with_suffix(".jsonl")
    os.environ[shown.VARIABLE] = str(noted)
    try:
        papermill_command.main([*arguments, str(partial), "--stderr-file", "-"], standalone_mode=False)
        return partial, shown.tell(noted)
    except PapermillExecutionError as error:
        sys.exit(f"{source.name} failed: {error.ename}: {error.evalue}\nWhat ran of it is in {partial}")
    finally:
        del os.environ[shown.VARIABLE]
        noted.unlink(missing_ok=True)


def parameters_of(name: str, profile: str) -> dict:
    """What the study ``name`` is given at a profile, by ``notebooks/<profile>.yaml`` if there is one."""
    path = paths.notebooks() / f"{profile}.yaml"
    given = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if unknown := sorted(set(given) - {source.stem for source in sources()}):
        raise ValueError(f"{path} names studies that do not exist: {', '.join(unknown)}")
    return given.get(name) or {}


def _given(name: str, profile: str) -> dict:
    """The parameters that papermill gives to a study: none at the profile that its source has."""
    return {} if profile == "quick" else {"profile": profile} | parameters_of(name, profile)


def make_page(name: str, profile: str = "quick") -> Path:
    """Run the study ``name`` at the parameters of a profile into ``book/results/<profile>/``."""
    source, given = paths.notebooks() / f"{name}.ipynb", _given(name, profile)
    partial, told = _execute([str(source), *(["-y", yaml.safe_dump(given)] if given else [])], source)
    page = paths.book() / "results" / profile / f"{name}.ipynb"
    pages.publish(partial, page, **({"scale": profile, "runs": told} if given else {}))
    partial.unlink()
    return page


def plan(name: str, profile: str = "quick") -> list[Path]:
    """Descriptions of all runs that the study ``name`` asks for at a profile, finished or not, training none.

    Left out are those whose figures are kept, and what a study asks for only after it read another run. The
    notebook is executed while runs cannot be read, see :mod:`vilbert_lib.runs.planning`: cells that want to
    fail, and those that build on them. An error before that is an error of the study, and a ValueError.
    """
    source = paths.notebooks() / f"{name}.ipynb"
    notebook = load_notebook_node(str(source))
    if not any(re.search(r"\bruns\b", c.source) for c in notebook.cells if c.cell_type == "code"):
        return []
    if given := _given(name, profile):
        notebook = parameterize_notebook(notebook, given)
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "noted.jsonl"
        client = NotebookClient(notebook, timeout=None, kernel_name="python3", allow_errors=True)
        client.execute(env=os.environ | {planning.VARIABLE: str(noted)})
        errors = (o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "error")
        if (first := next(errors, None)) and first.ename != planning.NotTrainedError.__name__:
            raise ValueError(f"{source.name} failed: {first.ename}: {first.evalue}")
        return planning.write(noted)


def add_to_log(arguments: list[str], source: Path) -> Path:
    """Run ``source`` with papermill's ``arguments`` into a dated page of ``book/log/``."""
    now = datetime.now()
    partial, told = _execute(arguments, source)
    stem = f"{now:%Y-%m-%d}-{source.stem}"
    page, again = paths.book() / "log" / f"{stem}.ipynb", 1
    while page.exists():
        again += 1
        page = page.with_name(f"{stem}-{again}.ipynb")
    pages.publish(partial, page, entry=f"{now:%Y-%m-%d}", runs=told)
    partial.unlink()
    return page


def papermill() -> None:
    """The ``papermill`` command: papermill's own, with a page of the log where no output is named.

    Papermill itself, given one argument, asks for a second one, or, where its input is a pipe,
    reads the notebook from there and writes over the one that was named.
    """
    arguments = sys.argv[1:]
    context = papermill_command.make_context("papermill", list(arguments), resilient_parsing=True)
    source, output = context.params.get("notebook_path"), context.params.get("output_path")
    if source and output and Path(source).exists() and Path(output).exists() and os.path.samefile(source, output):
        sys.exit(f"{output} is the notebook that is to be run: name another output")
    is_bare = source and source != "-" and not output
    if not is_bare or context.params.get("help_notebook"):
        papermill_command.main(arguments)
        return
    if not Path(source).is_file():
        sys.exit(f"notebook {source} does not exist")
    page = add_to_log(arguments, Path(source))
    print(f"wrote {page}")


def refresh(names: list[str] | None = None) -> list[Path]:
    """Run the sources and store their outputs; returns those that changed."""
    changed = []
    for source in sources():
        if names and source.stem not in names:
            continue
        started = time.monotonic()
        notebook = nbformat.read(source, as_version=4)
        NotebookClient(notebook, timeout=None, kernel_name="python3").execute(cwd=str(source.parent))
        pages.tidy(notebook, {str(paths.REPOSITORY): "."})
        if pages.write(source, notebook):
            changed.append(source)
        state = "changed" if source in changed else "unchanged"
        print(f"{source.name}: {state}, {time.monotonic() - started:.0f} s", file=sys.stderr)
    return changed


def same_code(source: Path, page: Path) -> bool:
    """Whether a page was made by the code that the source holds now."""

    def code(path: Path) -> list[str]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            "".join(cell["source"])
            for cell in cells
            if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
        ]

    return code(source) == code(page)
