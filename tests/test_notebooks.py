"""Parameters are checked, a bare papermill run never touches its source, pages hide the machine."""

import base64
import html
import io
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from markdown_it.renderer import RendererHTML
from matplotlib import pyplot
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from vilbert_lib import figures, notebooks, pages, paths
from vilbert_lib.stats import findings as found

PAPERMILL = Path(sys.executable).with_name("papermill")

KINDS = {"str", "int", "float", "bool"}
PARAMETERS = """\
profile: str = "quick"  # the scale
seeds: list[int] = [0, 1]  # one run each
data_root: str = ""  # a folder
threshold: float = 0.5  # a number
weights: list[float] = [0.0, 1.5]  # numbers
strict: bool = False  # a switch"""


KERNEL = {"kernelspec": {"name": "python3", "display_name": "x"}, "language_info": {"name": "python"}}
EXECUTED = KERNEL | {"papermill": {"duration": 60}}


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A study that prints its parameters, in a notebook folder and a book of its own."""
    source = tmp_path / "notebooks" / "09_example.ipynb"
    source.parent.mkdir()
    check = (
        "import os, sys\nfrom pathlib import Path\nfrom vilbert_lib import paths, notebooks\n"
        f"paths.notebooks = lambda: Path({str(source.parent)!r})\n"
        "p = notebooks.parameters('09_example', globals())\nassert not p.run_list.plan_only\n"
        "print(p.profile, p.seeds, os.getcwd())\nprint('progress', file=sys.stderr)"
    )
    cells = [
        new_markdown_cell("# Example\n\nA question."),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell(check),
        new_code_cell(
            "notebooks.findings([], f'{len(p.seeds)} seeds were looked at.',"
            " 'More was not: synthetic data (seed 3).')"
        ),
    ]
    nbformat.write(
        new_notebook(
            cells=cells,
            metadata=KERNEL,
        ),
        source,
    )
    monkeypatch.setenv("VILBERT_BOOK", str(tmp_path / "book"))
    monkeypatch.setattr(paths, "notebooks", lambda: source.parent)
    return source


def papermill(*arguments, **options):
    return subprocess.run(
        [str(PAPERMILL), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
        **options,
    )


def check(notebook, **namespace):
    values = {"profile": "quick", "seeds": [0, 1], "data_root": "", "threshold": 0.5, "strict": False}
    values["weights"] = [0.0, 1.5]
    return notebooks.parameters(notebook.stem, values | namespace)


def test_what_the_command_line_cannot_type_is_understood(notebook):
    p = check(notebook, seeds="3, 4", strict="true", threshold=1, data_root=7)
    assert (p.seeds, p.strict, p.threshold, p.data_root) == ([3, 4], True, 1.0, "7")
    assert check(notebook, seeds="[3,4]").seeds == [3, 4]
    assert check(notebook, seeds=5).seeds == [5]
    assert check(notebook, weights="-0.1, 0, 1e-2").weights == [-0.1, 0.0, 0.01]


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({"profil": "small"}, "09_example has no parameter 'profil'; did you mean 'profile'?"),
        ({"zzz": 1}, "has no parameter 'zzz'; known: profile, seeds"),
        ({"seeds": "a"}, r"parameter seeds = 'a' is of type str: int is needed"),
        ({"seeds": [0.5]}, r"parameter seeds = 0.5 is of type float: int is needed"),
        ({"threshold": "high"}, r"parameter threshold = 'high' is of type str: float is needed"),
        ({"strict": "maybe"}, r"parameter strict = 'maybe' is of type str: bool is needed"),
        ({"profile": None}, r"parameter profile = None is of type NoneType: str is needed"),
        ({"seeds": "0, 1, 0"}, r"parameter seeds: 0 is named twice in \[0, 1, 0\]"),
    ],
)
def test_a_wrong_parameter_is_an_error_that_names_it(notebook, namespace, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        check(notebook, **namespace)


@pytest.mark.parametrize("stdin", ["pipe", pytest.param("empty", marks=pytest.mark.slow)])
def test_a_bare_papermill_run_writes_a_dated_page_and_leaves_its_source(notebook, stdin):
    """Papermill's own command reads the notebook from a pipe and writes over the one it was given."""
    before = notebook.read_bytes()
    done = papermill(notebook, input="{}" if stdin == "pipe" else "")
    assert done.returncode == 0, done.stderr
    assert notebook.read_bytes() == before
    [page] = (paths.book() / "log").glob("*.ipynb")
    assert page.name.endswith("-09_example.ipynb") and page.name[:4].isdigit()
    cells = nbformat.read(page, as_version=4).cells
    assert cells[0].source.startswith(f"# {page.name[:10]}: Example\n") and "default parameters" in cells[0].source
    assert "the default parameters, on synthetic data (seed 3); it took" in cells[0].source
    assert "**Found.** 2 seeds were looked at.\n" in cells[0].source and "More" not in cells[0].source
    assert not list((paths.book() / "_partial").glob("*"))


@pytest.mark.slow
def test_a_page_holds_neither_paths_of_the_machine_nor_progress_nor_timings(notebook, tmp_path):
    done = papermill(notebook, "-p", "data_root", tmp_path, "-p", "seeds", "5", stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    [page] = (paths.book() / "log").glob("*.ipynb")
    text = page.read_text()
    assert "`data_root` = `<data_root>`" in text and "quick [5]" in text
    for secret in (str(tmp_path) + '"', str(paths.REPOSITORY), str(Path.home()) + "/", '"stderr"', "start_time"):
        assert secret not in text, secret


def test_a_profile_gives_studies_their_parameters(notebook):
    (notebook.parent / "small.yaml").write_text("09_example:\n  seeds: [4, 5, 6]\n")
    page = notebooks.make_page("09_example", "small")
    assert page == paths.book() / "results" / "09_example.ipynb"
    assert "small [4, 5, 6]" in page.read_text()
    first = nbformat.read(page, as_version=4).cells[0].source
    assert first.startswith("# Example\n\n*This page was run at the profile `small`.*\n")
    assert "| `seeds` | `[4, 5, 6]` | one run each |\\n" in page.read_text()
    assert "| `data_root` | (empty) | a folder |\\n" in page.read_text()
    assert not list((paths.book() / "_partial").glob("*"))
    assert notebooks.parameters_of("09_example", "quick") == {}
    (notebook.parent / "small.yaml").write_text("9_example:\n  seeds: [4]\n")
    with pytest.raises(ValueError, match=r"small\.yaml names studies that do not exist: 9_example"):
        notebooks.make_page("09_example", "small")


def test_a_failing_study_leaves_no_page_and_says_where_it_stands(notebook):
    done = papermill(notebook, "-p", "seeds", "small", stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "parameter seeds = 'small' is of type str: int is needed" in done.stderr
    assert not (paths.book() / "log").exists() and "_partial" in done.stderr


def test_a_notebook_is_not_run_over_itself(notebook):
    before = notebook.read_bytes()
    done = papermill(notebook, notebook, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "name another output" in done.stderr
    assert notebook.read_bytes() == before


@pytest.mark.parametrize("source", notebooks.sources(), ids=lambda path: path.stem)
def test_every_parameter_of_every_study_is_typed_and_explained(source):
    from papermill import inspect_notebook

    declared = inspect_notebook(str(source))
    assert declared["profile"]["default"] == '"quick"'
    for name, parameter in declared.items():
        kind = parameter["inferred_type_name"]
        assert kind == "dict[str, str]" or kind.removeprefix("list[").removesuffix("]") in KINDS, name
        assert len(parameter["help"]) > 10, name


@pytest.mark.slow
def test_refresh_writes_the_same_bytes_when_nothing_changed(notebook):
    assert notebooks.refresh() == [notebook]
    first = notebook.read_bytes()
    assert notebooks.refresh() == []
    assert notebook.read_bytes() == first
    assert b'"stderr"' not in first


def test_pictures_of_a_page_are_lighter_and_look_the_same():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.random((200, 300, 3)), axis=1)
    pixels = (255 * smooth / smooth.max()).astype(np.uint8)
    pictures = []
    for kind in (pixels, np.full((20, 30, 3), 7, np.uint8), np.full((20, 30, 4), 7, np.uint8)):
        file = io.BytesIO()
        Image.fromarray(kind).save(file, "PNG", optimize=True)
        pictures.append(base64.b64encode(file.getvalue()).decode())
    data = [new_output("display_data", {"image/png": picture}) for picture in pictures]
    light = pages.with_light_pictures(new_notebook(cells=[new_code_cell(outputs=data)]))
    found = [output["data"]["image/png"] for output in light.cells[0].outputs]
    assert len(found[0]) < len(pictures[0]) / 2 and len(found[1]) <= len(pictures[1])
    assert found[2] == pictures[2], "one that lets something shine through is left as it is"
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(found[0]))).convert("RGB"))
    assert np.abs(shown.astype(int) - pixels).mean() < 8
    again = pages.with_light_pictures(light).cells[0].outputs
    assert [output["data"]["image/png"] for output in again] == found


def outputs_of_show(monkeypatch, *arguments):
    """What a figure that is shown leaves in a notebook."""
    found = []

    def display(shown, metadata=None, **_):
        data = shown if isinstance(shown, dict) else {"text/markdown": shown.data, "text/plain": "x"}
        found.append(new_output("display_data", data, metadata=metadata or {}))

    monkeypatch.setattr(notebooks, "display", display)
    notebooks.show(*arguments)
    return found


def test_a_figure_has_a_description_a_sentence_and_its_data_beside_the_page(tmp_path, monkeypatch):
    table = pd.DataFrame({"x": range(2500), "y": 1 / 3, "panel": "first", "line": "a_b"})
    labels = {"x": "layer", "y": "alignment", "line": "line"}
    figure = figures.lines(table, x="x", y="y", hue="line", panel="panel", labels=labels)
    shown = outputs_of_show(monkeypatch, figure, "Look at *a_b*.", table, "Synthetic data.")
    assert not pyplot.fignum_exists(figure.number)
    page = tmp_path / "09_example.ipynb"
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "09_example-figure-7.csv").write_text("of an earlier page")
    (tmp_path / "csv" / "09_example-2-figure-1.csv").write_text("of another page")
    [cell] = pages.with_data_files(new_notebook(cells=[new_code_cell(outputs=shown)]), page).cells
    picture, caption = cell.outputs
    said = "Figure with 1 panel. Panels: first. Horizontal: layer. Vertical: alignment. Drawn: a_b."
    assert picture["metadata"] == {"image/png": {"alt": said}} and set(picture["data"]) == {
        "image/png",
        "text/plain",
    }
    assert caption["data"]["text/markdown"] == (
        r"**Figure 1.** Look at \*a_b\*. *Synthetic data.* "
        "[Data: CSV, the first 2000 of 2500 rows](csv/09_example-figure-1.csv)"
    )
    names = {file.name: file.read_text() for file in (tmp_path / "csv").iterdir()}
    assert set(names) == {"09_example-figure-1.csv", "09_example-2-figure-1.csv"}
    lines = names["09_example-figure-1.csv"].splitlines()
    assert lines[:2] == ["x,y,panel,line", "0,0.333333,first,a_b"] and len(lines) == 2001


def test_a_source_keeps_the_words_of_a_figure_and_neither_picture_nor_data(monkeypatch):
    figure = figures.sample_grid([np.zeros((4, 4, 3), np.uint8)], ["a text"], columns=1)
    shown = outputs_of_show(monkeypatch, figure, "One sample.", pd.DataFrame({"text": ["a text"]}))
    [cell] = pages.without_pictures(new_notebook(cells=[new_code_cell(outputs=shown)])).cells
    assert [set(output["data"]) for output in cell.outputs] == [{"text/plain"}, {"text/markdown", "text/plain"}]
    assert cell.outputs[0]["data"]["text/plain"] == "Figure with 1 panel. Panels: a text."


def test_a_table_is_shown_with_plain_heads_and_without_empty_columns():
    rows = pd.DataFrame({"p_by": [0.12345, np.nan], "x": ["a", "b"], "note": ["", ""], "none": [np.nan, np.nan]})
    shown = notebooks.table(rows.set_index("x"), x="measure")
    assert list(shown.columns) == ["p after Benjamini-Yekutieli"] and shown.index.name == "measure"
    assert shown.iloc[:, 0].tolist() == ["0.123", "-"]
    rows = pd.DataFrame(
        {"p": [0.0004, 0.04], "bias": [-0.0004, 0.04], "seeds": [3.0, np.nan], "passed": [True, False]}
    )
    assert notebooks.table(rows, 3).T.to_numpy().tolist() == [
        ["< 0.001", "0.040"],
        ["0.000", "0.040"],
        ["3", "-"],
        ["yes", "no"],
    ]
    assert "nothing to list" in notebooks.table(rows[:0]).data


def test_tidy_keeps_what_a_cell_says_and_drops_what_differs():
    cell = new_code_cell("1", execution_count=1, metadata={"papermill": {"duration": 1}, "tags": ["x"]})
    cell.outputs = [
        new_output("stream", name="stderr", text="50%"),
        new_output("stream", name="stdout", text="/a/b"),
    ]
    result = pages.tidy(new_notebook(cells=[cell], metadata={"papermill": {}}), {"/a": "<a>"}).cells[0]
    assert [output.text for output in result.outputs] == ["<a>/b"]
    assert result.metadata == {"tags": ["x"]}


def run_papermill(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["papermill", *map(str, arguments)])
    notebooks.papermill()


CODE = "a=1;open('made','w')"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", CODE, "x"), r"no parameter \"a=1;open"),
        (("-r", CODE, "x"), r"no parameter \"a=1;open"),
        (("-y", f'{{"{CODE}": 1}}'), r"no parameter \"a=1;open"),
        (("-b", base64.b64encode(f'{{"{CODE}": 1}}'.encode()).decode()), r"no parameter \"a=1;open"),
        (("-f", "given.yaml"), r"no parameter \"a=1;open"),
        (("-y", "[1]"), r"parameters \[1\] are no mapping"),
        (("-y", "{"), "papermill: while parsing"),
        (("-p", "profil", "small"), r"no parameter 'profil'; did you mean 'profile'\?"),
        (("-p", "seeds", "0", "-p", "seeds", "1"), "parameter 'seeds' is named twice"),
    ],
)
@pytest.mark.parametrize("output", [(), ("out.ipynb",)], ids=["log", "output"])
def test_a_parameter_that_is_not_declared_is_refused_before_anything_is_run(
    notebook, tmp_path, monkeypatch, arguments, message, output
):
    monkeypatch.chdir(tmp_path)
    Path("given.yaml").write_text(f'"{CODE}": 1')
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match=message):
        run_papermill(monkeypatch, notebook, *output, *arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_without_a_notebook_must_be_an_identifier():
    notebooks.check_names(None, ["seeds", "data_root"])
    for name in (CODE, "for", "a b", 1):
        with pytest.raises(ValueError, match="is no name of a parameter"):
            notebooks.check_names(None, [name])


def test_a_profile_and_a_study_that_do_not_exist_are_refused(notebook):
    (notebook.parent / "small.yaml").write_text('09_example:\n  "a=1;b": 1\n')
    with pytest.raises(ValueError, match="09_example has no parameter 'a=1;b'"):
        notebooks.make_page("09_example", "small")
    for asked in (lambda: notebooks.make_page("09_example", "../x"), lambda: notebooks.plan("09_example", "../x")):
        with pytest.raises(ValueError, match=r"unknown profile '\.\./x'; known: base, quick, small"):
            asked()
    for asked in (lambda: notebooks.make_page("9"), lambda: notebooks.plan("9"), lambda: notebooks.refresh(["9"])):
        with pytest.raises(ValueError, match="unknown study '9'; known: 09_example"):
            asked()


def test_a_book_that_cannot_be_written_is_named_before_the_study_runs(notebook, monkeypatch):
    monkeypatch.setattr(notebooks, "_execute", lambda *_: pytest.fail("the study was run"))
    for folder in ("log", "results"):
        (paths.book() / folder).parent.mkdir(exist_ok=True)
        (paths.book() / folder).write_text("a file in its place")
    with pytest.raises(SystemExit, match=r"nothing can be written into .*log: Not a directory"):
        run_papermill(monkeypatch, notebook)
    with pytest.raises(OSError, match=r"nothing can be written into .*results: Not a directory"):
        notebooks.make_page("09_example")


def test_a_page_stays_as_it_was_when_the_disk_is_full(tmp_path, monkeypatch):
    page = tmp_path / "page.ipynb"
    page.write_text("before")

    def full(path, text, **_):
        path.write_bytes(text.encode()[:10])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        pages.write(page, new_notebook(cells=[]))
    assert page.read_bytes() == b"before" and [path.name for path in tmp_path.iterdir()] == ["page.ipynb"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/d", "<r>"),
        ("'/d/x.png', (/d) /d. file:///d/x", "'<r>/x.png', (<r>) <r>. file://<r>/x"),
        ("a\\n/d/x \x1b[34m/d\x1b[0m", "a\\n<r>/x \x1b[34m<r>\x1b[0m"),
        ("/data /a/d b//d http://d /d-1 /d.png", "/data /a/d b//d http://d /d-1 /d.png"),
        ("<d>/d</d> <i>/d/d</i>", "<d><r></d> <i><r>/d</i>"),
        ('<img src="data:image/png;base64,AA/d/BB+/d="> /d', '<img src="data:image/png;base64,AA/d/BB+/d="> <r>'),
    ],
)
def test_only_whole_paths_are_hidden(text, shown):
    assert pages.hide(text, {"/d": "<r>"}) == shown


def picture_with(text):
    """A picture whose base64 holds ``text``."""
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    padding = b" " * (-file.tell() % 3)
    return base64.b64encode(file.getvalue() + padding + base64.b64decode(text.encode())).decode()


def test_hiding_a_short_path_leaves_pictures_and_code_as_they_are(notebook, tmp_path):
    """``-p data_root /d`` once rewrote every picture in which these two letters stand."""
    cells = nbformat.read(notebook, as_version=4).cells
    injected = new_code_cell('data_root = "/d"\n', metadata={"tags": ["injected-parameters"]})
    code = new_code_cell("rate = 7/d  # /d/x", id="a-d")
    pixels = picture_with("AA/d/dAA")
    assert "/d" in pixels
    code.outputs = [
        new_output("display_data", {"image/png": pixels, "text/html": "<p>/d/a</p>", "text/markdown": "- /d/a"}),
        new_output("stream", text="read /d/a\n"),
    ]
    executed = new_notebook(cells=[*cells[:2], injected, code], metadata=EXECUTED)
    nbformat.write(executed, tmp_path / "executed.ipynb")
    page = pages.publish(tmp_path / "executed.ipynb", tmp_path / "page.ipynb", entry="2026-01-01")
    *_, given, shown = nbformat.read(page, as_version=4).cells
    assert (
        given.source.strip() == 'data_root = "<data_root>"' and shown.source == code.source and shown.id == "a-d"
    )
    assert Image.open(io.BytesIO(base64.b64decode(shown.outputs[0].data["image/png"]))).size == (2, 2)
    assert shown.outputs[0].data["image/png"].strip() == pixels
    assert shown.outputs[0].data["text/html"] == "<p>&lt;data_root&gt;/a</p>"
    assert shown.outputs[0].data["text/markdown"] == r"- \<data_root>/a"
    assert shown.outputs[1].text == "read <data_root>/a\n"


HOSTILE = "<img src=x onerror=alert(1)>|*a* _b_ `c` $x$ $$y$$ {{z}} [l](http://x) <b>&amp;</b> \\* 1. #"


def rendered(markdown):
    """``markdown`` as the book renders it."""
    config = yaml.safe_load((paths.REPOSITORY / "_config.yml").read_text())
    extensions = set(config["parse"]["myst_enable_extensions"])
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML).render(markdown)


@pytest.mark.parametrize(
    "text", [HOSTILE, "# a", "- a", "1. a", "> a", ":::a", "(a)=", "+++", "% a", "```a", "__a__"]
)
def test_names_of_tasks_and_labels_are_shown_character_by_character(text):
    spelled = html.escape(text)
    assert rendered(notebooks.findings([], text, f"Of {text}, 2.").data).count(f"<li>{spelled}</li>") == 1
    assert f"Of {spelled}, 2." in rendered(notebooks.findings([], text, f"Of {text}, 2.").data)
    row = found.finding(
        text, f"{text.replace('{', '{{').replace('}', '}}')} is {{}}", 1.0, 0.5, 1.5, n=3, p=0.0001
    )
    table = rendered(notebooks.findings(found.table("study", [row])).data)
    assert table.count("<tr>") == 2 and f"<td>{spelled}</td>" in table
    assert f"{spelled} is +1.000 [+0.500, +1.500]" in table and "<td>&lt; .001</td>" in table
    assert rendered(notebooks.note(text).data) == f"<p><em>{spelled}</em></p>\n"
    assert f">{spelled}</code>" in rendered(pages.as_code(text))


def test_decided_findings_come_first_behind_the_declared_one():
    verdicts = ["inconclusive", *["inconclusive"] * 9, "supported", "contradicted"]
    rows = [
        {"question": f"Q{i}?", "sentence": f"A{i}.", "n": 3, "p": 0.5, "verdict": v}
        for i, v in enumerate(verdicts)
    ]
    output = new_output("display_data", {"text/markdown": notebooks.findings(pd.DataFrame(rows)).data})
    code = new_code_cell("pass", outputs=[output], metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[new_markdown_cell("# Title\n\n**Question.** Q\n\n**Method.** M"), code])
    title, answer, method, code = pages.answer_first(notebook).cells
    assert title.source == "# Title\n\n**Question.** Q" and method.source == "## Method\n\nM"
    assert re.findall(r"Q\d+", answer.source)[:4] == ["Q0", "Q10", "Q11", "Q1"] and "Q7" not in answer.source
    assert (
        "Of 12 findings 2 are supported or contradicted, and the others are inconclusive; 8 stand" in answer.source
    )
    assert code.metadata["tags"] == ["parameters", "hide-input"]


def test_given_values_are_no_html_and_no_formula_in_a_page(notebook, tmp_path):
    cells = nbformat.read(notebook, as_version=4).cells
    injected = new_code_cell(f"profile = {HOSTILE!r}", metadata={"tags": ["injected-parameters"]})
    executed = new_notebook(cells=[*cells[:2], injected], metadata=EXECUTED)
    nbformat.write(executed, tmp_path / "executed.ipynb")
    page = pages.publish(tmp_path / "executed.ipynb", tmp_path / "page.ipynb", entry="2026-01-01")
    title, _, rest = nbformat.read(page, as_version=4).cells[0].source.partition("\n")
    assert title == "# 2026-01-01: Example"  # without the value: the theme repeats titles as HTML
    assert f">{html.escape(HOSTILE)}</code>" in rendered(rest) and "<img" not in rendered(rest)
    [table] = [cell.source for cell in nbformat.read(page, as_version=4).cells if cell.id == "parameter-table"]
    assert f">{html.escape(HOSTILE)}</code></td>" in rendered(table) and "<img" not in rendered(table)


# Two runs that end at once each have a page of the log


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """Notebooks are executed by name only; a page holds which of them it was."""
    monkeypatch.setenv("VILBERT_BOOK", str(tmp_path / "book"))

    def execute(arguments, source):
        partial = tmp_path / f"partial-{arguments[0]}.ipynb"
        partial.write_text(arguments[0])
        return partial, ""

    monkeypatch.setattr(notebooks, "_execute", execute)
    return tmp_path


def test_pages_that_are_written_at_the_same_time_have_names_of_their_own(executed, monkeypatch):
    both = threading.Barrier(2)

    def publish(partial, page, **about):
        both.wait(60)  # both have chosen a name
        page.write_text(partial.read_text())

    monkeypatch.setattr(pages, "publish", publish)
    source, found = Path("09_example.ipynb"), []
    threads = [
        threading.Thread(target=lambda name=name: found.append(notebooks.add_to_log([name], source)))
        for name in ("first", "second")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2 and {page.read_text() for page in found} == {"first", "second"}
