"""Measures in a basis that both layers share: they compare feature by feature, and need equal widths."""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vilbert_lib.metrics.layers import Layers, require_memory, unit

CHUNK = 64  # samples whose tokens are compared in one go


@dataclass(frozen=True)
class Directed:
    """Rows of every layer divided by their norms, (n, d) each."""

    layers: Layers
    rows: list[Tensor]

    def permuted(self, order: Tensor) -> "Directed":
        """The same rows in another ``order`` (n,)."""
        return Directed(self.layers, [rows[order] for rows in self.rows])

    def pairs(self, other: "Directed", x: Tensor, y: Tensor):
        """The rows of each pair; a ValueError names layers whose features are not the same ones."""
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            _check_same_features(self.layers, a, other.layers, b)
            yield self.rows[a], other.rows[b]


def _check_same_features(left: Layers, a: int, right: Layers, b: int) -> None:
    """Raise a ValueError where widths differ, or a column that both DataFrames have is at different places."""
    name, other = left.names[a], right.names[b]
    if left.width(a) != right.width(b):
        raise ValueError(
            f"{name} has d={left.width(a)} features but {other} has d={right.width(b)}: "
            "measures that compare feature by feature need equal widths"
        )
    columns, others = left.columns.get(name), right.columns.get(other)
    if columns is None or others is None or columns.equals(others):
        return
    for place, (column, instead) in enumerate(zip(columns, others, strict=True)):
        if column != instead and column in others:
            raise ValueError(
                f"column {place} is {column!r} in {name} but {instead!r} in {other}, which has {column!r}"
                " elsewhere: measures that compare feature by feature need the columns in the same order"
            )


def directions(layers: Layers) -> Directed:
    """Rows divided by their norms; a row of zeros stays one."""
    return Directed(layers, [unit(layers.raw(i)) for i in layers])


def cosine(left: Directed, right: Directed, x: Tensor, y: Tensor) -> Tensor:
    """Mean cosine similarity of paired rows, in [-1, 1]. It depends on the basis of either side.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import cosine
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X + rng.standard_normal((100, 8))  # the same samples, in the same space
    >>> round(cosine(X, Y), 3)
    0.706
    """
    return torch.stack([(a * b).sum(1).mean() for a, b in left.pairs(right, x, y)]).clamp(-1, 1)


def cosine_moments(left: Directed, right: Directed, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and standard deviation of the mean cosine over permutations of one side (Hoeffding 1951)."""
    means, deviations = [], []
    for a, b in left.pairs(right, x, y):
        n = len(a)
        require_memory("the exact moments of cosine", n, a.device, per_entry=24)
        means.append(a.mean(0) @ b.mean(0))
        centred = (a - a.mean(0)) @ (b - b.mean(0)).T  # the doubly centred cosines, (n, n)
        deviations.append(centred.norm() / (n * (n - 1) ** 0.5))
    return torch.stack(means), torch.stack(deviations)


def cosine_skewness(left: Directed, right: Directed, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness of the mean cosine over permutations of one side (Hoeffding 1951)."""
    found = []
    for a, b in left.pairs(right, x, y):
        n = len(a)
        centred = (a - a.mean(0)) @ (b - b.mean(0)).T
        squares = centred.square().sum()
        third = (n - 1) ** 0.5 * n / (n - 2) * centred.pow(3).sum()
        found.append(torch.where(squares > 0, third / squares**1.5, torch.nan))
    return torch.stack(found)


def wasserstein(left: Directed, right: Directed, x: Tensor, y: Tensor) -> Tensor:
    """Optimal transport cost between the two clouds of n points of weight 1/n, cosine cost, in [0, 2].

    Exact (Kantorovich 1942): between clouds of one size the best plan is an assignment. Which
    rows belong together does not matter, and so it has no chance level under permutation.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import wasserstein
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X + rng.standard_normal((100, 8))  # the same samples, in the same space
    >>> round(wasserstein(X, Y), 3)
    0.214
    """
    costs = []
    for a, b in left.pairs(right, x, y):
        require_memory("the costs of wasserstein", len(a), a.device)
        cost = (1 - a @ b.T).clamp_min(0)
        rows, columns = linear_sum_assignment(cost.cpu().numpy())
        costs.append(cost[rows, columns].mean())
    return torch.stack(costs)


@dataclass(frozen=True)
class TokenStates:
    """Token states of every layer, read when they are compared: all at once they would not fit."""

    layers: Layers
    order: Tensor

    def permuted(self, order: Tensor) -> "TokenStates":
        """The same samples in another ``order`` (n,)."""
        return TokenStates(self.layers, self.order[order])

    def layer(self, i: int) -> tuple[Tensor, Tensor]:
        """States (n, tokens, d) and which tokens count, (n, tokens)."""
        states, mask = self.layers.tokens(i)
        return states[self.order], mask[self.order]


def token_states(layers: Layers) -> TokenStates:
    """The layers' token states in the order in which they came."""
    return TokenStates(layers, torch.arange(layers.n, device=layers.device))


def max_sim_tp(left: TokenStates, right: TokenStates, x: Tensor, y: Tensor) -> Tensor:
    """Mean over a text's tokens of the largest cosine with a patch of its image, in [-1, 1].

    Yao et al. 2022; the mean over samples of it. X are token states (n, tokens, d), Y patch
    states (n, patches, d); masks say which count (not padding, not CLS). Features (n, d) are one
    token a sample.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import max_sim_tp
    >>> rng = np.random.default_rng(0)
    >>> tokens, patches = rng.standard_normal((100, 6, 8)), rng.standard_normal((100, 9, 8))
    >>> real = np.ones((100, 6), dtype=bool)
    >>> real[:, 4:] = False  # padding
    >>> round(max_sim_tp(tokens, patches, x_mask=real), 3)
    0.536
    """
    values = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        (states, mask), (others, other_mask) = left.layer(a), right.layer(b)
        _check_same_features(left.layers, a, right.layers, b)
        parts = zip(*(part.split(CHUNK) for part in (states, mask, others, other_mask)), strict=True)
        values.append(torch.cat([_best(*part) for part in parts]).mean())
    return torch.stack(values).clamp(-1, 1)


def _best(states: Tensor, mask: Tensor, others: Tensor, other_mask: Tensor) -> Tensor:
    cosines = unit(states) @ unit(others).mT
    best = cosines.masked_fill(~other_mask[:, None], -torch.inf).amax(2)
    return (best * mask).sum(1) / mask.sum(1)


def max_sim_pt(left: TokenStates, right: TokenStates, x: Tensor, y: Tensor) -> Tensor:
    """Mean over an image's patches of the largest cosine with a token of its text, in [-1, 1].

    As :func:`max_sim_tp` the other way round: X are still token states and Y patch states.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import max_sim_pt
    >>> rng = np.random.default_rng(0)
    >>> tokens, patches = rng.standard_normal((100, 6, 8)), rng.standard_normal((100, 9, 8))
    >>> real = np.ones((100, 6), dtype=bool)
    >>> real[:, 4:] = False  # padding
    >>> round(max_sim_pt(tokens, patches, x_mask=real), 3)
    0.375
    """
    return max_sim_tp(right, left, y, x)
