"""Several processes that train one model, as ``accelerate launch`` starts them.

Each takes its part of every batch. What a loss divides by is counted over all processes, and what
it compares with is gathered from all, so that the sum of the processes' gradients is the gradient
of the whole batch, whatever is masked in which part. A wrapper that averages gradients of local
means would give each process' masked words the same weight, however few there are.

Started alone, a process is all there are, and nothing here costs anything.
"""

import atexit
import contextlib
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

#: Others wait while the first evaluates, and while it waits for a run that is trained elsewhere.
PATIENCE = timedelta(hours=24)
BUCKET = 2**25  # numbers that are sent at once

_by_itself = False


def start() -> None:
    """Meet the other processes, if several were launched."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        from accelerate import PartialState  # seconds, needed by few

        PartialState(timeout=PATIENCE)
        atexit.register(_leave)


def _leave() -> None:
    """Part from the other processes: the threads of a group that is left open can abort an exit."""
    if dist.is_initialized():
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() and not _by_itself else 1


def number() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that evaluates, writes and reports."""
    return number() == 0


def device() -> torch.device:
    """The GPU of this process if there is one, else the CPU."""
    if count() > 1:
        from accelerate import PartialState

        return PartialState().device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def alone():
    """What is done in here one process does by itself, such as an evaluation: it asks no other."""
    global _by_itself
    before, _by_itself = _by_itself, True
    try:
        yield
    finally:
        _by_itself = before


def wait() -> None:
    """Go on when all have come here."""
    if count() > 1:
        dist.barrier()


def shared(value: Any) -> Any:
    """The first process' ``value``, everywhere."""
    if count() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def collected(value: Any) -> list:
    """The values of all processes, in order."""
    if count() == 1:
        return [value]
    values = [None] * count()
    dist.all_gather_object(values, value)
    return values


def part(order: np.ndarray, batch_size: int) -> np.ndarray:
    """What this process takes of ``order``: of each whole batch the same part, without gaps.

    Raises ValueError where some process would get nothing of a batch.
    """
    if count() == 1:
        return order
    if batch_size % count():
        raise ValueError(f"batch_size {batch_size} cannot be split evenly among {count()} processes")
    if 0 < (last := len(order) % batch_size) < count():
        raise ValueError(
            f"{len(order)} samples leave {last} for the last batch of {batch_size}, fewer than the {count()}"
            " processes: choose another batch_size or n_train"
        )
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return np.concatenate([order[:0], *(np.array_split(batch, count())[number()] for batch in batches)])


def total(value: Tensor) -> Tensor:
    """The sum of ``value`` over the processes; it passes no gradient."""
    if count() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def gathered(rows: Tensor) -> tuple[Tensor, int]:
    """The ``rows`` (n, ...) of all processes below each other, and where this process' begin.

    They may be differently many. Only this process' rows pass a gradient.
    """
    if count() == 1:
        return rows, 0
    sizes = collected(len(rows))
    padded = rows.detach().new_zeros((max(sizes), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    parts = [part[:size] for part, size in zip(parts, sizes, strict=True)]
    parts[number()] = rows
    return torch.cat(parts), sum(sizes[: number()])


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes."""
    if count() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    while gradients:
        bucket, size = [], 0
        while gradients and (not bucket or size + gradients[-1].numel() <= BUCKET):
            bucket.append(gradients.pop())
            size += bucket[-1].numel()
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat)
        for gradient, summed in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(summed.view_as(gradient))
