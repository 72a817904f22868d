"""How many images a second the synthetic datasets are made at, on one core, everything included.

    python benchmarks/synthetic.py                  # 4 000 training samples a dataset, half a minute
    python benchmarks/synthetic.py --n-train 500 --folder /dev/shm

Drawing, texts, encoding and writing to disk are timed together, the shortest of some roots. Writes
``benchmarks/results/synthetic.csv``. No root is removed before the last one is timed: some file
systems are slow to make files just after many were deleted.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from threadpoolctl import threadpool_limits

from vilbert_lib import synthetic
from vilbert_lib.synthetic.drawing import SIZE

RESULTS = Path(__file__).parent / "results"
IMAGES = (".png", ".jpg", ".jpeg")


def rate(task: str, n_train: int, repeats: int, folder: Path) -> dict:
    """Time roots that hold ``task`` alone."""
    taken = []
    for repeat in range(repeats):
        root = folder / f"{task}-{repeat}"
        start = time.perf_counter()
        synthetic.make_root(root, n_train=n_train, seed=repeat, tasks=[task])
        taken.append(time.perf_counter() - start)
    files = [path for path in root.rglob("*") if path.is_file()]
    images = [path for path in files if path.suffix in IMAGES]
    return {
        "dataset": task,
        "images": len(images),
        "pixels": f"{SIZE} x {SIZE}",
        "format": images[0].suffix[1:],
        "files": len(files),
        "megabytes": sum(path.stat().st_size for path in files) / 1e6,
        "seconds": min(taken),
        "images_per_second": len(images) / min(taken),
    }


def main() -> None:
    """Time every dataset and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-train", type=int, default=4000, help="training samples a dataset")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where to write the roots; default: the system's temporary folder")
    a = parser.parse_args()
    with TemporaryDirectory(dir=a.folder) as folder, threadpool_limits(1):
        synthetic.make_root(Path(folder) / "first", n_train=8)  # what is made once and kept
        table = pd.DataFrame([rate(task, a.n_train, a.repeats, Path(folder)) for task in synthetic.TASKS])
    RESULTS.mkdir(exist_ok=True)
    table = table.round({"megabytes": 1, "seconds": 2, "images_per_second": 0})
    table.astype({"images_per_second": int}).to_csv(RESULTS / "synthetic.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
