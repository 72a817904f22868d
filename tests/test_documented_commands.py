"""Every command in the README, the book and the notebooks' texts names what exists, and parses."""

import json
import re
import shlex

import numpy as np
import pytest
import yaml
from papermill.cli import papermill as papermill_command

from vilbert_lib import notebooks
from vilbert_lib.__main__ import main, parser
from vilbert_lib.commands.train import settings
from vilbert_lib.config import PROFILES, ModelConfig, TrainConfig, placement, with_settings
from vilbert_lib.data import formats
from vilbert_lib.metrics import MEASURES
from vilbert_lib.paths import REPOSITORY
from vilbert_lib.runs import archive

FILES = [REPOSITORY / "README.md", REPOSITORY / "data" / "README.md", *(REPOSITORY / "book").rglob("*.md")]
DOCUMENTS = {
    str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8")
    for path in FILES
    if "_build" not in path.parts
} | {
    source.name: "\n\n".join(
        "".join(cell["source"])
        for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "markdown"
    )
    for source in notebooks.sources()
}
PROGRAMS = "papermill|python|make|pytest|jupyter-book|snakemake|accelerate|pip|conda"
ANY = "PLACEHOLDER"  # stands for <folder>, <name> and $(...)


def commands(text):
    """The commands of a document: lines of its shell blocks, whole, and code within its sentences."""
    found = []
    for block in re.findall(r"^ *```(?:bash|sh|console)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        found += [(line.strip(), True) for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return found + [(code, False) for code in re.findall(rf"`((?:{PROGRAMS}) [^`]+)`", prose)]


COMMANDS = [
    pytest.param(name, line, whole, id=f"{name}: {line[:60]}")
    for name, text in DOCUMENTS.items()
    for line, whole in dict.fromkeys(commands(text))
]


def known(name, names, text):
    """Whether ``name`` exists, or is one that the document itself introduces as an example."""
    return name in names or ANY in name or f'"{name}"' in text or f"{name}/" in text


def check_study(name):
    assert ANY in name or name in {source.stem for source in notebooks.sources()}, name


def check_parameters(source, arguments, text):
    """The names and values that papermill's ``arguments`` give to the study ``source``."""
    given = papermill_command.make_context("papermill", ["a.ipynb", "b.ipynb", *arguments]).params
    notebooks.check_names(source, notebooks._names_given(given))
    declared = notebooks.inspect_notebook(str(source))
    whole = [(name, yaml.safe_load(value)) for name, value in given["parameters"]]
    whole += [pair for text_ in given["parameters_yaml"] for pair in yaml.safe_load(text_).items()]
    with_settings(PROFILES["quick"], {name: value for name, value in whole if name not in declared})
    for name, value in given["parameters"]:
        if name not in declared:
            continue
        values = notebooks._typed(
            name, int(value) if value.isdigit() else value, declared[name]["inferred_type_name"]
        )
        for one in values if isinstance(values, list) else [values]:
            check_value(name, one, text)


def check_value(name, value, text):
    if name in ("task", "tasks"):
        assert known(value, formats.TASKS, text), value
    elif name in ("architecture", "architectures") and not known(value, (), text):
        placement(value)
    elif name in ("measures", "primary_measure"):
        assert value in MEASURES
    elif name == "profile":
        assert known(value, PROFILES, text), value


def check_papermill(words, text):
    given = papermill_command.make_context("papermill", list(words), resilient_parsing=True).params
    source = REPOSITORY / given["notebook_path"]
    check_study(source.stem)
    if source.is_file():
        arguments = words[words.index(given["notebook_path"]) + 1 :]
        check_parameters(source, arguments[1:] if given["output_path"] else arguments, text)


def check_ours(words, whole, text):
    """Arguments of ``python -m vilbert_lib``; within a sentence those that are needed may be left out."""
    errors = []
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("argparse.ArgumentParser.error", lambda _, message: errors.append(message) or exit(2))
            given = vars(parser().parse_args(words))
    except SystemExit:
        assert not whole and errors[0].startswith("the following arguments are required"), errors
        return
    for name in [given["name"]] if given["command"] in ("page", "plan") else given.get("names", []):
        check_study(name)
    for name in ("task", "architecture", "measures", "profile"):
        values = given.get(name) or []
        for value in [values] if isinstance(values, str) else values:
            check_value(name, value, text)
    settings(TrainConfig, given.get("train") or []), settings(ModelConfig, given.get("model") or [])


def check_python(words, whole, text):
    if words[:2] == ["-m", "vilbert_lib"]:
        check_ours(words[2:], whole, text)
        return
    name = f"{words.pop(1).replace('.', '/')}.py" if words[0] == "-m" else words[0]
    script = (REPOSITORY / name).read_text(encoding="utf-8")
    assert all(f'"{word}"' in script for word in words[1:] if word.startswith("--"))


def check_make(words, text):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    values = dict(word.split("=", 1) for word in words if "=" in word)
    for target in (word for word in words if "=" not in word):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert all(f"$({name})" in makefile for name in values), values
    if "NB" in values:
        check_papermill([f"notebooks/{values['NB']}.ipynb", *shlex.split(values.get("ARGS", ""))], text)


def check_snakemake(words, text):
    from snakemake.cli import get_argument_parser

    given = get_argument_parser().parse_args(words)
    snakefile = (REPOSITORY / "workflow" / "Snakefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^(rule|checkpoint) {name}:", snakefile, re.MULTILINE) for name in given.targets)
    assert all((REPOSITORY / profile / "config.yaml").is_file() for profile in given.profile or ())
    for pair in given.config or ():
        name, value = pair.split("=")
        assert f'config.get("{name}"' in snakefile
        for study in value.split(",") if name == "studies" else ():
            check_study(study)


def check_accelerate(words, text):
    from accelerate.commands.launch import launch_command_parser

    assert words[0] == "launch"
    if words[1:]:
        given = launch_command_parser().parse_args(words[1:])
        assert given.module and given.training_script == "vilbert_lib"
        check_ours(given.training_script_args, True, text)


def check_pip(words, text):
    assert words[0] == "install"
    for extra in re.findall(r"\.\[(\w+)\]", " ".join(words)):
        assert re.search(rf"^{extra} = \[", (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE), extra


def check_jupyter_book(words, text):
    assert words[:2] == ["build", "book"] and set(words[2:]) <= {"--all"}


def check_pytest(words, text):
    assert words == ["--nbval"]


def check_shell(words, text):
    """A line of a loop, or a program that is not the project's."""


CHECKS = {
    "papermill": check_papermill,
    "make": check_make,
    "snakemake": check_snakemake,
    "accelerate": check_accelerate,
    "pip": check_pip,
    "jupyter-book": check_jupyter_book,
    "pytest": check_pytest,
    **dict.fromkeys(("for", "done", "sed", "conda", "uvx"), check_shell),
}


def check(line, whole, text):
    words = shlex.split(re.sub(r"<[^<>]*>|\$\([^)]*\)", ANY, line), comments=True)
    while re.match(r"[A-Z_]+=", words[0]):
        variable = words.pop(0).partition("=")[0]
        assert f"(``{variable}``)" in (REPOSITORY / "vilbert_lib" / "paths.py").read_text(), variable
    if words[0] == "python":
        check_python(words[1:], whole, text)
    else:
        CHECKS[words[0]](words[1:], text)


@pytest.mark.parametrize(("document", "line", "whole"), COMMANDS)
def test_a_documented_command_names_what_exists(document, line, whole):
    check(line, whole, DOCUMENTS[document])


def test_many_commands_are_found_and_wrong_ones_are_refused():
    assert len(COMMANDS) > 60 and {"README.md", "book/howto/scaling.md"} <= {each.values[0] for each in COMMANDS}
    for wrong in (
        "papermill notebooks/04_correlation.ipynb -p task easy_vqa",
        "papermill notebooks/04_correlation.ipynb -p tasks easy_vpa",
        "papermill notebooks/09_nothing.ipynb",
        "python -m vilbert_lib page 04_correlation --scale small",
        "python -m vilbert_lib refresh 05",
        "python benchmarks/measures.py --gpu",
        "make bok",
        "make log NB=04_correlation ARGS='-p seed 0'",
        "snakemake --cores 2 --config scale=small",
        "snakemake --cores 2 --config profile=small plans",  # read as an entry of the configuration
        "accelerate launch -m vilbert_lib train --tusk x",
        "VILBERT_ARCHIV=x make book",
        "pip install -e '.[clutser]'",
    ):
        with pytest.raises((AssertionError, ValueError, SystemExit)):
            check(wrong, True, "")


def test_run_ids_in_documents_are_those_of_kept_runs(monkeypatch):
    monkeypatch.setenv("VILBERT_ARCHIVE", str(REPOSITORY / "data" / "results"))
    ids = {i for text in DOCUMENTS.values() for i in re.findall(r"\b\w+/[\w.-]+-s\d+-[0-9a-f]{8}\b", text)}
    assert ids and all(archive.find(run_id) for run_id in ids)


def test_the_documented_align_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    layers = {name: draws.standard_normal((40, 8)) for name in ("0", "1")}
    for name in ("a", "b", "text", "vision"):
        np.savez(f"{name}.npz", **layers)
    lines = {
        line
        for text in DOCUMENTS.values()
        for line, whole in commands(text)
        if whole and line.startswith("python -m vilbert_lib align")
    }
    assert len(lines) >= 2
    for line in lines:
        monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
        main()
        for name in ("alignment.csv", "alignment.png"):
            (tmp_path / name).unlink()
    assert "unbiased_cka" in capsys.readouterr().out


def test_the_documented_data_check_runs(tiny_root, monkeypatch, capsys):
    words = ["python", *shlex.split("-m vilbert_lib data check <folder>".replace("<folder>", str(tiny_root)))]
    monkeypatch.setattr("sys.argv", words[2:])
    main()
    assert "nothing is wrong" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "book/intro.md", "book/method/measures.md"])
def test_the_number_of_measures_is_that_of_the_registry(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert re.findall(r"\d+(?= measures of alignment| here\.)", text) == [str(len(MEASURES))]
