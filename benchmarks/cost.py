"""What the thesis' full grid costs at base size: arithmetic, nothing is trained.

    python benchmarks/cost.py

The operations of a training step are counted on models without numbers, and multiplied by the samples, epochs
and runs of the grid. Writes ``benchmarks/results/cost_*.csv``, which the book shows.
"""

import heapq
import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vilbert_lib.config import ARCHITECTURES as BLOCKS
from vilbert_lib.config import ModelConfig, profile
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.training import losses

RESULTS = Path(__file__).parent / "results"
THESIS_LOG = Path(__file__).parent.parent / "data" / "thesis_log"
BASE = profile("base")
#: The configurations of the thesis' last list.
ARCHITECTURES = (
    "baseline", "early_fusion", "middle_fusion", "late_fusion", "asymmetric_fusion", "optuna1", "optuna2",
)  # fmt: skip
SEEDS = 3
CAPTIONS = "conceptual_captions"
#: Training, validation and test samples: the published parts; a tenth of the training part is held out for
#: validation where none is published. Of the captions as many as the thesis' long pretraining had.
SAMPLES = {
    "hateful_memes": (8500, 500, 1000),
    "mm_imdb": (15552, 2608, 7799),
    "upmc_food": (61189, 6799, 22716),
    "easy_vqa": (34718, 3857, 9673),
    CAPTIONS: (600_000, 15_840, 0),
}
LABELS = 101  # of the widest head: beside the streams it is nothing
OBJECTIVES = ("mlm", "ap", "mim")
#: Dense bf16 operations a second, by the makers' data sheets.
PEAKS = {"A100": 312e12, "H100": 989e12}
SHARES = (0.2, 0.3, 0.4)  # of the peak
MACHINES = (1, 8, 64)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training: operations, bytes of its weights, and the architecture whose pretraining it starts from."""

    task: str
    architecture: str
    flop: float
    size: int
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
        "label": torch.zeros(size, labels),
    }


@cache
def counted(blocks: int, labels: int = 0) -> tuple[float, float, int]:
    """Operations a sample of a training step and of an evaluation, and the bytes of the weights.

    The streams meet in so many ``blocks``. Multiplications and additions count apart. Without ``labels`` the
    step is one of pretraining.
    """
    ids = tuple(range(blocks))
    config = replace(BASE.model, t_biattention_ids=ids, v_biattention_ids=ids, text_weights="", vision_weights="")
    train = BASE.finetune if labels else BASE.pretrain
    with torch.device("meta"):
        model = Classifier(config, labels) if labels else PretrainingModel(config)
        # The library looks at the numbers of a mask, of which there are none; full texts need no mask.
        model.vilbert.embed_text = lambda ids, _, bert=model.vilbert.bert: (bert.embeddings(ids), None)
        batch = batch_of(config, train.batch_size, labels)
        fitting = losses.classification(train, "multilabel")  # the other kinds have the same models
        objective = fitting if labels else losses.pretraining(OBJECTIVES, train)
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
        blocks = len(BLOCKS[architecture][0])
        for task, parts in SAMPLES.items():
            if task == CAPTIONS:
                flop, size = cost_of(parts, BASE.pretrain.epochs, blocks)
                jobs.append(Job(task=task, architecture=architecture, flop=flop, size=size))
                continue
            flop, size = cost_of(parts, BASE.finetune.epochs, blocks, LABELS)
            for start in (architecture, "") * SEEDS:
                jobs.append(Job(task=task, architecture=architecture, flop=flop, size=size, start=start))
    return jobs


def cost_of(parts: tuple[int, int, int], epochs: int, blocks: int, labels: int = 0) -> tuple[float, int]:
    """Operations of a training, and the bytes of its weights; ``parts`` are training, validation and test samples.

    Before the first epoch and after each, validation and as many training samples are evaluated.
    """
    n_train, n_val, n_test = parts
    step, evaluation, size = counted(blocks, labels)
    return epochs * n_train * step + ((epochs + 1) * 2 * n_val + n_test) * evaluation, size


def wall(jobs: list[Job], machines: int, rate: float) -> float:
    """Seconds until all ``jobs`` are done on ``machines`` that each do ``rate`` operations a second.

    Whenever one is free it takes the longest job that can begin: one that starts from a pretraining
    waits for its end.
    """
    free, ended = [0.0] * machines, {"": 0.0}
    waiting = sorted(jobs, key=lambda job: -job.flop)
    while waiting:
        now = heapq.heappop(free)
        ready = [job for job in waiting if ended.get(job.start, math.inf) <= now]
        if not ready:  # until the next pretraining ends
            heapq.heappush(free, min(end for end in ended.values() if end > now))
            continue
        job = ready[0]
        waiting.remove(job)
        end = now + job.flop / rate
        if job.task == CAPTIONS:
            ended[job.architecture] = end
        heapq.heappush(free, end)
    return max(free)


def work(jobs: list[Job]) -> pd.DataFrame:
    """One row a task, and one for all: trainings, operations of all and of the longest (1e18), weights (GB)."""
    rows = []
    for task in [*SAMPLES, "all"]:
        chosen = [job for job in jobs if task in (job.task, "all")]
        row = {"task": task, "trainings": len(chosen), "eflop": sum(job.flop for job in chosen) / 1e18}
        row |= {"eflop_longest": max(job.flop for job in chosen) / 1e18}
        rows.append(row | {"weights_gb": sum(job.size for job in chosen) / 1e9})
    return pd.DataFrame(rows).round(3)


def rates() -> dict[str, float]:
    """Operations a second: measured ones, and shares of what GPUs could do at most."""
    measured = pd.read_csv(RESULTS / "training.csv").query("size == 'base' and way == 'ours'").iloc[0]
    found = {f"{measured.device}, measured": measured.samples_s * measured.gflop_sample * 1e9}
    # 850 steps of 8 samples, by a model of the earlier design; the log does not name the GPU.
    epochs = pd.read_csv(THESIS_LOG / "training_times.csv").query("note == '850 steps'").seconds
    found["a GPU of the thesis, from its log"] = 850 * 8 / epochs.median() * counted(3, LABELS)[0]
    for gpu, peak in PEAKS.items():
        found |= {f"{gpu} at {share:.0%} of its peak": share * peak for share in SHARES}
    return found


def hours(jobs: list[Job]) -> pd.DataFrame:
    """One row a machine: its rate, and the hours until all is done by so many of it."""
    rows = []
    for machine, rate in rates().items():
        row = {"machine": machine, "tflop_s": round(rate / 1e12, 1)}
        rows.append(row | {f"hours_on_{n}": wall(jobs, n, rate) / 3600 for n in MACHINES})
    return pd.DataFrame(rows).round(1)


def main() -> None:
    """Write both tables."""
    jobs = grid()
    for name, table in {"work": work(jobs), "hours": hours(jobs)}.items():
        print(table.to_string(index=False))
        table.to_csv(RESULTS / f"cost_{name}.csv", index=False)


if __name__ == "__main__":
    main()
