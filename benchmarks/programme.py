"""The thesis' programme at base size on a GPU: seconds and memory of each part, on made weights and data.

    python benchmarks/programme.py                  # BERT-base and ViT-B/16 at 224 pixels, bf16
    python benchmarks/programme.py --tiny           # the same code on a CPU in a minute

Writes weights of base size as transformers and timm save them (untrained), datasets in their real layouts with a
broken image each, and runs :mod:`studies.thesis` for one architecture. Writes
``benchmarks/results/programme_cuda.csv``.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from studies import rehearsal, thesis
from vilbert_lib import paths, runs
from vilbert_lib.config import PROFILES, with_settings
from vilbert_lib.runs import device_name

RESULTS = Path(__file__).parent / "results"


@contextlib.contextmanager
def timed(rows: list[dict], part: str) -> Iterator[None]:
    """Add the seconds and the peak memory of what is done in here."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    yield
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else float("nan")
    rows.append({"part": part, "seconds": time.perf_counter() - started, "gpu_gib": peak})
    print(rows[-1], flush=True)


def measure(tiny: bool, n_train: int) -> pd.DataFrame:
    """A row a part of the programme."""
    rows: list[dict] = []
    folder = Path(tempfile.mkdtemp())
    root = folder / "datasets"
    with timed(rows, "data and weights written"):
        rehearsal.datasets(root, n_train)
        sizes = {} if tiny else {"width": 768, "heads": 12, "image_size": 224, "patch_size": 16}
        weights = rehearsal.checkpoints(folder / "weights", root, **sizes)
    content = rehearsal.programme(weights)
    if not tiny:
        settings = content["settings"]
        settings["model"] |= {"coattention_width": 768, "coattention_heads": 12, "pooled_width": 768}
        settings["train"] |= {"batch_size": 64, "accumulation": 1, "precision": "bf16", "lr": 3e-5}
        settings["alignment"] |= {"n_samples": 512, "k": 10}
        for own in settings["train"].values():
            if isinstance(own, dict):
                own.pop("batch_size", None), own.pop("accumulation", None)
    content["programme"] |= {"architectures": ["middle_fusion"], "seeds": [0]}
    programme = thesis.Programme(**content["programme"], settings=content["settings"], pages={})
    scale = with_settings(PROFILES["base"], programme.settings)
    before = thesis.pretrainings(scale, root, programme)
    with timed(rows, f"{len(before)} pretrainings"):
        runs.ensure(list(before.values()), root, jobs=1)
    starts = {name: config.id for name, config in before.items()}
    after = thesis.finetunings(scale, root, programme, starts)
    with timed(rows, f"{len(after)} fine-tunings"):
        trained = runs.ensure(after, root, jobs=1)
    run = trained[0]
    with timed(rows, f"alignment of a model, {len(scale.alignment.measures)} measures, all pairs"):
        run.alignment(**vars_of(scale.alignment), data_root=root)
    few = replace(scale.alignment, measures=tuple(m for m in scale.alignment.measures if m != "wasserstein"))
    with timed(rows, "the same without wasserstein, on the validation split"):
        run.alignment(**vars_of(few) | {"split": "val"}, data_root=root)
    config = runs.configure(scale, root, "mm_imdb", "middle_fusion", seed=9, train={"epochs": 6})
    with timed(rows, "a fine-tuning of 6 epochs"):
        runs.ensure([config], root, jobs=1)
    return pd.DataFrame(rows).round(2).assign(samples=n_train, device=device_name())


def vars_of(alignment) -> dict:
    """The settings of an alignment as :meth:`Run.alignment` takes them."""
    return {name: getattr(alignment, name) for name in ("measures", "n_samples", "k", "pooling")}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--samples", type=int, default=1024, help="for training, of each dataset")
    given = parser.parse_args()
    table = measure(given.tiny, 48 if given.tiny else given.samples)
    print(table.to_string(index=False))
    if not given.tiny:
        table.to_csv(RESULTS / "programme_cuda.csv", index=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as store:
        import os

        for name in ("DATA", "RUNS", "ARCHIVE"):
            os.environ[f"VILBERT_{name}"] = str(Path(store) / name.lower())
        assert str(paths.runs()).startswith(store)
        main()
