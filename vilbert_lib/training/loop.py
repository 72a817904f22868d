"""One loop for every training: precision, accumulation, schedule, checkpoint, resume."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vilbert_lib.config import TrainConfig
from vilbert_lib.data.datasets import Batch, PairDataset, batches, epoch_order
from vilbert_lib.training import checkpoint, processes
from vilbert_lib.training.losses import Sums, means
from vilbert_lib.training.samples import to_device, training_samples

BYTES_A_SECOND = 2e8  # of a checkpoint

#: Called with the share of an epoch that was done since the last call, and the loss.
Report = Callable[[float, float], None]


@dataclass
class Position:
    """How far a run is; with the weights, the optimizer and the random state, all of it."""

    epoch: int = 0  # whole epochs done
    batch: int = 0  # batches done of the next one
    step: int = 0  # optimizer steps done
    sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way
    best_epoch: int = -1
    best_value: float = -math.inf


class Loop:
    """Trains ``model`` on ``data`` and keeps, in ``folder``, all that is needed to go on.

    ``objective(model, batch, group)`` returns the part of ``batch`` in the mean loss over ``group``, the batches
    of one optimizer step, and sums. ``evaluate`` is called after every epoch, and before the first, and returns a
    dict of metrics and a tidy frame of alignments. The epoch in which the metric ``select`` is largest is the best
    (``-name``: smallest), never one in which it is NaN. With ``shares`` (samples trained on,) an epoch
    draws as many samples with these probabilities, with replacement. With ``workers`` batches are made in so many
    processes; they are the same ones.

    Of several processes (see :mod:`vilbert_lib.training.processes`) each trains on its part of every batch;
    the first evaluates and writes.

    A checkpoint is written at the end of an epoch, and every ``checkpoint_seconds`` within one. Where writing
    takes seconds, as of models of a gigabyte, epochs that are shorter than ten times that, and than
    ``checkpoint_seconds``, are passed over.
    """

    def __init__(
        self,
        model: nn.Module,
        data: PairDataset,
        objective: Callable[[nn.Module, Batch, list[Batch]], tuple[Tensor, Sums]],
        evaluate: Callable[[int], tuple[dict[str, float], pd.DataFrame]],
        config: TrainConfig,
        *,
        seed: int,
        select: str,
        folder: Path,
        device: torch.device,
        report: Report = lambda share, loss: None,
        shares: np.ndarray | None = None,
        checkpoint_seconds: float = 300.0,
        workers: int = 0,
    ):
        self.model, self.data, self.objective, self.evaluate = model, data, objective, evaluate
        self.config, self.seed, self.select, self.folder = config, seed, select, Path(folder)
        self.device, self.report, self.checkpoint_seconds = device, report, checkpoint_seconds
        self.shares, self.workers = shares, workers
        model.vilbert.gradient_checkpointing = config.gradient_checkpointing
        self.optimizer = optimizer_of(model, config)
        self.position = Position()
        # Weights and two moments of each, to disk and through a hash: until one was written, this is assumed.
        size = sum(3 * p.numel() * p.element_size() for p in model.parameters())
        self.saved, self.saving_took = time.monotonic(), size / BYTES_A_SECOND
        self.best_weights: dict[str, Tensor] | None = None  # those that are not written yet
        self.samples = training_samples(len(data), config.n_train, seed)
        self.batches_per_epoch = math.ceil(len(self.samples) / config.batch_size)
        processes.part(self.samples, config.batch_size)  # an error, if it is one, before anything is trained
        self.total_steps = config.epochs * math.ceil(self.batches_per_epoch / config.accumulation)

    def run(self) -> Position:
        """Train what is missing; afterwards the model holds the weights of its best epoch."""
        self.digests: dict[str, str] = {}  # of what was recorded, and of the best epoch's weights
        self._restore()
        if self.position.epoch == 0 and self.position.batch == 0:
            self._record(0, {})
            self.digests |= self._recorded()
        while self.position.epoch < self.config.epochs:
            self._train_epoch()
            self._end_epoch()
        if self.position.best_epoch < 0:
            raise FloatingPointError(
                f"{self.folder}: {self.select.removeprefix('-')}, which selects the best epoch, is NaN or infinite"
                f" after each of {self.config.epochs} epochs; lower lr, or choose another train.select"
            )
        self._verify_recorded()
        self._write_best()
        processes.wait()  # nobody reads the weights before the first has written them
        best = self._weights(self.position.best_epoch)
        # A process that ended between naming the weights and writing the summary left them here.
        best = best if best.is_file() else self.folder / "model.safetensors"
        checkpoint.verify(best, processes.shared(self.digests.get("best")))
        checkpoint.read_weights(best, self.model)
        processes.wait()  # nobody moves the file before all have read it
        return self.position

    def _train_epoch(self) -> None:
        self.model.train()
        position, size = self.position, self.config.batch_size
        self.data.epoch = position.epoch
        order = processes.part(self._order(position.epoch)[position.batch * size :], size)
        stream = batches(self.data, order, size // processes.count(), self.workers)
        known = position.sums if processes.is_first() else {}  # those of all, held by one
        sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in known.items()}
        sums = to_device(sums, self.device)
        while group := list(islice(stream, self.config.accumulation)):
            self._step(group, sums)
            position.batch += len(group)
            position.step += 1
            done = float(sums["loss"] / sums["n"]) if position.step % 10 == 0 else math.nan
            self.report(len(group) / self.batches_per_epoch, done)
            if position.batch < self.batches_per_epoch and self._is_due():
                position.sums = _added(sums)
                self._save()
        position.sums = _added(sums)

    def _order(self, epoch: int) -> np.ndarray:
        """The samples of an epoch in the order in which they are trained on."""
        n = len(self.samples)
        if self.shares is None:
            return self.samples[epoch_order(n, self.seed, epoch)]
        return self.samples[np.random.default_rng([self.seed, epoch]).choice(n, n, p=self.shares)]

    def _is_due(self) -> bool:
        """Whether to write a checkpoint: of several processes the first's clock decides, at every tenth step."""
        if processes.count() > 1 and self.checkpoint_seconds and self.position.step % 10:
            return False
        return processes.shared(time.monotonic() - self.saved > self.checkpoint_seconds)

    def _is_due_at_the_end_of_an_epoch(self) -> bool:
        passed, rare = time.monotonic() - self.saved, min(self.checkpoint_seconds, 10 * self.saving_took)
        return processes.shared(self.saving_took < 1 or passed > rare)

    def _step(self, group: list[Batch], sums: Sums) -> None:
        """One optimizer step on the mean loss over all batches of ``group``."""
        rate = learning_rate(self.position.step, self.total_steps, self.config)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        for batch in group:
            batch = to_device(batch, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                loss, batch_sums = self.objective(self.model, batch, group)
            loss.backward()
            for name, value in batch_sums.items():
                sums[name] = sums.get(name, 0) + value.to(torch.float64)
        processes.add_gradients(self.model.parameters())
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _end_epoch(self) -> None:
        position = self.position
        train = means({name: torch.tensor(value) for name, value in position.sums.items()}, "train")
        if not math.isfinite(train["train_loss"]):
            raise FloatingPointError(
                f"{self.folder}: the loss of epoch {position.epoch + 1} is {train['train_loss']}; lower lr"
            )
        self._verify_recorded()
        position.epoch, position.batch, position.sums = position.epoch + 1, 0, {}
        figures = self._record(position.epoch, train)
        sign = -1 if self.select.startswith("-") else 1
        value = sign * figures[self.select.removeprefix("-")]
        if value > position.best_value:
            position.best_epoch, position.best_value = position.epoch, value
            if processes.is_first():
                weights = self.model.state_dict().items()
                self.best_weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights}
        self.digests |= self._recorded()
        if self._is_due_at_the_end_of_an_epoch():
            self._save()

    def _record(self, epoch: int, train: dict[str, float]) -> dict[str, float]:
        """Evaluate and write the epoch's figures; what a lost attempt wrote of it is replaced."""
        if not processes.is_first():
            return processes.shared(None)
        self.model.eval()
        figures, alignment = self.evaluate(epoch)
        checkpoint.record_metrics(self.folder, epoch, {**train, **figures})
        checkpoint.record_alignment(self.folder, epoch, alignment)
        return processes.shared(figures)

    def _recorded(self) -> dict[str, str]:
        """Digests of what is recorded of the epochs so far, in the process that records it."""
        if not processes.is_first():
            return {}
        return checkpoint.digests_before(self.folder, self.position.epoch + 1)

    def _verify_recorded(self) -> None:
        """Raise ValueError where what is recorded of the epochs so far is not what this run wrote."""
        for name, digest in self._recorded().items():
            if self.digests.get(name) != digest:
                raise checkpoint.damaged(self.folder / name, "its content is not what the run recorded")

    def _write_best(self) -> None:
        """Write the weights of the best epoch if they are not written yet."""
        if self.best_weights is not None:
            path = self._weights(self.position.best_epoch)
            checkpoint.write_weights(path, self.model, self.best_weights)
            self.digests["best"] = checkpoint.digest(path)
            self.best_weights = None

    def _weights(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.safetensors"

    def _save(self) -> None:
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state()
        random = processes.collected(random)
        started = time.monotonic()
        if processes.is_first():
            self._write_best()
            self._write_state(random)
            for path in self.folder.glob("best-*.safetensors"):
                if path != self._weights(self.position.best_epoch):
                    path.unlink()
        self.saved = time.monotonic()
        self.saving_took = self.saved - started

    def _write_state(self, random: list) -> None:
        state = {
            "run": self.folder.name,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.position),
            "random": random,
            "digests": self.digests,
        }
        checkpoint.write_state(self.folder / "checkpoint.pt", state)

    def _restore(self) -> None:
        path = self.folder / "checkpoint.pt"
        state = checkpoint.read_state(path)
        processes.wait()  # nobody writes before all have read
        if state is None:
            return
        if state.get("run") != self.folder.name:
            raise ValueError(f"{path} belongs to run {state.get('run')}; remove it, and this one starts anew")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{path} does not fit the model; remove it, and the run starts anew: {error}"
            ) from error
        self.position = Position(**state["position"])
        self.digests = state["digests"]
        self._verify_recorded()
        if processes.number() < len(state["random"]):  # a process more than before begins its own numbers
            random = state["random"][processes.number()]
            torch.set_rng_state(random["cpu"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(random["cuda"])
        self.report(self.position.epoch + self.position.batch / self.batches_per_epoch, math.nan)


def _added(sums: Sums) -> dict[str, float]:
    """The sums of all processes; afterwards the first holds them and the others begin at zero."""
    for value in sums.values():
        value.copy_(processes.total(value))
    added = {name: float(value) for name, value in sums.items()}
    if not processes.is_first():
        for value in sums.values():
            value.zero_()
    return added


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Rate of optimizer step ``step`` (from 0) of ``total``: linear warm-up, cosine to the floor."""
    warmup = max(1, round(config.warmup_fraction * total))
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr * (config.floor_fraction + (1 - config.floor_fraction) * cosine)


def optimizer_of(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; biases and LayerNorms, the parameters of one dimension, are not decayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=1e-8, fused=True)
