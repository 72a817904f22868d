"""How fast a training step is, beside the loop that people write and beside the bare streams.

    python benchmarks/training.py                   # the quick profile's size, and base size in small batches
    python benchmarks/training.py --device cuda     # base size: bf16, compiled, a large batch

Pretraining with masked words and alignment prediction, on made inputs whose lengths are those of
captions. Every way takes the same samples in one run, in turns, and the shortest of some rounds
counts. Writes ``benchmarks/results/training.csv``, which the book shows, or ``training_cuda.csv``.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from measures import peak_gib
from plain import PlainModel, plain_step
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vilbert_lib.config import ModelConfig, TrainConfig, arrange, profile
from vilbert_lib.data.masking import IGNORED
from vilbert_lib.model.heads import PretrainingModel
from vilbert_lib.runs import device_name
from vilbert_lib.training import losses
from vilbert_lib.training.loop import optimizer_of
from vilbert_lib.training.products import fast_products

RESULTS = Path(__file__).parent / "results"
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16, by the name of the device
BATCHES = 8  # a round


def batches(config: ModelConfig, size: int, device: str, longest: int) -> list[dict[str, Tensor]]:
    """Batches as the dataset gives them, padded to ``longest`` in each, with 15 % of the words masked."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(BATCHES):
        lengths = torch.randint(longest // 2, longest + 1, (size,), generator=generator)
        lengths[0] = longest
        mask = torch.arange(longest) < lengths[:, None]
        ids = torch.randint(5, config.vocab_size, (size, longest), generator=generator).masked_fill(~mask, 0)
        asked = mask & (torch.rand(size, longest, generator=generator) < 0.15)
        batch = {
            "input_ids": ids,
            "attention_mask": mask,
            "pixel_values": torch.randn(size, 3, config.image_size, config.image_size, generator=generator),
            "mlm_targets": ids.masked_fill(~asked, IGNORED),
            "mlm_index": torch.nonzero(asked),
            "aligned": torch.randint(0, 2, (size,), generator=generator),
            "label": torch.zeros(size, dtype=torch.long),
        }
        made.append({name: tensor.to(device) for name, tensor in batch.items()})
    return made


def padded(batch: dict[str, Tensor], length: int) -> dict[str, Tensor]:
    """The same batch with every text padded to ``length``."""
    more = length - batch["input_ids"].shape[1]
    fill = {"input_ids": 0, "attention_mask": False, "mlm_targets": IGNORED}
    return batch | {name: nn.functional.pad(batch[name], (0, more), value=value) for name, value in fill.items()}


def our_step(config: ModelConfig, train: TrainConfig, device: str, compiled: bool) -> Callable:
    model = PretrainingModel(config).to(device).train()
    objective, optimizer = losses.pretraining(("mlm", "ap"), train), optimizer_of(model, train)
    if compiled:
        model.vilbert.compile(dynamic=False)

    def step(batch: dict[str, Tensor]) -> None:
        with fast_products(config.width):
            with torch.autocast(device, torch.bfloat16, enabled=train.precision == "bf16"):
                loss, _ = objective(model, batch)
            _finish(loss, model, optimizer, train)

    return step


def bare_streams(config: ModelConfig, train: TrainConfig, device: str) -> tuple[Callable, Callable]:
    """A step of the two libraries' models without anything between, and one of the blocks alone."""
    model = PretrainingModel(config).to(device).train()
    bert, vit, blocks = model.vilbert.bert, model.vilbert.vit, model.vilbert.coattention
    streams = nn.ModuleList([bert, vit])
    optimizers = [optimizer_of(part, train) for part in (streams, blocks)]

    def of_streams(batch: dict[str, Tensor]) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=train.precision == "bf16"):
            text = bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            vision = vit.forward_features(batch["pixel_values"])
            loss = text.float().square().mean() + vision.float().square().mean()
        _finish(loss, streams, optimizers[0], train)

    def of_blocks(batch: dict[str, Tensor]) -> None:
        size, length = batch["input_ids"].shape
        text = torch.ones(size, length, config.width, device=device, requires_grad=True)
        vision = torch.ones(size, 1 + config.num_patches, config.width, device=device, requires_grad=True)
        with torch.autocast(device, torch.bfloat16, enabled=train.precision == "bf16"):
            for block in blocks:
                text, vision = block(text, vision, batch["attention_mask"])
            loss = text.float().square().mean() + vision.float().square().mean()
        _finish(loss, blocks, optimizers[1], train)

    return of_streams, of_blocks


def _finish(loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer, train: TrainConfig) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), train.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def in_turns(ways: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    """Seconds of the shortest round of each way; the ways take turns, so that all see the same machine."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):  # the first warms up
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def flops_of(step: Callable, batch: dict[str, Tensor]) -> float:
    """Floating-point operations of one step, multiplications and additions counted apart."""
    with FlopCounterMode(display=False) as counter:
        step(batch)
    return float(counter.get_total_flops())


def peak(device: str) -> float | None:
    """Operations a second that the device could do: stated for known GPUs, measured by a product on a CPU."""
    if device == "cpu":
        x = torch.randn(2048, 2048)
        seconds = in_turns({"product": lambda: x @ x}, 5, device)["product"]
        return 2 * 2048**3 / seconds
    return next((value for name, value in PEAKS.items() if name in torch.cuda.get_device_name()), None)


def in_bfloat16(model: PlainModel, optimizer: torch.optim.Optimizer, data: list[dict], device: str) -> None:
    """A round of the plain loop under autocast."""
    with torch.autocast(device, torch.bfloat16):
        for batch in data:
            plain_step(model, optimizer, batch)


def measure(name: str, config: ModelConfig, train: TrainConfig, size: int, a: argparse.Namespace) -> pd.DataFrame:
    """One row a way of training at one size."""
    longest = max(config.max_tokens // 2, 4)  # captions fill about half of the length that is allowed
    data = batches(config, size, a.device, longest)
    dense = [padded(batch, config.max_tokens) for batch in data]
    torch.manual_seed(0)
    ours = our_step(config, train, a.device, compiled=a.device != "cpu")
    plain = PlainModel(config).to(a.device).train()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=train.lr)
    streams, blocks = bare_streams(config, train, a.device)
    ways = {
        "ours": lambda: [ours(batch) for batch in data],
        "plain loop": lambda: [plain_step(plain, optimizer, batch) for batch in dense],
        "bare streams": lambda: [streams(batch) for batch in data],
        "blocks alone": lambda: [blocks(batch) for batch in data],
    }
    if a.device != "cpu":
        eager = our_step(config, train, a.device, compiled=False)
        ways["ours, not compiled"] = lambda: [eager(batch) for batch in data]
        ways["plain loop, bfloat16"] = lambda: in_bfloat16(plain, optimizer, dense, a.device)
    seconds = in_turns(ways, a.rounds, a.device)
    work = flops_of(our_step(config, train, a.device, compiled=False), data[0])
    limit = peak(a.device)
    rows = []
    for way, taken in seconds.items():
        rows.append({"size": name, "batch": size, "way": way, "samples_s": BATCHES * size / taken})
        rows[-1]["ratio_to_ours"] = taken / seconds["ours"]
    rows[0]["gflop_sample"] = work / size / 1e9
    rows[0]["share_of_peak"] = work * BATCHES / seconds["ours"] / limit if limit else float("nan")
    rows[0]["to_streams_and_blocks"] = seconds["ours"] / (seconds["bare streams"] + seconds["blocks alone"])
    rows[0]["memory_gib"] = peak_gib() if a.device == "cpu" else torch.cuda.max_memory_allocated() / 2**30
    return pd.DataFrame(rows)


def main() -> None:
    """Measure the sizes that suit the device and write their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, help="of the base size")
    parser.add_argument("--sizes", nargs="+", choices=("quick", "base"), default=["quick", "base"])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the base size on a CPU")
    a = parser.parse_args()
    tables = []
    for name in a.sizes:
        scale = profile(name)
        config = arrange(scale.model, "middle_fusion")
        config = replace(config, text_weights="", vision_weights="")
        if name == "quick":
            config = replace(config, vocab_size=2000)
        train = scale.pretrain if a.device != "cpu" else replace(scale.pretrain, precision="fp32")
        size = train.batch_size if name == "quick" else a.batch or (4 if a.device == "cpu" else 256)
        torch.set_num_threads(train.threads if name == "quick" else a.threads)
        tables.append(measure(name, config, train, size, a))
        print(tables[-1].round(3).to_string(index=False), flush=True)
    suffix = "" if a.device == "cpu" else f"_{a.device}"
    RESULTS.mkdir(exist_ok=True)
    pd.concat(tables).assign(device=device_name()).round(4).to_csv(RESULTS / f"training{suffix}.csv", index=False)


if __name__ == "__main__":
    main()
