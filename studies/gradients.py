"""How much of a loss' gradient is signal: what a model could begin to learn from."""

from collections.abc import Iterator

import pandas as pd
import torch

from vilbert_lib.config import TrainConfig
from vilbert_lib.data.datasets import PretrainingDataset, batches, epoch_order
from vilbert_lib.model.heads import PretrainingModel
from vilbert_lib.training import losses


def signal_to_noise(
    model: PretrainingModel, data: PretrainingDataset, *, count: int = 40, batch_size: int = 32
) -> pd.DataFrame:
    """For each objective of ``data``, the squared length of its mean gradient over the variance between batches.

    Over ``count`` batches with gradients g the signal is an unbiased estimate of \\|E g\\|², the sum of
    products of different batches' gradients over their number, so it is 0 on average where the loss pulls
    nowhere in the mean, and may come out negative. The noise is the mean of \\|g\\|² less the signal.
    Gradients are those of the streams alone: a head can always learn how frequent its classes are.
    Rows ``objective``, ``signal``, ``noise``, ``ratio``, and ``error``, the ratio's standard error by
    leaving out each batch in turn. NaN where the data make fewer than 3 batches.
    """
    order = epoch_order(len(data), 0, 0)[: count * batch_size]
    if len(order) < 3 * batch_size:
        return pd.DataFrame({"objective": list(data.objectives)}).reindex(columns=["objective", *_NAMES])
    model.eval()
    found = [
        {"objective": name, **_ratio(*_products(model, data, order, batch_size, name))} for name in data.objectives
    ]
    return pd.DataFrame(found)


def _products(
    model: PretrainingModel, data: PretrainingDataset, order: torch.Tensor, batch_size: int, objective: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the squared length of each batch's gradient, and its product with the sum of all of them.

    In two passes over the batches, so that one gradient and the sum are held, however many batches there are.
    """
    loss_of = losses.pretraining((objective,), TrainConfig())
    parameters = [p for p in model.vilbert.parameters() if p.requires_grad]
    total = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]

    def gradients() -> Iterator[list[torch.Tensor | None]]:
        for batch in batches(data, order, batch_size):
            yield torch.autograd.grad(loss_of(model, batch)[0], parameters, allow_unused=True)

    squares, products = [], []
    for of_batch in gradients():
        parts = [(part, whole) for part, whole in zip(of_batch, total, strict=True) if part is not None]
        squares.append(sum(part.double().square().sum() for part, _ in parts))
        for part, whole in parts:
            whole += part
    for of_batch in gradients():
        parts = [(part, whole) for part, whole in zip(of_batch, total, strict=True) if part is not None]
        products.append(sum((part * whole).sum() for part, whole in parts))
    return torch.stack(squares).cpu(), torch.stack(products).cpu()


def _ratio(squares: torch.Tensor, products: torch.Tensor) -> dict[str, float]:
    """Estimate signal, noise and their ratio from the result of :func:`_products`, with the ratio's error."""
    n, own, whole = len(squares), squares.sum(), products.sum()
    signal, noise = _parts(n, own, whole)
    without_signal, without_noise = _parts(n - 1, own - squares, whole - 2 * products + squares)
    ratios = without_signal / without_noise
    error = ((n - 1) / n * ((ratios - ratios.mean()) ** 2).sum()).sqrt()
    return {name: float(value) for name, value in zip(_NAMES, (signal, noise, signal / noise, error), strict=True)}


_NAMES = ("signal", "noise", "ratio", "error")


def _parts(n: int, own: torch.Tensor, whole: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Signal and noise of ``n`` gradients: ``own`` is the sum of squared lengths, ``whole`` that of their sum."""
    signal = (whole - own) / (n * (n - 1))
    return signal, own / n - signal
