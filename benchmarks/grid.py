"""What it costs to have runs trained by one process, by papermill, by a command each, or by snakemake.

    python benchmarks/grid.py

The runs are so small that what is around them is what is timed, one at a time. Every way trains one run and
then so many, each time from nothing: the difference is what a run takes, the rest is what is paid once.
Writes ``benchmarks/results/grid.csv``, which the book shows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_notebook

from vilbert_lib import paths, runs, synthetic
from vilbert_lib.config import AlignmentConfig, ModelConfig, Profile, RunConfig, TrainConfig
from vilbert_lib.runs import device_name

RESULTS = Path(__file__).parent / "results"
TINY = Profile(
    name="tiny",
    model=ModelConfig(
        width=16, heads=2, coattention_width=16, coattention_heads=2, pooled_width=16, patch_size=32
    ),
    pretrain=TrainConfig(epochs=1, batch_size=8),
    finetune=TrainConfig(epochs=1, batch_size=8),
    alignment=AlignmentConfig(measures=("cka",), n_samples=12, k=3),
)
CELLS = (
    "data_root: str = {root!r}  # a folder\ncount: int = {count}  # runs",
    "import sys\nsys.path.insert(0, {here!r})\nimport grid\ngrid.train(count, data_root)",
)


def configs(count: int, root: Path) -> list[RunConfig]:
    """So many runs, which differ in their seed."""
    return [runs.configure(TINY, root, "hateful_memes", "middle_fusion", seed) for seed in range(count)]


def train(count: int, root: str) -> None:
    """What the process and the notebook do."""
    trained = runs.ensure(configs(count, Path(root)), Path(root), jobs=1)
    print(runs.summaries(trained).test_accuracy.mean())


def call(*arguments) -> None:
    """Run Python with ``arguments``; what it printed is shown if it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=paths.REPOSITORY
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def in_process(count: int, root: Path) -> None:
    call(Path(__file__), "--train", count, root)


def by_papermill(count: int, root: Path) -> None:
    call("-m", "vilbert_lib", "page", "grid")


def by_commands(count: int, root: Path) -> None:
    call("-m", "vilbert_lib", "plan", "grid", "--out", paths.data() / "planned")
    for path in (paths.data() / "planned").read_text().splitlines():
        call("-m", "vilbert_lib", "train", "--planned", path)


def by_snakemake(count: int, root: Path) -> None:
    snakefile = paths.REPOSITORY / "workflow" / "Snakefile"
    call("-m", "snakemake", "--snakefile", snakefile, "--directory", paths.data(), "--cores", 1)


WAYS: dict[str, Callable[[int, Path], None]] = {
    "one process": in_process,
    "papermill, one notebook": by_papermill,
    "plan, then a command a run": by_commands,
    "snakemake, a job a run": by_snakemake,
}


def seconds(way: Callable[[int, Path], None], count: int, root: Path) -> float:
    """How long ``way`` takes to train ``count`` runs in folders of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("DATA", "BOOK", "ARCHIVE", "NOTEBOOKS"):
            os.environ[f"VILBERT_{name}"] = str(Path(folder) / name.lower())
        paths.notebooks().mkdir()
        values = {"root": str(root), "count": count, "here": str(Path(__file__).parent)}
        parameters, work = (new_code_cell(text.format(**values)) for text in CELLS)
        parameters.metadata = {"tags": ["parameters"]}
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=[parameters, work], metadata=kernel), paths.notebooks() / "grid.ipynb")
        start = time.perf_counter()
        way(count, root)
        return time.perf_counter() - start


def measure(count: int, rounds: int) -> pd.DataFrame:
    """One row a way: seconds paid once, seconds a run, and how many of these are not the training."""
    with tempfile.TemporaryDirectory() as folder:
        root = synthetic.make_root(Path(folder) / "root", n_train=32, tasks=("hateful_memes",))
        best = dict.fromkeys([(name, n) for name in WAYS for n in (1, count)], float("inf"))
        for _ in range(rounds):
            for name, n in best:  # in turns, so that all see the same machine
                best[name, n] = min(best[name, n], seconds(WAYS[name], n, root))
    each = {name: (best[name, count] - best[name, 1]) / (count - 1) for name in WAYS}
    rows = [
        {"way": name, "once_s": best[name, 1] - each[name], "run_s": each[name]}
        | {"around_the_run_s": each[name] - each["one process"]}
        for name in WAYS
    ]
    return pd.DataFrame(rows)


def main() -> None:
    """Time all ways and write their table; ``--train`` is what this script calls itself with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="at least 2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--train", nargs=2, metavar=("COUNT", "ROOT"), help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.train:
        return train(int(a.train[0]), a.train[1])
    os.environ["PYTHONPATH"] = str(paths.REPOSITORY)
    table = measure(a.runs, a.rounds).assign(device=device_name()).round(2)
    print(table.to_string(index=False))
    table.to_csv(RESULTS / "grid.csv", index=False)
    return None


if __name__ == "__main__":
    main()
