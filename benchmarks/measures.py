"""How long the measures take, stage by stage, how time and memory grow, and what other packages take.

    python benchmarks/measures.py                      # everything, about 15 minutes on 2 cores
    python benchmarks/measures.py --parts grid stages  # some parts

Everything is timed on the same features in one run: L layers of n samples that share a
32-dimensional part, float32. Writes ``benchmarks/results/measures_*.csv``, which the book shows. The
other packages are those of ``benchmarks/requirements.txt``; what is not installed is left out.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import peers
import torch

from vilbert_lib.metrics import MEASURES, alignment_grid
from vilbert_lib.metrics.layers import Layers

RESULTS = Path(__file__).parent / "results"
ELEVEN = [
    "mknn",
    "cka",
    "cka_rbf",
    "unbiased_cka",
    "svcca",
    "cknna",
    "cycle_knn",
    "jaccard",
    "rsa",
    "r2",
    "procrustes",
]
SIZES = (256, 512, 1024, 1536, 2048, 4096)
NARROW = ("cka", "unbiased_cka", "r2_ols")  # those that need no n x n matrix
NULLS = ("cka", "cka_rbf", "unbiased_cka", "mknn")


def features(n: int, d: int, layers: int, device: str = "cpu") -> dict[str, np.ndarray | torch.Tensor]:
    """Layers (n, d) float32 that share a 32-dimensional part: arrays, or tensors on another device."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((n, 32))
    made = {
        f"layer {i}": (common @ rng.standard_normal((32, d)) / 32**0.5 + 0.5 * rng.standard_normal((n, d))).astype(
            np.float32
        )
        for i in range(layers)
    }
    return made if device == "cpu" else {name: torch.from_numpy(x).to(device) for name, x in made.items()}


def many_samples(n: int, d: int, layers: int, device: str) -> dict[str, torch.Tensor]:
    """Layers as of :func:`features` for large n, drawn on the device."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    common = normal(n, 32)
    return {f"layer {i}": common @ normal(32, d) / 32**0.5 + 0.5 * normal(n, d) for i in range(layers)}


def seconds(function: Callable, device: str, repeats: int = 3) -> float:
    """The shortest of some calls, the work on a GPU awaited."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def stages(a: argparse.Namespace) -> pd.DataFrame:
    """What is done once a layer, and what for all pairs, of each measure alone."""
    data, rows = features(a.n, a.d, a.layers, a.device), []
    every = torch.cartesian_prod(torch.arange(a.layers), torch.arange(a.layers)).to(a.device)
    layers = Layers(data, device=a.device)

    def grams() -> None:
        layers._grams.clear()
        for i in layers:
            layers.gram(i)

    rows.append({"stage": "Gram matrices, shared", "layers_s": seconds(grams, a.device), "pairs_s": 0.0})
    for name in a.measures:
        measure = MEASURES[name]
        pairs = every[every[:, 0] <= every[:, 1]] if measure.symmetric else every
        state = measure.prepare(layers)
        rows.append(
            {
                "stage": name,
                "layers_s": seconds(lambda m=measure: m.prepare(layers), a.device),
                "pairs_s": seconds(lambda m=measure, s=state, p=pairs: m.compare(s, s, *p.T), a.device),
            }
        )
    return pd.DataFrame(rows)


def product_rate(dtype: torch.dtype, device: str) -> float:
    """GFLOP/s of a large matrix product: what the device could do at best."""
    x = torch.randn(2048, 2048, dtype=dtype, device=device)
    return 2 * 2048**3 / seconds(lambda: x @ x, device, 5) / 1e9


def grid(a: argparse.Namespace) -> pd.DataFrame:
    """Whole grids of all ordered pairs, and the permutation null with K = 200."""
    data, rows = features(a.n, a.d, a.layers, a.device), []
    pairs = list(product(data, data))
    without = [name for name in a.measures if name != "procrustes"]
    for what, names in ((f"{len(a.measures)} measures", a.measures), ("without Procrustes", without)):
        taken = seconds(lambda n=names: alignment_grid(data, n, pairs=pairs, device=a.device), a.device)
        rows.append({"what": what, "pairs": len(pairs), "seconds": taken})
    for names in ([name] for name in NULLS):
        taken = seconds(
            lambda n=names: alignment_grid(data, n, pairs=pairs, null="permutation", device=a.device), a.device, 1
        )
        rows.append({"what": f"null of {names[0]}, K = 200", "pairs": len(pairs), "seconds": taken})
    return pd.DataFrame(rows)


def growth(a: argparse.Namespace) -> pd.DataFrame:
    """Time and peak memory of the whole grid as n grows, each size in a process of its own."""
    rows = []
    for n in a.sizes:
        command = [sys.executable, __file__, "--one", str(n), "--d", str(a.d), "--layers", str(a.layers)]
        command += ["--device", a.device, "--measures", *a.measures]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(answer.splitlines()[-1]))
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def peak_gib() -> float:
    """Largest memory of this process so far. What getrusage says begins with the parent's, on Linux."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def one_size(a: argparse.Namespace) -> None:
    """Print time and peak memory of the grid at one n, as JSON: with Procrustes up to n = 2048."""
    data, row = features(a.one, a.d, a.layers, a.device), {"n": a.one}
    alignment_grid({name: x[:64] for name, x in data.items()}, a.measures, device=a.device)
    without = [name for name in a.measures if name != "procrustes"]
    for what, names in (("without_procrustes_s", without), ("all_s", a.measures)):
        if names == a.measures and a.one > 2048:
            continue
        repeats = 1 if a.device == "cpu" else 3
        row[what] = seconds(lambda n=names: alignment_grid(data, n, device=a.device), a.device, repeats)
        row["peak_gib"] = peak_gib()
        if a.device != "cpu":
            row["gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
    print(json.dumps(row))


def other_packages(a: argparse.Namespace) -> pd.DataFrame:
    """Other packages on the same features: values, and the time for all ordered pairs beside this library's.

    Functions of one pair are timed on a few pairs, and that is multiplied.
    """
    data, rows = features(a.n, a.d, a.layers), []
    names, pairs = list(data), list(product(data, data))

    @cache
    def ours(measure: str) -> float:
        return seconds(lambda: alignment_grid(data, [measure], pairs=pairs, device=a.device), a.device, 1)

    def row(measure: str, package: str, call: str, taken: float, timed: int, difference: float) -> dict:
        own = ours(measure)
        return {
            "measure": measure,
            "package": f"{package} {peers.installed(package)}",
            "call": call,
            "timed_pairs": timed,
            "package_s": taken,
            "ours_s": own,
            "ratio": taken / own,
            "difference": difference,
        }

    for peer in available(peers.pairwise()):
        function, chosen = peer.make(), [(names[i], names[-1 - i]) for i in range(a.pairs)]
        function(data[names[0]], data[names[1]])
        start = time.perf_counter()
        values = [function(data[x], data[y]) for x, y in chosen]
        taken = (time.perf_counter() - start) / len(chosen) * len(pairs)
        own = alignment_grid(data, [peer.measure], pairs=chosen, device=a.device).value
        difference = float(np.abs(own - values).max())
        rows.append(row(peer.measure, peer.package, peer.call, taken, len(chosen), difference))
        print(rows[-1], flush=True)
    for measure, (package, function) in peers.whole(list(data.values())).items():
        if not peers.installed(package):
            print(f"{package} is not installed: left out", flush=True)
            continue
        values = function()
        own = alignment_grid(data, [measure], pairs=pairs, device=a.device).value.to_numpy()
        difference = float(np.abs(own - values.ravel()).max())
        rows.append(row(measure, package, "cka", seconds(function, "cpu", 1), len(pairs), difference))
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def available(listed: list[peers.Peer]) -> list[peers.Peer]:
    """Those whose packages are installed; a line names each of the others."""
    for package in sorted({peer.package for peer in listed if not peers.installed(peer.package)}):
        print(f"{package} is not installed: left out", flush=True)
    return [peer for peer in listed if peers.installed(peer.package)]


def differences(a: argparse.Namespace) -> pd.DataFrame:
    """Values of other packages beside this library's on one pair of layers, and the cause where they differ."""
    x, y = features(128, 32, 2).values()
    rows = []
    for peer in available(peers.pairwise() + peers.others()):
        pair = peers.codes(x, y) if "one-hot" in peer.call else (x, y)
        own, function = MEASURES[peer.measure], peer.make()
        ours, theirs = own(*pair), function(x, y)
        rows.append(
            {
                "measure": peer.measure,
                "package": f"{peer.package} {peers.installed(peer.package)}",
                "call": peer.call,
                "ours": ours,
                "theirs": theirs,
                "difference": abs(ours - theirs),
                "ours_ms": 1000 * seconds(lambda m=own, p=pair: m(*p), "cpu"),
                "theirs_ms": 1000 * seconds(lambda f=function: f(x, y), "cpu"),
                "cause": peer.cause,
            }
        )
    if peers.installed("calibrated-similarity"):
        layers = list(features(64, 16, 4).values())
        rows += peers.calibrated(layers[:2], layers[2:])
    else:
        print("calibrated-similarity is not installed: left out", flush=True)
    return pd.DataFrame(rows)


def large(a: argparse.Namespace) -> pd.DataFrame:
    """The grid of all ordered pairs from covariances, with exact nulls, for many more samples than features.

    On a CPU the features are files of float32 that are mapped into memory.
    """
    if a.device == "cpu":
        return from_files(a, "large", a.d, a.layers)
    data = many_samples(a.large, a.d, a.layers, a.device)
    taken = seconds(lambda: alignment_grid(data, NARROW, null="exact"), a.device, 2)
    row = {"n": a.large, "d": a.d, "layers": a.layers, "measures": " ".join(NARROW), "seconds": taken}
    return pd.DataFrame([row | {"peak_gib": torch.cuda.max_memory_allocated() / 2**30}])


def neighbours(a: argparse.Namespace) -> pd.DataFrame:
    """Mutual kNN of two layers against two, with its exact null, for many samples: found in blocks of samples."""
    return from_files(a, "neighbours", 64, 4)


def from_files(a: argparse.Namespace, part: str, d: int, layers: int) -> pd.DataFrame:
    """Measure layers of ``a.large`` samples that lie in .npy files, in a process of its own."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    with tempfile.TemporaryDirectory() as folder:
        common = normal(a.large, 32)
        for i in range(layers):
            mixing = normal(32, d) / 32**0.5
            file = np.lib.format.open_memmap(
                f"{folder}/layer {i:02d}.npy", "w+", dtype=np.float32, shape=(a.large, d)
            )
            for begin in range(0, a.large, 10_000):
                rows = common[begin : begin + 10_000]
                file[begin : begin + 10_000] = rows @ mixing + 0.5 * normal(len(rows), d)
            file.flush()
        command = [sys.executable, __file__, "--mapped", folder, "--parts", part]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return pd.DataFrame([json.loads(answer.splitlines()[-1])])


def mapped_files(a: argparse.Namespace) -> None:
    """Print time and largest memory of the grid of the layers in a folder, as JSON."""
    data = {path.stem: np.load(path, mmap_mode="r") for path in sorted(Path(a.mapped).iterdir())}
    names, measures = list(data), NARROW if a.parts == ["large"] else ("mknn",)
    half = len(names) // 2
    pairs = list(product(names, names) if a.parts == ["large"] else product(names[:half], names[half:]))
    alignment_grid({name: x[:3000, :2] for name, x in data.items()}, measures, null="exact")  # what is made once
    memory, done = [own_gib()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            memory.append(own_gib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    table = alignment_grid(data, measures, pairs=pairs, null="exact")
    taken, cpu = time.perf_counter() - start, time.process_time() - cpu
    done.set()
    watcher.join()
    if not np.isfinite(table[["value", "p"]].to_numpy()).all():
        raise ValueError("a value or p of the grid is not finite")
    n, d = data[names[0]].shape
    row = {"n": n, "d": d, "layers": len(names), "pairs": len(pairs), "measures": " ".join(measures)}
    row |= {"seconds": taken, "cpu_seconds": cpu, "threads": torch.get_num_threads()}
    print(json.dumps(row | {"peak_gib": max(memory)}))


def own_gib() -> float:
    """Memory of this process without mapped files, whose pages the system can drop at any time."""
    kinds = dict(re.findall(r"(Rss(?:Anon|Shmem)):\s+(\d+) kB", Path("/proc/self/status").read_text()))
    return sum(map(int, kinds.values())) / 2**20


def agreement(a: argparse.Namespace) -> pd.DataFrame:
    """Largest difference between the values on the device and those on the CPU, per measure."""
    data, rows = features(a.n, a.d, a.layers), []
    on_device = {name: torch.from_numpy(x).to(a.device) for name, x in data.items()}
    for name in [*a.measures, "r2_ols", "cca"]:
        ours, theirs = (alignment_grid(x, [name]).value for x in (on_device, data))
        rows.append({"measure": name, "difference": float((ours - theirs).abs().max())})
    narrow = {name: x.cpu() for name, x in many_samples(4096, 64, 6, a.device).items()}
    columns = ["value", "chance", "chance_sd"]
    ours, theirs = (
        alignment_grid({name: x.to(device) for name, x in narrow.items()}, NARROW, null="exact")[columns]
        for device in (a.device, "cpu")
    )
    difference = (ours - theirs).abs().max().max()
    return pd.DataFrame([*rows, {"measure": "from covariances", "difference": float(difference)}])


PARTS = {
    "stages": stages,
    "grid": grid,
    "growth": growth,
    "peers": other_packages,
    "differences": differences,
    "large": large,
    "neighbours": neighbours,
    "agreement": agreement,
}


def main() -> None:
    """Time the parts that are asked for and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=["stages", "grid", "growth", "peers", "differences"]
    )
    parser.add_argument("--n", type=int, default=512, help="samples")
    parser.add_argument("--d", type=int, default=768, help="features of a layer")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=6, help="pairs on which functions of one pair are timed")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--large", type=int, default=100_000, help="samples of the parts large and neighbours")
    parser.add_argument("--measures", nargs="+", default=ELEVEN)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--mapped", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.mapped:
        mapped_files(a)
        return
    if a.one:
        one_size(a)
        return
    RESULTS.mkdir(exist_ok=True)
    suffix = "" if a.device == "cpu" else f"_{a.device}"
    alignment_grid({name: x[:64] for name, x in features(64, a.d, 2).items()}, a.measures, device=a.device)
    for part in a.parts:
        table = PARTS[part](a)
        table.to_csv(RESULTS / f"measures_{part}{suffix}.csv", index=False, float_format="%.4g")
        print(f"\n{part}\n{table.to_string(index=False, float_format='{:.4g}'.format)}", flush=True)
    where = {
        "device": platform.machine() if a.device == "cpu" else torch.cuda.get_device_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "setting": f"n={a.n}, d={a.d}, {a.layers} layers, float32",
        "product of two matrices, float32": f"{product_rate(torch.float32, a.device):.0f} GFLOP/s",
        "product of two matrices, float64": f"{product_rate(torch.float64, a.device):.0f} GFLOP/s",
    }
    pd.DataFrame(where.items(), columns=["what", "value"]).to_csv(
        RESULTS / f"measures_machine{suffix}.csv", index=False
    )


if __name__ == "__main__":
    main()
