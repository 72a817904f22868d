"""What is installed, and what an import costs."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from packaging.requirements import Requirement

import vilbert_lib
from vilbert_lib import paths, synthetic
from vilbert_lib.config import profile
from vilbert_lib.data import tokenizer

HEAVY = ("torch", "pandas", "transformers", "timm", "captum", "matplotlib", "optuna")
USE = """
import numpy as np
from pathlib import Path
import vilbert_lib
from vilbert_lib.config import ModelConfig, arrange
from vilbert_lib import synthetic
from vilbert_lib.metrics import alignment_grid
from vilbert_lib.model.vilbert import ViLBERT

assert "site-packages" in vilbert_lib.__file__, vilbert_lib.__file__
X = np.random.default_rng(0).standard_normal((32, 8))
assert alignment_grid({"a": X, "b": X}, ["cka"]).value[0] > 0.999
synthetic.make_root(Path("root"), n_train=8, tasks=("hateful_memes",))
small = ModelConfig(num_layers=3, width=16, heads=2, coattention_width=16, coattention_heads=2, pooled_width=16)
assert sum(p.numel() for p in ViLBERT(small).parameters()) > 0
print("used")
"""

EXTRACTION = """
import torch
from vilbert_lib.features import extract
from vilbert_lib.metrics import StreamingAlignment, alignment_grid
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
found = extract(model, [torch.randn(16, 4)], ["0", "2"])
metric = StreamingAlignment()
metric.update(found.layers)
assert abs(metric.compute().value[0] - alignment_grid(found.layers, ["cka"]).value[0]) < 1e-6
"""


def test_the_citation_names_the_version_that_is_installed():
    citation = yaml.safe_load((paths.REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == vilbert_lib.__version__ and citation["license"] == "MIT"


def loaded(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules ``names`` a new process has loaded after ``code``."""
    code += f"\nimport json, sys; print(json.dumps([n for n in {names} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_imports_load_what_they_need():
    assert loaded("import vilbert_lib", HEAVY) == []
    rest = ("transformers", "timm", "captum", "matplotlib", "optuna", "papermill", "rapidfuzz", "torchvision")
    assert loaded("import vilbert_lib.metrics", rest) == []


def test_a_study_of_archived_runs_loads_no_model_library(monkeypatch):
    for name in ("DATA", "RUNS", "BOOK", "ARCHIVE"):
        monkeypatch.delenv(f"VILBERT_{name}", raising=False)
    tokenizer.of_root(synthetic.root_of(profile("quick"), ""))  # made once, by what the study itself need not load
    notebook = nbformat.read(paths.REPOSITORY / "notebooks" / "04_correlation.ipynb", as_version=4)
    names = ("transformers", "timm", "captum", "optuna", "torchmetrics")
    notebook.cells.append(new_code_cell(f"import sys\nprint([n for n in {names} if n in sys.modules])"))
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(paths.REPOSITORY / "notebooks"))
    assert notebook.cells[-1].outputs[0].text.strip() == "[]"


@pytest.mark.slow
def test_the_wheel_holds_the_library_alone_and_works_in_an_environment_of_its_own(tmp_path):
    """The packages that it needs are those of this environment; nothing of the repository is."""
    source = tmp_path / "source"  # a build leaves files beside what it builds
    shutil.copytree(paths.REPOSITORY / "vilbert_lib", source / "vilbert_lib")
    shutil.copytree(paths.REPOSITORY / "studies", source / "studies")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(paths.REPOSITORY / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, str(tmp_path), str(source)], check=True, cwd=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {Path(name).parts[0].split("-")[0] for name in files} == {"vilbert_lib"}
    assert any(name.endswith("vilbert_lib/metrics/grid.py") for name in files)

    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VILBERT_DATA": str(tmp_path / "data")}
    code = [str(python), "-P", "-c", USE]
    done = subprocess.run(code, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "used", done.stderr

    # Who installs the measures alone has what the project needs without its extras, and no more.
    (site / "others.pth").unlink()
    for entry in entries_of(needed()):
        (site / entry.name).symlink_to(entry)
    [example] = [block for block in blocks_of("README.md") if "alignment_grid" in block]
    code = [str(python), "-P", "-c", EXTRACTION + example + "\nimport matplotlib"]
    done = subprocess.run(code, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert "unbiased_cka" in done.stdout, done.stderr
    assert "No module named 'matplotlib'" in done.stderr


def blocks_of(file: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (paths.REPOSITORY / file).read_text(encoding="utf-8"), re.DOTALL)


def needed() -> set[str]:
    """Distributions that an installation without extras brings along."""
    project = tomllib.loads((paths.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(project["dependencies"]) <= 8
    names, waiting = set(), list(map(Requirement, project["dependencies"]))
    while waiting:
        requirement = waiting.pop()
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name not in names:
            names.add(requirement.name)
            waiting += map(Requirement, distribution(requirement.name).requires or ())
    return names


def entries_of(names: set[str]) -> list[Path]:
    """What these distributions have in this environment's folder of packages."""
    folder = Path(sysconfig.get_paths()["purelib"])
    tops = {file.parts[0] for name in names for file in distribution(name).files or ()}
    return [folder / top for top in sorted(tops) if top != ".." and (folder / top).exists()]
