"""How much of a loss' gradient is signal: what a model could begin to learn from."""

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
        columns = ["signal", "noise", "ratio", "error"]
        return pd.DataFrame({"objective": list(data.objectives)}).reindex(columns=["objective", *columns])
    parameters = [p for p in model.vilbert.parameters() if p.requires_grad]
    found: dict[str, list[torch.Tensor]] = {objective: [] for objective in data.objectives}
    model.eval()
    for batch in batches(data, order, batch_size):
        for objective, gradients in found.items():
            loss, _ = losses.pretraining((objective,), TrainConfig())(model, batch)
            parts = torch.autograd.grad(loss, parameters, allow_unused=True)
            gradients.append(
                torch.cat(
                    [
                        (torch.zeros_like(p) if g is None else g).flatten()
                        for p, g in zip(parameters, parts, strict=True)
                    ]
                )
            )
    return pd.DataFrame(
        [{"objective": name, **_ratio(torch.stack(rows).double())} for name, rows in found.items()]
    )


def _ratio(gradients: torch.Tensor) -> dict[str, float]:
    products = gradients @ gradients.T  # all that is needed: n numbers a batch become n batches squared
    n = len(products)
    signal, noise = _parts(products)
    rest = [[i for i in range(n) if i != left_out] for left_out in range(n)]
    ratios = torch.tensor([signal / noise for signal, noise in (_parts(products[i][:, i]) for i in rest)])
    error = ((n - 1) / n * ((ratios - ratios.mean()) ** 2).sum()).sqrt()
    return {"signal": signal, "noise": noise, "ratio": signal / noise, "error": float(error)}


def _parts(products: torch.Tensor) -> tuple[float, float]:
    n, own = len(products), products.trace()
    signal = (products.sum() - own) / (n * (n - 1))
    return float(signal), float(own / n - signal)
