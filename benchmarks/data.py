"""How fast images come: from files, from an arrow table, from the cache, and beside a training step.

    python benchmarks/data.py                       # everything, a few minutes on 2 cores
    python benchmarks/data.py --images 200 --repeats 1   # a first look

Makes its own JPEG files of 500 by 375 pixels, about as large as photographs of that size, in a
temporary folder, and reads all of them in each of the ways in one run: the operating system holds
the files in memory in every case. Writes ``benchmarks/results/data_*.csv``, which the book shows. The
arrow table is that of the package ``datasets`` (``benchmarks/requirements.txt``), left out where it
is not installed.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets as folders
from torchvision import transforms
from torchvision.transforms.v2 import functional

from vilbert_lib import config, runs, synthetic
from vilbert_lib.data.augmentation import DRAWS, GREY, POLICIES, Policy, augment
from vilbert_lib.data.cache import decoded_images
from vilbert_lib.data.datasets import PairDataset, batches, epoch_order
from vilbert_lib.data.formats import Record
from vilbert_lib.data.masking import Purpose, draws
from vilbert_lib.data.tokenizer import Tokenizer, train_wordpieces
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.training import losses
from vilbert_lib.training.loop import optimizer_of

RESULTS = Path(__file__).parent / "results"


def photographs(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """JPEG files of gradients, smooth patches and grain, 500 by 375 pixels, some 50 kB each."""
    folder.mkdir(parents=True)
    rng, files = np.random.default_rng(seed), []
    down, right = np.mgrid[:375, :500, :1][:2] / 500
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, size=(6, 8, 3), dtype=np.uint8))
        patches = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float64)
        slope = 120 * (right * rng.uniform(-1, 1, 3) + down * rng.uniform(-1, 1, 3))
        pixels = 0.6 * patches + slope + 50 + rng.normal(0, 10, (375, 500, 1))
        files.append(folder / f"{i:05d}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files[-1], quality=85)
    return files


def usual_transform(size: int) -> Callable:
    """What a file goes through on its way into a model."""
    return transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )


def arrow_table(files: list[Path], folder: Path, size: int):
    """The files' bytes as an arrow table on disk, decoded by the package ``datasets``; None without it."""
    try:
        import datasets
    except ImportError:
        return None
    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Image()})
    rows = [{"bytes": path.read_bytes(), "path": None} for path in files]
    datasets.Dataset.from_dict({"image": rows}, features=features).save_to_disk(folder)
    transform = usual_transform(size)
    return datasets.load_from_disk(folder).with_transform(
        lambda rows: {"pixel_values": [transform(image.convert("RGB")) for image in rows["image"]]}
    )


def cached(files: list[Path], size: int) -> PairDataset:
    """The files in the cache, each with a caption of its own."""
    captions = [f"photograph number {i}" for i in range(len(files))]
    words = Tokenizer(train_wordpieces(captions, 200), "benchmark")
    records = [Record(path.stem, path, text, 0) for path, text in zip(files, captions, strict=True)]
    return PairDataset(records, words, size, 16)


def epochs(data, count: int, a: argparse.Namespace, workers: int) -> Iterator[torch.Tensor]:
    """The images of ``count`` shuffled epochs, batch by batch, as a model takes them."""
    orders = np.concatenate([epoch_order(len(data), 0, epoch) for epoch in range(count)])
    if isinstance(data, PairDataset):
        return (batch["pixel_values"] for batch in batches(data, orders, a.batch, workers))
    loader = DataLoader(data, a.batch, sampler=orders.tolist(), num_workers=workers)
    return (batch["pixel_values"] if isinstance(batch, dict) else batch[0] for batch in loader)


def loading(a: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """Images a second from the first batch to the last: the fastest of some passes, each way in turn.

    The start of the workers is left out: it weighs on a thousand images, and not on a million.
    """
    files, rows = photographs(folder / "files" / "class", a.images), []
    ways = {
        "files: torchvision ImageFolder": (folders.ImageFolder(folder / "files", usual_transform(a.size)), 1),
        "arrow table: datasets": (arrow_table(files, folder / "arrow", a.size), 1),
        "cache: PairDataset": (cached(files, a.size), 10),  # an epoch alone would be over too soon to be timed
    }
    ways = {way: data for way, data in ways.items() if data[0] is not None}
    for workers in a.workers:
        rates = dict.fromkeys(ways, 0.0)
        for _ in range(a.repeats):
            for way, (data, count) in ways.items():
                stream, seen = epochs(data, count, a, workers), 0
                first = len(next(stream))
                start = time.perf_counter()
                for images in stream:
                    assert images.shape[1:] == (3, a.size, a.size) and images.dtype == torch.float32
                    seen += len(images)
                assert first + seen == count * a.images
                rates[way] = max(rates[way], seen / (time.perf_counter() - start))
        base = rates["files: torchvision ImageFolder"]
        rows += [
            {"workers": workers, "way": way, "images_per_s": rate, "ratio_to_files": rate / base}
            for way, rate in rates.items()
        ]
        print(pd.DataFrame(rows[-len(rates) :]).round(2).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def building(a: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """The first build of the cache on all cores, and what it takes to find it again."""
    files = photographs(folder / "build", a.images, seed=1)  # pictures that the cache does not know

    def find() -> None:
        decoded_images(files, a.size)

    taken = {"first build": timed(find), "found again": timed(find)}
    for path in files:
        os.utime(path)
    taken["found again, every file touched"] = timed(find)
    return pd.DataFrame(
        [{"what": what, "images_per_s": a.images / seconds, "seconds": seconds} for what, seconds in taken.items()]
    )


def augmenting(a: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """A batch of images augmented, draws included, and the same changes by torchvision's functions."""
    rows, policy, rng = [], POLICIES["captions"], np.random.default_rng(0)
    for size in (64, a.size):
        pictures = torch.from_numpy(rng.integers(0, 256, (a.batch, 3, size, size), dtype=np.uint8))

        def ours(pictures=pictures) -> torch.Tensor:
            numbers = draws(0, 0, np.arange(a.batch), DRAWS, Purpose.AUGMENTATION)
            return augment(pictures, policy, numbers)

        def torchvisions(pictures=pictures) -> torch.Tensor:
            numbers = draws(0, 0, np.arange(a.batch), DRAWS, Purpose.AUGMENTATION)
            return torch.stack([one_by_one(*pair, policy) for pair in zip(pictures, numbers, strict=True)])

        for function in (ours, torchvisions):
            assert function().shape == pictures.shape
        own, theirs = (1000 * min(timed(f) for _ in range(10 * a.repeats)) for f in (ours, torchvisions))
        rows.append(
            {"pixels": size, "images": a.batch, "ours_ms": own, "torchvision_ms": theirs, "ratio": theirs / own}
        )
    return pd.DataFrame(rows)


def one_by_one(image: torch.Tensor, numbers: np.ndarray, policy: Policy) -> torch.Tensor:
    """One image (3, H, W) uint8 made smaller, moved, and changed in brightness and contrast."""
    scale = 1 - policy.shrink * numbers[0]
    room = (1 - scale) * image.shape[-1] / 2
    image = functional.affine(
        image,
        angle=0.0,
        translate=[room * (2 * numbers[1] - 1), room * (2 * numbers[2] - 1)],
        scale=scale,
        shear=[0.0, 0.0],
        interpolation=transforms.InterpolationMode.BILINEAR,
        fill=[GREY] * 3,
    )
    image = functional.adjust_brightness(image, 1 + policy.brightness * (2 * numbers[3] - 1))
    return functional.adjust_contrast(image, 1 + policy.contrast * (2 * numbers[4] - 1))


def timed(function: Callable) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def steps(a: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """The share of a training step that its data take, model and batches of the profile ``quick``."""
    quick, root, rows = config.profile("quick"), synthetic.make_root(folder / "root", n_train=256), []
    for what, task, objectives, augmented in (
        ("fine-tuning", "hateful_memes", (), False),
        ("pretraining", "conceptual_captions", ("mlm", "ap"), False),
        ("pretraining, augmented", "conceptual_captions", ("mlm", "ap"), True),
    ):
        settings = runs.configure(
            quick, root, task, "middle_fusion", objectives=objectives, train={"augment": augmented}
        )
        data = runs.dataset(settings, root, "train")
        model = PretrainingModel(settings.model) if objectives else Classifier(settings.model, 2)
        if objectives:
            objective = losses.pretraining(objectives, settings.train)
        else:
            objective = losses.classification(settings.train, "binary")
        optimizer, waiting, working = optimizer_of(model, settings.train), [], []
        for epoch in range(a.repeats + 1):
            data.epoch = epoch
            stream = batches(data, epoch_order(len(data), 0, epoch), settings.train.batch_size)
            start = time.perf_counter()
            for batch in stream:
                ready = time.perf_counter()
                objective(model, batch)[0].backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                done = time.perf_counter()
                waiting.append(ready - start)
                working.append(done - ready)
                start = done
        data_ms, step_ms = 1000 * np.median(waiting), 1000 * np.median(working)
        rows.append(
            {
                "training": what,
                "batch": settings.train.batch_size,
                "data_ms": data_ms,
                "step_ms": step_ms,
                "share_of_data": data_ms / (data_ms + step_ms),
            }
        )
    return pd.DataFrame(rows)


PARTS = {"loading": loading, "building": building, "augmenting": augmenting, "steps": steps}


def installed(package: str) -> str:
    """The version of ``package``; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def main() -> None:
    """Time the parts that are asked for and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224, help="pixels a side of what the model is given")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--repeats", type=int, default=3, help="how often each is timed")
    a = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VILBERT_DATA"] = folder
        for part in a.parts:
            table = PARTS[part](a, Path(folder))
            table.round(4).to_csv(RESULTS / f"data_{part}.csv", index=False)
            print(f"\n{part}\n{table.round(3).to_string(index=False)}", flush=True)
    where = {
        "device": runs.device_name(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": installed("torchvision"),
        "datasets": installed("datasets") or "not installed",
        "pillow": PIL.__version__,
        "setting": f"{a.images} JPEG files of 500 by 375 px to {a.size} px, batches of {a.batch}, one thread",
    }
    pd.DataFrame(where.items(), columns=["what", "value"]).to_csv(RESULTS / "data_machine.csv", index=False)


if __name__ == "__main__":
    main()
