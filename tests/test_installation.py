"""What is installed, and what an import costs."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from vilbert_lib import paths
from vilbert_lib.config import profile
from vilbert_lib.data import synthetic, tokenizer

HEAVY = ("torch", "pandas", "transformers", "timm", "captum", "matplotlib", "optuna")
USE = """
import numpy as np
from pathlib import Path
import vilbert_lib
from vilbert_lib.config import ModelConfig, arrange
from vilbert_lib.data import synthetic
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
