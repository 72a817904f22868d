"""What the book says of the code, computed from it: ``<!-- computed: what -->`` in a page becomes Markdown."""

import ast
import importlib
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

import yaml
from sphinx.ext.napoleon import Config, NumpyDocstring

from vilbert_lib import __main__, config

REPOSITORY = Path(__file__).parent.parent
CONFIGURATIONS = (config.TrainConfig, config.ModelConfig, config.AlignmentConfig, config.RunConfig, config.Profile)

#: Of a package its own members only, as others have entries where they are defined; ``set`` is matplotlib's.
OPTIONS = "   :members:\n   :member-order: bysource\n   :ignore-module-all:\n   :exclude-members: set"


def filled(text: str) -> str:
    """``text`` with its marks replaced.

    Raises
    ------
    ValueError
        For a mark that names nothing in :data:`COMPUTED`.
    """
    return re.sub(r"^<!-- computed: (.*) -->$", lambda mark: _computed(mark[1]), text, flags=re.MULTILINE)


def _computed(what: str) -> str:
    name, *arguments = what.split()
    if name not in COMPUTED:
        raise ValueError(f"nothing is computed as {name!r}; known are {', '.join(COMPUTED)}")
    return COMPUTED[name](*arguments)


def api(package: str) -> str:
    """Names that a package gives, then the documented members of each of its modules."""
    names = _names_given(package)
    parts = [_rst(_summary(names))] if names else []
    for module in modules(package):
        parts += [f"## `{module}`", _rst(f".. automodule:: {module}\n{OPTIONS}")]
    return "\n\n".join(parts)


def modules(package: str) -> list[str]:
    """Full names of a package and its modules, or of a module alone."""
    place = REPOSITORY / Path(*package.split("."))
    if not place.is_dir():
        return [package]
    paths = [path.relative_to(REPOSITORY).with_suffix("") for path in sorted(place.rglob("*.py"))]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def _names_given(package: str) -> list[str]:
    """Where the functions and classes are defined that ``package`` lists in ``__all__``."""
    module = importlib.import_module(package)
    given = [getattr(module, name) for name in getattr(module, "__all__", ())]
    made = [each for each in given if inspect.isfunction(each) or inspect.isclass(each)]
    return [f"{each.__module__}.{each.__qualname__}" for each in made if each.__doc__]


def _summary(names: list[str]) -> str:
    return ".. autosummary::\n   :nosignatures:\n\n" + "\n".join(f"   ~{name}" for name in names)


def _rst(text: str) -> str:
    return f"```{{eval-rst}}\n{text}\n```"


def module_table() -> str:
    """Every module of library, studies and website with the first line of its docstring."""
    rows = ["| module | what it does |", "|---|---|"]
    for folder in ("vilbert_lib", "studies", "website"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            words = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
            rows.append(f"| `{path.relative_to(REPOSITORY)}` | {_cell(words)} |")
    return "\n".join(rows)


def configuration() -> str:
    """Fields of the configurations: their docstrings, types and defaults."""
    return "\n\n".join(_configuration(each) for each in CONFIGURATIONS)


def _configuration(of: type) -> str:
    text = str(NumpyDocstring(inspect.getdoc(of), Config(napoleon_use_param=False), what="class"))
    rows = ["| field | type | default |", "|---|---|---|"]
    for field in fields(of):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        shown = "needed" if default is MISSING else f"`{default!r}`"
        rows.append(f"| `{field.name}` | {_cell(f'`{_type(field.type)}`')} | {_cell(shown)} |")
    return f"## `{of.__name__}`\n\n{_rst(text)}\n\n" + "\n".join(rows)


def _type(annotation) -> str:
    name = (
        annotation.__name__ if isinstance(annotation, type) and not getattr(annotation, "__args__", ()) else None
    )
    return name or str(annotation).replace("typing.", "").replace("vilbert_lib.config.", "")


def _cell(text: str) -> str:
    """``text`` as a cell of a table in Markdown."""
    text = re.sub(r":\w+(?::\w+)?:`~?([^`]*)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", r"\|")


def command_line() -> str:
    """Help texts of all commands."""
    width, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), "96"
    try:
        subparsers = __main__.parser()._subparsers._group_actions[0].choices
        parts = [f"## `{name}`\n\n```text\n{each.format_help()}```" for name, each in subparsers.items()]
    finally:
        os.environ.pop("COLUMNS") if width is None else os.environ.update(COLUMNS=width)
    return "\n\n".join(parts)


def make_targets() -> str:
    """Targets of the Makefile with what their lines say of them."""
    found = re.findall(r"^([a-z-]+):.*##\s*(.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    return "\n".join(["| target | what it does |", "|---|---|", *(f"| `{n}` | {_cell(t)} |" for n, t in found)])


def citation() -> str:
    """A BibTeX entry and the words of CITATION.cff."""
    given = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join("{" + author["name"] + "}" for author in given["authors"])
    rows = [f"title = {{{given['title']}}}", f"author = {{{authors}}}", f"version = {{{given['version']}}}"]
    rows += [f"url = {{{given['repository-code']}}}"] if "repository-code" in given else []
    entry = ",\n  ".join(["@software{vilbert_lib", *rows])
    return (
        f":::{{admonition}} How to cite\n:class: seealso\n\n{given['message']}\n\n```bibtex\n{entry}\n}}\n```\n:::"
    )


COMPUTED: dict[str, Callable[..., str]] = {
    "api": api,
    "modules": module_table,
    "configuration": configuration,
    "commands": command_line,
    "make": make_targets,
    "citation": citation,
}
