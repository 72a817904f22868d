"""Data flows one way, and no module is a drawer for odds and ends."""

import ast
from graphlib import TopologicalSorter

import pytest

from vilbert_lib.paths import REPOSITORY

LIBRARY = REPOSITORY / "vilbert_lib"
BASE = {"config", "files", "paths", "weights"}
LEARNING = BASE | {"data", "model", "metrics", "features", "representations", "training"}
MAY_IMPORT = {
    "config": set(),
    "files": set(),
    "paths": set(),
    "weights": {"files", "paths"},
    "data": BASE,
    "synthetic": BASE | {"data"},
    "model": BASE,
    "metrics": set(),
    "representations": BASE | {"data", "model", "metrics", "features"},
    "training": LEARNING,
    "runs": LEARNING | {"synthetic"},
    "stats": {"config", "metrics"},
    "attribution": LEARNING | {"synthetic", "runs", "stats"},
    "search": LEARNING | {"synthetic", "runs", "stats"},
    "figures": {"config", "metrics"},
    "features": {"files", "metrics", "figures"},
    "explain": LEARNING | {"runs", "attribution", "figures"},
    "pages": {"files", "paths", "runs", "synthetic"},
    "notebooks": LEARNING | {"synthetic", "runs", "figures", "pages"},
    "papermill": {"paths", "notebooks"},
    "commands": LEARNING | {"synthetic", "runs", "stats", "search", "features", "explain", "notebooks"},
    "__main__": {"commands"},
    "__init__": set(),
}
MODULES = sorted(LIBRARY.rglob("*.py"))


def imported_names(source: str) -> set[str]:
    """Names of the library that ``source`` imports, wherever in the file, with the modules that they are from."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("vilbert_lib.")}


def imported_parts(source: str) -> set[str]:
    """Parts of the library (its modules and packages) that ``source`` imports."""
    return {name.split(".")[1] for name in imported_names(source)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_module_imports_only_what_lies_upstream(path):
    part = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    assert imported_parts(path.read_text()) - {part} <= MAY_IMPORT[part]


def test_the_library_does_not_import_the_studies():
    """The wheel holds the library alone."""
    for path in MODULES:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not {name for name in names if name.split(".")[0] == "studies"}, path


def test_no_modules_import_one_another_in_circles():
    names = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path for path in MODULES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    imports = {
        name: {found if found in names else found.rpartition(".")[0] for found in imported_names(path.read_text())}
        for name, path in names.items()
    }
    list(TopologicalSorter(imports).static_order())  # a CycleError names the circle


def test_imports_are_found_in_every_form():
    source = (
        "import vilbert_lib.runs\nfrom vilbert_lib import paths\ndef f():\n from vilbert_lib.data.cache import x"
    )
    assert imported_parts(source) == {"runs", "paths", "data"}


def test_no_module_is_called_after_nothing():
    assert MODULES
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "helper", "misc", "common"}
