"""The graph of a study: what is missing is trained, also after a kill, and what is finished is left alone."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import two_steps
import yaml
from filelock import FileLock

from vilbert_lib import notebooks, paths, runs, synthetic
from vilbert_lib.runs.planning import read_plan, write_plan

pytestmark = pytest.mark.slow  # snakemake starts processes

needs_snakemake = pytest.mark.skipif(
    not find_spec("snakemake"), reason="snakemake is in the extras dev and cluster"
)
needs_slurm_plugin = pytest.mark.skipif(
    not find_spec("snakemake_executor_plugin_slurm"),
    reason="snakemake-executor-plugin-slurm is in the extra cluster",
)
TASKS = ("conceptual_captions", "hateful_memes")


@pytest.fixture(scope="module")
def root(own_folders):
    return synthetic.make_root(own_folders / "root", n_train=32, tasks=TASKS)


@pytest.fixture(scope="module")
def configs(own_folders, root):
    """The study's notebook, where the commands look for it, and its runs."""
    two_steps.write_notebook(own_folders / "notebooks", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VILBERT_NOTEBOOKS", str(own_folders / "notebooks"))
        patch.setenv("PYTHONPATH", str(paths.REPOSITORY))
        patch.setenv("VILBERT_RUNS", str(own_folders / "snakemake"))
        yield two_steps.configs(root)


def started(*arguments) -> subprocess.Popen:
    """A snakemake under way, in a session of its own."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.REPOSITORY / "workflow" / "Snakefile")]
    command += ["--directory", str(paths.data()), *arguments]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, **output, cwd=paths.REPOSITORY, start_new_session=True)


def snakemake(*arguments) -> str:
    """What a snakemake prints that ends well."""
    process = started(*arguments)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return printed


def trained_by(printed: str) -> set[str]:
    """The ids of the runs that a snakemake trains, or would."""
    return set(re.findall(r"wildcards: run=(\S+)", printed))


@pytest.fixture(scope="module")
def missing(configs, root):
    """The ids of the runs that are to be trained: all are planned, and one is trained in this process."""
    snakemake("--cores", "2", "plans")
    assert not paths.runs().exists()
    plans = [read_plan(paths.plans() / f"{config.id}.json") for config in configs]
    assert plans == [(config, root) for config in configs]
    first, alone, tuned = configs
    runs.ensure([alone], root)
    return {first.id, tuned.id}


@needs_snakemake
def test_a_dry_run_lists_exactly_the_missing_runs_and_trains_none(missing, configs):
    printed = snakemake("--cores", "2", "--dry-run")
    assert trained_by(printed) == missing and re.search(r"^page +1$", printed, re.MULTILINE)
    assert [runs.Run(config).trained for config in configs] == [False, True, False]


@needs_snakemake
def test_the_programme_is_a_target_whose_runs_start_from_their_pretrainings(configs, root, own_folders):
    programme = own_folders / "programme.yaml"
    shape = {"architectures": ["baseline", "late_fusion"], "tasks": ["hateful_memes"], "seeds": [0, 1]}
    shape |= {"objectives": ["mlm"], "splits": ["test"]}
    settings = {"train": {"epochs": 1}}
    programme.write_text(yaml.safe_dump({"programme": shape, "settings": settings}), encoding="utf-8")
    given = ("--config", f"data_root={root}", f"programme={programme}")
    snakemake("--cores", "2", "plan_thesis", *given)
    plans = [read_plan(Path(line))[0] for line in (paths.plans() / "programme" / "quick.txt").read_text().split()]
    assert [config.task for config in plans] == ["conceptual_captions"] * 2 + ["hateful_memes"] * 4
    before = {config.architecture: config.id for config in plans[:2]}
    assert [config.start_from for config in plans[2:]] == [before[config.architecture] for config in plans[2:]]
    printed = snakemake("--cores", "2", "--dry-run", "thesis", *given)
    assert trained_by(printed) == {config.id for config in plans}
    assert (
        printed.index(f"run={plans[0].id}") < printed.index(f"run={plans[2].id}") < printed.rindex("rule thesis:")
    )
    assert not any(runs.Run(config).finished for config in plans)
    refused = started("--cores", "2", "--dry-run", "thesis")
    assert "thesis needs the folder that holds the datasets" in refused.communicate()[0] and refused.returncode


@needs_snakemake
@needs_slurm_plugin
def test_each_job_on_a_cluster_names_its_gpu_time_and_memory(missing):
    profile = str(paths.REPOSITORY / "workflow" / "profiles" / "slurm")
    printed = snakemake("--executor", "slurm", "--profile", profile, "--dry-run")
    assert trained_by(printed) == missing
    jobs = dict(re.findall(r"^rule (\w+):.*?resources: (.*?)$", printed, re.MULTILINE | re.DOTALL))
    for wanted in ("gpu=1", "runtime=480", "mem_mb=32000", "cpus_per_task=8"):
        assert wanted in jobs["train"].split(", ")
    assert "gpu=1" in jobs["page"].split(", ") and "gpu" not in jobs["all"]


@needs_snakemake
def test_killed_in_a_training_and_started_again_it_ends_in_the_frames_of_one_process(
    missing, configs, root, own_folders, monkeypatch
):
    first, page = runs.Run(configs[0]), paths.book() / "results" / "quick" / "two_steps.ipynb"
    process = started("--cores", "2")
    while not (first.folder / "checkpoint.pt").is_file():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with FileLock(first.lock, timeout=5):  # nobody trains it
        assert not first.trained and (first.folder / "checkpoint.pt").is_file() and not page.exists()
    claimed = (first.folder / "config.json").stat().st_mtime_ns

    assert trained_by(snakemake("--cores", "2")) == missing
    assert (first.folder / "config.json").stat().st_mtime_ns == claimed and page.is_file()
    found = frames(configs)

    # A start whose file is younger, and snakemake's own reasons to do things again, train nothing.
    os.utime(first.folder / "summary.json")
    assert "Nothing to be done" in snakemake("--cores", "2", "--dry-run")
    assert not trained_by(snakemake("--cores", "2", "--dry-run", "--rerun-triggers", "code", "input", "mtime"))

    monkeypatch.setenv("VILBERT_RUNS", str(own_folders / "in_process"))
    runs.ensure(configs[:1], root, jobs=1)
    runs.ensure(configs[1:], root, jobs=1)
    for frame, expected in zip(found, frames(configs), strict=True):
        pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def frames(configs) -> list[pd.DataFrame]:
    """All tables of the runs, but for the time that each took."""
    finished = [runs.Run(config) for config in configs]
    return [
        runs.summaries(finished).drop(columns="seconds"),
        runs.histories(finished),
        runs.training_alignments(finished),
    ]


def test_what_is_planned_is_listed_and_cannot_be_read(configs, root, tmp_path, monkeypatch):
    run_list = runs.RunList(tmp_path / "runs.jsonl", plan_only=True)
    monkeypatch.setattr(paths, "plans", lambda: tmp_path / "plan")
    first, *others = runs.ensure(configs[1:], root, run_list=run_list)
    assert [run.config for run in (first, *others)] == configs[1:]
    for name in ("summary", "metrics", "training_alignment"):
        with pytest.raises(runs.NotTrainedError, match=f"{configs[1].id} is only planned"):
            getattr(first, name)
    for read in (lambda: first.model(root), lambda: first.table("sizes", pytest.fail, n=3), first.tables):
        with pytest.raises(runs.NotTrainedError):
            read()
    runs.ensure(configs[:2], root, run_list=run_list)
    written = write_plan(run_list)
    assert written == [tmp_path / "plan" / f"{configs[i].id}.json" for i in (1, 2, 0)]


def test_a_plan_for_other_data_is_refused(configs, root, tmp_path, monkeypatch):
    other = shutil.copytree(root, tmp_path / "other")
    run_list = runs.RunList(tmp_path / "runs.jsonl", plan_only=True)
    monkeypatch.setattr(paths, "plans", lambda: tmp_path / "plan")
    runs.ensure(configs[:1], other, run_list=run_list)
    [path] = write_plan(run_list)
    assert read_plan(path) == (configs[0], other)
    captions = next((other / "conceptual_captions").glob("*.tsv"))
    captions.write_text("\n".join(captions.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ValueError, match="was planned for other data"):
        read_plan(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="describes no run"):
        read_plan(path)


def test_an_error_of_the_study_is_told_and_not_taken_for_a_plan(configs, tmp_path, monkeypatch):
    source = (paths.notebooks() / "two_steps.ipynb").read_text()
    (tmp_path / "two_steps.ipynb").write_text(source.replace("p.data_root", "p.date_root", 1))
    monkeypatch.setenv("VILBERT_NOTEBOOKS", str(tmp_path))
    with pytest.raises(ValueError, match=r"two_steps.ipynb failed: AttributeError: .*date_root"):
        notebooks.plan("two_steps")


def test_what_a_profile_gives_to_a_study_holds_for_its_plan(configs, root, tmp_path, monkeypatch):
    other = shutil.copytree(root, tmp_path / "other")
    shutil.copy(paths.notebooks() / "two_steps.ipynb", tmp_path)
    (tmp_path / "tiny.yaml").write_text(f"two_steps:\n  data_root: {other}\n")
    monkeypatch.setenv("VILBERT_NOTEBOOKS", str(tmp_path))
    monkeypatch.setattr(paths, "plans", lambda: tmp_path / "plan")
    planned = [read_plan(path) for path in notebooks.plan("two_steps", "tiny")]
    assert planned == [(config, other) for config in configs]
