"""The notebooks as studies: their parameters checked, run by papermill, published as pages."""

import ast
import base64
import contextlib
import dataclasses
import difflib
import keyword
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import get_origin

import nbformat
import pandas as pd
import yaml
from IPython.core.pylabtools import print_figure
from IPython.display import Markdown, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from papermill import inspect_notebook
from papermill.cli import papermill as papermill_command
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import load_notebook_node
from papermill.log import logger
from papermill.parameterize import parameterize_notebook

from vilbert_lib import figures, pages, paths, synthetic
from vilbert_lib.config import PARTS, PROFILES, SETTINGS, Profile, choose, with_settings
from vilbert_lib.config.fields import distinct
from vilbert_lib.files import check_writable
from vilbert_lib.runs import NotTrainedError, Run, RunList
from vilbert_lib.runs.planning import write_plan

# Parameters ------------------------------------------------------------------------------------

_OF_THE_KERNEL = {"In", "Out", "get_ipython", "exit", "quit", "open"}
#: Parameters by which whoever executes a study describes a :class:`vilbert_lib.runs.RunList`.
_OF_THE_RUN_LIST = {"run_list_file", "plan_only"}


def parameters(notebook: str, namespace: dict) -> SimpleNamespace:
    """The parameters of ``notebook`` as the kernel's ``namespace`` holds them, checked.

    Called in the cell after the parameters cell. A name that the notebook does not declare (a
    mistyped ``-p`` would otherwise run the default study without a word) and a value of another
    type than declared are a ValueError. ``-p`` cannot give lists or booleans: for a list
    parameter a string is split at its commas, for a boolean ``true`` and ``false`` are read.
    Where the notebook has runs to configure (it declares a ``data_root``), settings of the profile
    (:data:`vilbert_lib.config.SETTINGS`) may be given as well: they are in ``settings``, for :func:`scale`.
    ``run_list`` is for :func:`vilbert_lib.runs.ensure`: it lists the runs of the study for whoever executes it.
    Afterwards ``import studies`` finds the repository's package, which is not installed.
    """
    if str(paths.REPOSITORY) not in sys.path:
        sys.path.append(str(paths.REPOSITORY))
    declared = inspect_notebook(str(paths.notebooks() / f"{notebook}.ipynb"))
    settings = {}
    for name, value in namespace.items():
        ours = name.startswith("_") or name in _OF_THE_KERNEL | _OF_THE_RUN_LIST
        if not (ours or name in declared or callable(value) or isinstance(value, ModuleType)):
            _check_declared(notebook, name, declared)
            settings[name] = _setting(name, value)
    values = {name: _typed(name, namespace[name], d["inferred_type_name"]) for name, d in declared.items()}
    file = namespace.get("run_list_file")
    run_list = RunList(Path(file) if file else None, namespace.get("plan_only", False))
    found = SimpleNamespace(**values, settings=settings, run_list=run_list)
    if settings:
        scale(found)  # what cannot be is an error before anything else
    return found


def scale(parameters: SimpleNamespace) -> Profile:
    """The profile that a study's parameters name, with the settings that were given beside them."""
    return with_settings(choose("profile", parameters.profile, PROFILES), parameters.settings)


def _setting(name: str, value):
    """A setting as ``-p`` gives it: a list is split at its commas, a mapping is read as YAML."""
    if name in PARTS and isinstance(value, str):
        return _from_yaml(name, value)
    kind = next((f.type for part in PARTS.values() for f in dataclasses.fields(part) if f.name == name), None)
    if get_origin(kind) is tuple and isinstance(value, (str, int, float)):
        return [_literal(part.strip()) for part in str(value).split(",") if part.strip()]
    return value


def _check_declared(notebook: str, name: str, declared: dict) -> None:
    known = [*declared, *(SETTINGS | PARTS if "data_root" in declared else ())]
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
        raise ValueError(f"{notebook} has no parameter {name!r}{hint}")


def check_names(source: Path | None, names: Iterable) -> None:
    """Raise a ValueError for the first of the parameters ``names`` that the notebook ``source`` does not declare.

    Papermill writes names into the notebook as code: where nothing is declared, or the notebook is not a file
    (None), they must at least be identifiers.
    """
    declared = inspect_notebook(str(source)) if source else {}
    for name in names:
        if declared:
            _check_declared(source.stem, name, declared)
        elif not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
            raise ValueError(f"{name!r} is no name of a parameter: letters, digits and _ are needed")


def _typed(name: str, value, kind: str):
    simple = {"str": str, "int": int, "float": float, "bool": bool}
    if kind.startswith("dict"):
        return _mapping(name, value)
    if kind == "bool" and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    if inner := re.fullmatch(r"list\[(\w+)\]", kind):
        if isinstance(value, str):
            parts = [part.strip(" []'\"") for part in value.split(",")]
            value = [part if inner[1] == "str" else _literal(part) for part in parts if part]
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        items = [_typed(name, item, inner[1]) for item in items]
        distinct(f"parameter {name}:", tuple(items))  # a run that counts twice would narrow every interval
        return items
    if kind == "str" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # -p turns digits into numbers
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not simple[kind]:
        raise ValueError(f"parameter {name} = {value!r} is of type {type(value).__name__}: {kind} is needed")
    return value


def _mapping(name: str, value) -> dict:
    """A mapping, as YAML where ``-p`` gives it; one plain value, for every name, stands under the name ``""``."""
    found = _from_yaml(name, value) if isinstance(value, str) and value else value or {}
    if isinstance(found, (list, tuple)):
        raise ValueError(f"parameter {name} = {value!r} is a list: a mapping, such as {{a: b}}, is needed")
    return found if isinstance(found, dict) else {"": str(found)}


def _from_yaml(name: str, text: str):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"parameter {name} = {text!r} is not readable as YAML, such as {{a: b}}: {why}"
        ) from error


def _literal(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# What a study says ----------------------------------------------------------------------------


def provenance(root: Path, profile: str, runs: list[Run]) -> str:
    """Where the numbers of a figure come from, for its caption: data root, profile, numbers of samples, seeds.

    The samples are those that were used: a split may hold more of them. All other settings are in
    :func:`training_settings`.
    """
    what = synthetic.describe(root)
    trained = {run.summary["n_train"] for run in runs}
    evaluated = {run.summary.get("n_test", run.summary["n_val"]) for run in runs}
    aligned = {int(n) for run in runs for n in run.training_alignment.n_samples.unique()}
    seeds = {run.config.seed for run in runs}
    numbers = (", ".join(map(str, sorted(values))) for values in (trained, evaluated, aligned, seeds))
    return "{}{}, profile {}, n = {} for training, {} evaluated, {} for alignment, seeds {}".format(
        what[0].upper(), what[1:], profile, *numbers
    )


#: Fields of a configuration that :func:`training_settings` shows in its own words, or that the architecture,
#: the data or the seed decides.
_SHOWN = {
    "task", "architecture", "seed", "data", "objectives", "start_from",
    "model.t_biattention_ids", "model.v_biattention_ids", "model.streams", "model.vocab_size",
    "model.text_weights", "model.vision_weights",
    "train.epochs", "train.batch_size", "train.accumulation", "train.lr", "train.n_train", "train.n_eval",
    "train.select",
}  # fmt: skip


def training_settings(runs: Iterable[Run]) -> pd.DataFrame:
    """What determined the results of runs, and their ids.

    Parameters
    ----------
    runs : iterable of Run
        Finished runs; one that is given twice counts once.

    Returns
    -------
    pandas.DataFrame
        A column for each group of runs that were trained alike but for architecture and seed. Its rows: task,
        numbers of samples that were used, epochs, batch size, learning rate, starting weights, the criterion by
        which the epoch was selected, any other field in which the groups differ, seeds, the number of runs, and
        for each architecture the hashes at the end of the ids ``<task>/<architecture>-s<seed>-<hash>``, by seed.
    """
    runs = {run.config.id: run for run in runs}
    fields = pd.json_normalize([dataclasses.asdict(run.config) for run in runs.values()]).astype(str)
    varying = [name for name in fields if name not in _SHOWN and fields[name].nunique() > 1]
    groups: dict[tuple, list[Run]] = {}
    for run, others in zip(runs.values(), fields[varying].to_dict("records"), strict=True):
        groups.setdefault(tuple((_settings(run) | others).items()), []).append(run)
    columns = []
    for settings, alike in groups.items():
        seeds = ", ".join(map(str, sorted({run.config.seed for run in alike})))
        column = dict(settings) | {"seeds": seeds, "runs": len(alike)}
        for name in dict.fromkeys(run.config.architecture for run in alike):
            own = [run for run in alike if run.config.architecture == name]
            hashes = [run.config.hash8 for run in sorted(own, key=lambda run: run.config.seed)]
            for i in range(0, len(hashes), 5):  # pandas cuts cells that are wider
                column[f"run ids, {name}" + (f" ({i + 1}-)" if i else "")] = " ".join(hashes[i : i + 5])
        columns.append(column)
    return pd.DataFrame(columns, index=range(1, len(columns) + 1)).T.fillna("")


def _settings(run: Run) -> dict[str, object]:
    config, train, summary = run.config, run.config.train, run.summary
    n_val = summary["n_val"]
    weights = {"text": config.model.text_weights, "vision": config.model.vision_weights}
    weights = ", ".join(f"{stream}: {name}" for stream, name in weights.items() if name) or "random"
    parallel = f" x {train.accumulation} accumulated" if train.accumulation > 1 else ""
    skipped = {"broken samples, skipped": summary["skipped"]} if summary.get("skipped") else {}
    return {
        "task": f"{config.task} {'+'.join(config.objectives)}".strip(),
        "training samples": summary["n_train"],
        "validation samples, every epoch": summary.get("n_val_used", min(train.n_eval or n_val, n_val)),
        "test samples": summary.get("n_test", "none"),
        **skipped,
        "epochs": train.epochs,
        "batch size": f"{train.batch_size}{parallel}",
        "learning rate": train.lr,
        "starting weights": "those of a pretraining run" if config.start_from else weights,
        "epoch selected by": f"validation {summary.get('select', 'loss' if config.objectives else 'accuracy')}",
    }


def findings(table: pd.DataFrame | list[dict], *notes: str) -> Markdown:
    """Render a study's findings as a table, with notes below it.

    Parameters
    ----------
    table : pandas.DataFrame or list of dict
        Result of :func:`vilbert_lib.stats.findings.table`; may be empty.
    *notes : str
        Sentences; names of tasks and labels in them may hold any character.
    """
    table = pd.DataFrame(table)
    rows = []
    for row in table.itertuples():
        n = "" if pd.isna(row.n) else f"{row.n:.0f}"
        p = "" if pd.isna(row.p) else "< .001" if row.p < 0.0005 else f"{row.p:.3f}".lstrip("0")
        cells = [row.question, row.sentence, n, p, f"*{row.verdict}*"]
        cells[:2] = (pages.in_cell(pages.escape_markdown(cell)) for cell in cells[:2])
        rows.append(f"| {' | '.join(cells)} |")
    lines = [pages.as_table(rows)] if rows else []
    listed = [f"- {pages.escape_markdown(text)}" for text in notes]
    return Markdown("\n".join([*lines, *([""] if lines and listed else []), *listed]))


MOST_ROWS = 2000  # of a figure's data beside a page


def show(figure: Figure, says: str, data: pd.DataFrame, source: str = "") -> None:
    """Display a figure with a description for those who do not see it, and below it what it shows.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Is closed afterwards.
    says : str
        One plain sentence: what the figure shows, or what to look at. Shown character by character.
    data : pandas.DataFrame
        What is drawn. On a page of the book it is a CSV file, numbers with six digits, at most
        :data:`MOST_ROWS` rows. An index is written where it has a name.
    source : str
        Where the numbers come from, such as :func:`provenance`.
    """
    alt = figures.describe(figure)
    csv = data[:MOST_ROWS].to_csv(index=any(data.index.names), float_format="%.6g", lineterminator="\n")
    rows = f"{len(data)} rows" if len(data) <= MOST_ROWS else f"the first {MOST_ROWS} of {len(data)} rows"
    bundle = {"image/png": print_figure(figure, base64=True), "text/csv": csv, "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}, "text/csv": {"rows": rows}})
    plt.close(figure)
    about = f" *{pages.escape_markdown(source.rstrip('.'))}.*" if source else ""
    display(Markdown(pages.escape_markdown(says) + about))


#: Column heads of tables that are shown, for those that the code abbreviates.
HEADS = {
    "low": "95 % interval: from", "high": "95 % interval: to",
    "sd": "standard deviation", "std": "standard deviation",
    "icc": "intraclass correlation", "dof": "degrees of freedom", "p_holm": "p after Holm",
    "p_by": "p after Benjamini-Yekutieli", "p_family": "p over the family",
    "best_epoch": "best epoch", "test_accuracy": "test accuracy", "val_accuracy": "validation accuracy",
    "sd_accuracy": "standard deviation of accuracy", "train": "training", "val": "validation",
    "difference_mean": "difference", "difference_low": "difference: from", "difference_high": "difference: to",
    "gain_mean": "gain", "gain_low": "gain: from", "gain_high": "gain: to",
}  # fmt: skip


def table(rows: pd.DataFrame, digits: int = 3, **heads: str) -> pd.DataFrame | Markdown:
    """``rows`` to be read: rounded, with plain column heads, without columns in which nothing stands.

    ``heads`` are heads of this table's own, before :data:`HEADS`; a missing value is a dash. Where there is no row
    a sentence says so.
    """
    if rows.empty:
        return note("There is nothing to list with these parameters.")
    named = HEADS | heads
    shown = rows.replace("", None).dropna(axis="columns", how="all")
    shown = shown.rename(columns=named, index=named).rename_axis(index=named, columns=named)
    return shown.apply(_spelled, digits=digits).astype(object).where(shown.notna(), "-")


def table_with_files(rows: pd.DataFrame, name: str) -> None:
    """Display a table whose CSV and LaTeX stand beside a page, as ``csv/<page>-table-<name>.csv`` and ``.tex``.

    The index is written; the source of a study keeps the table alone.
    """
    display(rows)
    files = {f"{name}.csv": rows.to_csv(lineterminator="\n"), f"{name}.tex": rows.to_latex(escape=True)}
    said = "The same as files stands beside the page."
    display({"text/markdown": said, "text/plain": said}, raw=True, metadata={"files": files})


def _spelled(column: pd.Series, digits: int) -> pd.Series:
    """Decimal numbers as text with ``digits`` places, none where all are whole; yes and no for booleans.

    A p that would read 0 is said to be below the smallest that does not.
    """
    if pd.api.types.is_bool_dtype(column):
        return column.map({True: "yes", False: "no"})
    if not pd.api.types.is_float_dtype(column):
        return column
    last = column.name[-1] if isinstance(column.name, tuple) else column.name
    is_p = str(last).partition(",")[0].split(" ")[0] == "p"
    if not is_p and (column.dropna() % 1 == 0).all():
        return column.map("{:.0f}".format)
    least = 0.5 * 10**-digits if is_p else 0.0
    return column.map(lambda v: f"< {2 * least:.{digits}f}" if 0 <= v < least else f"{v:z.{digits}f}")


def note(text: str) -> Markdown:
    """What stands below a table, as a caption does below a figure; shown character by character."""
    return Markdown(f"*{pages.escape_markdown(text)}*")


PAGES = "small"  # the profile of the book's pages of results

# Commands --------------------------------------------------------------------------------------


def sources() -> list[Path]:
    """The studies' notebooks, in order: the numbered ones first."""
    return sorted(paths.notebooks().glob("*.ipynb"))


_OTHER_BOOK = "VILBERT_BOOK names another folder for pages"
_DEAD_KERNEL = 138  # the status with which papermill ends then
_KERNEL_ENDED = "its kernel ended, perhaps as memory ran out"


def _execute(arguments: list[str], source: Path) -> tuple[Path, str]:
    """Run papermill with ``arguments`` and an output of its own, outside the book's pages.

    Gives the output, and what to say of the runs that were shown.
    """
    folder = paths.book() / "_partial"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{source.stem}-{os.getpid()}.ipynb"
    run_list = RunList(partial.with_suffix(".jsonl"))
    listing = ["--parameters_raw", "run_list_file", str(run_list.file)] if _lists_runs(source) else []
    logger.addFilter(_is_no_note_on_listing)
    try:
        papermill_command.main([*arguments, str(partial), "--stderr-file", "-", *listing], standalone_mode=False)
        return partial, run_list.time_spent()
    except PapermillExecutionError as error:
        sys.exit(f"{source.name} failed: {error.ename}: {error.evalue}\nWhat ran of it is in {partial}")
    except SystemExit as end:
        if end.code == _DEAD_KERNEL:
            sys.exit(f"{source.name} failed: {_KERNEL_ENDED}\nWhat ran of it is in {partial}")
        raise
    finally:
        logger.removeFilter(_is_no_note_on_listing)
        run_list.file.unlink(missing_ok=True)


def _lists_runs(source: Path) -> bool:
    """Whether a study hands the list of its runs on, see :func:`parameters`."""
    return "p.run_list" in source.read_text(encoding="utf-8")


def _is_no_note_on_listing(record: logging.LogRecord) -> bool:
    """Papermill's log tells of parameters that a notebook does not declare: ours are none of the user's."""
    return not record.getMessage().endswith("parameter: run_list_file")


def _source(name: str) -> Path:
    """The notebook of the study ``name``; a ValueError lists the known ones."""
    return choose("study", name, {source.stem: source for source in sources()})


def parameters_of(name: str, profile: str) -> dict:
    """What the study ``name`` is given at a profile, by ``notebooks/<profile>.yaml`` if there is one."""
    path, given = paths.notebooks() / f"{profile}.yaml", {}
    if path.is_file():
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    else:
        choose("profile", profile, PROFILES)
    if unknown := sorted(set(given) - {source.stem for source in sources()} - {"programme", "settings"}):
        raise ValueError(f"{path} names studies that do not exist: {', '.join(unknown)}")
    shared = given.get("settings") or {} if "data_root" in declared_in(name) else {}
    return shared | (given.get(name) or {})


def given(name: str, profile: str) -> dict:
    """The parameters that papermill gives to a study: none at the profile that its source has."""
    parameters = parameters_of(name, profile)
    parameters = {} if profile == "quick" else {"profile": profile} | parameters
    check_names(_source(name), parameters)
    return parameters


def declared_in(name: str) -> dict:
    """The parameters that the study ``name`` declares, with their defaults."""
    return pages.declared(nbformat.read(_source(name), as_version=4))


def make_page(name: str, profile: str = PAGES, parameters: dict | None = None) -> Path:
    """Run the study ``name`` into ``book/results/``, or at another profile than :data:`PAGES` below it.

    ``parameters`` stand in place of those of ``notebooks/<profile>.yaml``.
    """
    source = _source(name)
    if parameters is None:
        parameters = given(name, profile)
    else:
        parameters = {"profile": profile} | parameters
        check_names(source, parameters)
    folder = paths.book() / "results" / ("" if profile == PAGES else profile)
    check_writable(folder, _OTHER_BOOK)
    partial, told = _execute([str(source), *(["-y", yaml.safe_dump(parameters)] if parameters else [])], source)
    page = folder / f"{name}.ipynb"
    pages.publish(partial, page, **({"scale": profile, "runs": told} if parameters else {}))
    partial.unlink()
    return page


def plan(name: str, profile: str = "quick") -> list[Path]:
    """Descriptions of all runs that the study ``name`` asks for at a profile, finished or not, training none.

    Left out are those whose results are archived, and what a study asks for only after it read another run. The
    notebook is executed with runs that cannot be read, see :class:`vilbert_lib.runs.RunList`: cells that want to
    fail, and those that build on them. An error before that is an error of the study, and a ValueError.
    """
    source, parameters = _source(name), given(name, profile)
    if not _lists_runs(source):
        return []
    with tempfile.TemporaryDirectory() as folder:
        run_list = RunList(Path(folder) / "runs.jsonl", plan_only=True)
        parameters |= {"run_list_file": str(run_list.file), "plan_only": True}
        notebook = parameterize_notebook(load_notebook_node(str(source)), parameters)
        _run_cells(notebook, source, allow_errors=True)
        errors = (o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "error")
        if (first := next(errors, None)) and first.ename != NotTrainedError.__name__:
            raise ValueError(f"{source.name} failed: {first.ename}: {first.evalue}")
        return write_plan(run_list)


def _run_cells(notebook: NotebookNode, source: Path, *, allow_errors: bool = False, **options) -> None:
    """Execute ``notebook`` in place; a ValueError names ``source`` and the error of the cell that failed."""
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", allow_errors=allow_errors)
    try:
        client.execute(**options)
    except CellExecutionError as error:
        raise ValueError(f"{source.name} failed: {error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        raise OSError(f"{source.name} failed: {_KERNEL_ENDED}") from error


def add_to_log(arguments: list[str], source: Path) -> Path:
    """Run ``source`` with papermill's ``arguments`` into a dated page of ``book/log/``."""
    now = datetime.now()
    partial, told = _execute(arguments, source)
    folder, stem = paths.book() / "log", f"{now:%Y-%m-%d}-{source.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    for page in (folder / f"{stem}{suffix}.ipynb" for suffix in ("", *(f"-{n}" for n in range(2, 1000)))):
        with contextlib.suppress(FileExistsError):
            page.touch(exist_ok=False)  # reserves the name: another run may end at the same time
            break
    try:
        pages.publish(partial, page, entry=f"{now:%Y-%m-%d}", runs=told)
    except BaseException:
        page.unlink()
        raise
    partial.unlink()
    return page


def papermill() -> None:
    """The ``papermill`` command: papermill's own, with a page of the log where no output is named.

    Papermill itself, given one argument, asks for a second one, or, where its input is a pipe,
    reads the notebook from there and writes over the one that was named.
    """
    try:
        _papermill(sys.argv[1:])
    except (ValueError, OSError, yaml.YAMLError) as error:
        sys.exit(f"papermill: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _papermill(arguments: list[str]) -> None:
    context = papermill_command.make_context("papermill", list(arguments), resilient_parsing=True)
    source, output = context.params.get("notebook_path"), context.params.get("output_path")
    if source and output and Path(source).exists() and Path(output).exists() and os.path.samefile(source, output):
        sys.exit(f"{output} is the notebook that is to be run: name another output")
    if not context.params.get("help_notebook"):
        is_file = source and Path(source).is_file()
        check_names(Path(source) if is_file else None, _names_given(context.params))
    is_bare = source and source != "-" and not output
    if not is_bare or context.params.get("help_notebook"):
        papermill_command.main(arguments)
        return
    if not is_file:
        sys.exit(f"notebook {source} does not exist")
    check_writable(paths.book() / "log", _OTHER_BOOK)
    page = add_to_log(arguments, Path(source))
    print(f"wrote {page}")


def _names_given(options: dict) -> list:
    """The names of all parameters in papermill's ``options``, in whichever form they are given."""
    one_by_one = [name for form in ("parameters", "parameters_raw") for name, _ in options.get(form) or ()]
    distinct("parameter", tuple(one_by_one))
    texts = [base64.b64decode(text) for text in options.get("parameters_base64") or ()]
    texts += [Path(file).read_text(encoding="utf-8") for file in options.get("parameters_file") or ()]
    mappings = [yaml.safe_load(text) or {} for text in (*texts, *(options.get("parameters_yaml") or ()))]
    if wrong := [values for values in mappings if not isinstance(values, dict)]:
        raise ValueError(f"parameters {wrong[0]!r} are no mapping of names to values")
    return [*one_by_one, *(name for values in mappings for name in values)]


def refresh(names: list[str] | None = None) -> list[Path]:
    """Run the sources, or those of the studies ``names``, and store their outputs without pictures.

    Returns those that changed.
    """
    changed = []
    check_writable(paths.notebooks())
    for source in dict.fromkeys(map(_source, names)) if names else sources():
        started = time.monotonic()
        notebook = nbformat.read(source, as_version=4)
        _run_cells(notebook, source, cwd=str(source.parent))
        pages.without_pictures(pages.tidy(notebook, {str(paths.REPOSITORY): "."}))
        if pages.write(source, notebook):
            changed.append(source)
        state = "changed" if source in changed else "unchanged"
        print(f"{source.name}: {state}, {time.monotonic() - started:.0f} s", file=sys.stderr)
    return changed
