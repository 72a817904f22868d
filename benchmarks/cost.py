"""What the thesis' full grid costs at base size: arithmetic, nothing is trained.

    python benchmarks/cost.py

The operations of a training step are counted on models without numbers, and multiplied by the samples, epochs
and runs of the grid. Writes ``benchmarks/results/cost_*.csv``, which the book shows.
"""

import heapq
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vilbert_lib.config import ModelConfig, arrange, profile
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.training import losses

RESULTS = Path(__file__).parent / "results"
BASE = profile("base")
#: The configurations of the thesis' last list.
ARCHITECTURES = (
    "baseline", "early_fusion", "middle_fusion", "late_fusion", "asymmetric_fusion", "optuna1", "optuna2",
)  # fmt: skip
SEEDS = 3
#: Training, validation and test samples: the published parts; a tenth of the training part is held out for
#: validation where none is published. Of the captions as many as the thesis' long pretraining had.
SAMPLES = {
    "hateful_memes": (8500, 500, 1000),
    "mm_imdb": (15552, 2608, 7799),
    "upmc_food": (61189, 6799, 22716),
    "easy_vqa": (34718, 3857, 9673),
    "conceptual_captions": (600_000, 15_840, 0),
}
LABELS = {"hateful_memes": 1, "mm_imdb": 23, "upmc_food": 101, "easy_vqa": 13}
OBJECTIVES = ("mlm", "ap", "mim")
#: Dense bf16 operations a second, by the makers' data sheets.
PEAKS = {"A100": 312e12, "H100": 989e12}
SHARES = (0.2, 0.3, 0.4)  # of the peak
GPUS = (1, 8, 64)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training: what it computes, what it leaves, and the name of the one that it starts from."""

    name: str
    flop: float
    size: int  # bytes of its weights
    start: str = ""


def batch_of(config: ModelConfig, size: int, labels: int) -> dict[str, Tensor]:
    """Samples that fill the whole length, 15 % of their words and patches masked: shapes without numbers."""
    length, patches = config.max_tokens, config.num_patches
    pixels = torch.empty(size, 3, config.image_size, config.image_size)
    return {
        "input_ids": torch.zeros(size, length, dtype=torch.long),
        "attention_mask": torch.ones(size, length, dtype=torch.bool),
        "pixel_values": pixels,
        "whole_pixel_values": pixels,
        "mlm_targets": torch.full((size, length), IGNORED),
        "mlm_index": torch.zeros(size * round(0.15 * length), 2, dtype=torch.long),
        "mim_index": torch.zeros(size * round(0.15 * patches) // 2, 2, dtype=torch.long),  # of aligned pairs
        "aligned": torch.zeros(size, dtype=torch.long),
        "label": torch.zeros(size, labels) if labels > 1 else torch.zeros(size, dtype=torch.long),
    }


def counted(architecture: str, labels: int) -> tuple[float, float, int]:
    """Operations a sample of a training step and of an evaluation, and the bytes of the weights.

    Multiplications and additions count apart. Without ``labels`` the step is one of pretraining.
    """
    config = replace(arrange(BASE.model, architecture), text_weights="", vision_weights="")
    train = BASE.finetune if labels else BASE.pretrain
    with torch.device("meta"):
        model = Classifier(config, labels) if labels else PretrainingModel(config)
        model.vilbert.bert.config._attn_implementation = "eager"  # the other one looks at numbers of the mask
        batch = batch_of(config, train.batch_size, labels)
        if labels:
            objective = losses.classification(train, "multilabel")  # of all kinds the same models and sizes
        else:
            objective = losses.pretraining(OBJECTIVES, train)
        with FlopCounterMode(display=False) as evaluated, torch.no_grad():
            objective(model, batch)
        with FlopCounterMode(display=False) as trained:
            objective(model, batch)[0].backward()
    flops = (counter.get_total_flops() / train.batch_size for counter in (trained, evaluated))
    return *flops, sum(parameter.numel() * 4 for parameter in model.parameters())


def grid() -> list[Job]:
    """All trainings: each architecture pretrained once, each fine-tuned after that and without, on every task."""
    jobs = []
    for architecture in ARCHITECTURES:
        for task, (n_train, n_val, n_test) in SAMPLES.items():
            labels = LABELS.get(task, 0)
            epochs = (BASE.finetune if labels else BASE.pretrain).epochs
            step, evaluation, size = counted(architecture, labels)
            # After every epoch, and before the first, validation and as many training samples.
            flop = epochs * n_train * step + ((epochs + 1) * 2 * n_val + n_test) * evaluation
            if not labels:
                jobs.append(Job(name=architecture, flop=flop, size=size))
                continue
            for start in (architecture, ""):
                jobs += [Job(name=f"{task} {architecture} {s}", flop=flop, size=size, start=start) for s in range(SEEDS)]
    return jobs


def wall(jobs: list[Job], gpus: int, rate: float) -> float:
    """Seconds until all ``jobs`` are done on ``gpus`` that each do ``rate`` operations a second.

    Whenever a GPU is free it takes the longest job that can begin: one that starts from a pretraining
    waits for its end.
    """
    free, ended = [0.0] * gpus, {"": 0.0}
    waiting = sorted(jobs, key=lambda job: -job.flop)
    while waiting:
        now = heapq.heappop(free)
        ready = [job for job in waiting if ended.get(job.start, float("inf")) <= now]
        if not ready:  # until the next pretraining ends
            heapq.heappush(free, min(end for end in ended.values() if end > now))
            continue
        job = ready[0]
        waiting.remove(job)
        end = now + job.flop / rate
        if not job.start and job.name in ARCHITECTURES:
            ended[job.name] = end
        heapq.heappush(free, end)
    return max(free)


def work(jobs: list[Job]) -> pd.DataFrame:
    """One row a kind of training: how many, operations, weights."""
    names = {architecture: "conceptual_captions" for architecture in ARCHITECTURES}
    table = pd.DataFrame({"task": [names.get(j.name, j.name.split()[0]) for j in jobs], "flop": [j.flop for j in jobs]})
    table["weights_gb"] = [job.size / 1e9 for job in jobs]
    rows = table.groupby("task", sort=False).agg(
        runs=("flop", "size"), eflop=("flop", "sum"), longest=("flop", "max"), weights_gb=("weights_gb", "sum")
    )
    rows.loc["all"] = [len(jobs), table.flop.sum(), table.flop.max(), table.weights_gb.sum()]
    rows = rows.assign(eflop=rows.eflop / 1e18, longest_run_eflop=rows.longest / 1e18).drop(columns="longest")
    return rows.astype({"runs": int}).round(3).reset_index()


def hours(jobs: list[Job]) -> pd.DataFrame:
    """One row a GPU and share of its peak: GPU hours, and hours until all is done on so many GPUs."""
    rows = []
    for gpu, peak in PEAKS.items():
        for share in SHARES:
            row = {"gpu": gpu, "share_of_peak": share, "gpu_hours": sum(j.flop for j in jobs) / (peak * share) / 3600}
            row |= {f"hours_on_{n}": wall(jobs, n, peak * share) / 3600 for n in GPUS}
            rows.append(row)
    return pd.DataFrame(rows).round(1)


def main() -> None:
    """Write both tables."""
    jobs = grid()
    for name, table in {"work": work(jobs), "hours": hours(jobs)}.items():
        print(table.to_string(index=False))
        table.to_csv(RESULTS / f"cost_{name}.csv", index=False)


if __name__ == "__main__":
    main()
