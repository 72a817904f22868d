"""How far CKA within batches is from CKA of the whole sample."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vilbert_lib.metrics import MEASURES
from vilbert_lib.training.alignment_term import centred_gram, hsic, is_defined


def bias(x: Tensor, y: Tensor, sizes: list[int], *, seed: int = 0, passes: int = 5) -> pd.DataFrame:
    """Unbiased linear CKA of batches of ``sizes`` samples beside that of all rows of ``x`` and ``y`` (n, d).

    Over ``passes`` random divisions into batches. ``mean of ratios`` is what a loss that takes CKA batch by
    batch sees on average, ``ratio of means`` divides the mean HSIC by the mean norms (Nguyen et al. 2021);
    ``all`` is the value of the whole sample. The biases are their differences to it, ``error`` the standard
    error of the first as if batches were independent. ``undefined`` batches have no ratio: all samples but one
    are the same in a layer.
    A ValueError for a size below 4 or above n.
    """
    n = len(x)
    if unfit := [size for size in sizes if not 4 <= size <= n]:
        raise ValueError(f"batch sizes {unfit} must lie in 4..{n}")
    x, y, rng = x.double(), y.double(), np.random.default_rng(seed)
    whole = MEASURES["unbiased_cka"](x, y)
    rows = []
    for size in sizes:
        orders = [torch.from_numpy(rng.permutation(n))[: n - n % size].view(-1, size) for _ in range(passes)]
        batches = torch.cat(orders)
        defined = is_defined(x[batches]) & is_defined(y[batches])
        left, right = centred_gram(x[batches]), centred_gram(y[batches])
        cross, left, right = hsic(left, right), hsic(left, left), hsic(right, right)
        ratios = (cross / (left * right).sqrt())[defined]
        together = float(cross.mean() / (left.mean() * right.mean()).sqrt())
        rows.append(
            {
                "batch": size,
                "batches": len(batches),
                "undefined": int((~defined).sum()),
                "all": whole,
                "mean of ratios": float(ratios.mean()),
            }
            | {"bias": float(ratios.mean()) - whole, "error": float(ratios.std() / len(ratios) ** 0.5)}
            | {"ratio of means": together, "bias of it": together - whole}
        )
    return pd.DataFrame(rows)
