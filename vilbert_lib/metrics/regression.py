"""How well one layer is predicted linearly from another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vilbert_lib.metrics import skewness
from vilbert_lib.metrics.canonical import singular_vectors
from vilbert_lib.metrics.covariances import FactorStack, projection_stack
from vilbert_lib.metrics.kernels import linear_grams, packed_grams
from vilbert_lib.metrics.layers import Layers, products_of_rows
from vilbert_lib.metrics.stacks import SymmetricStack, permutation_moments


@dataclass(frozen=True)
class Regressions:
    """For every layer X a matrix A, and its Gram matrix K: a prediction of Y from X is <A_x, K_y> / tr K_y."""

    operators: SymmetricStack | FactorStack
    grams: SymmetricStack | FactorStack

    def permuted(self, order: Tensor) -> "Regressions":
        """The same layers to be predicted, their samples in another ``order`` (n,)."""
        return Regressions(self.operators, self.grams.permuted(order))

    @property
    def fitting(self) -> int:
        """How many layers fit into memory at once."""
        return self.grams.fitting

    def some(self, layers: Sequence[int]) -> "Regressions":
        """Those of some ``layers``, in memory."""
        return Regressions(self.operators.some(layers), self.grams.some(layers))

    def shares(self, other: "Regressions", x: Tensor, y: Tensor) -> Tensor:
        """<A_x, K_y> / tr K_y."""
        return (self.operators.products(other.grams) / other.grams.traces())[x, y]

    def share_moments(self, other: "Regressions", x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Exact mean and standard deviation of the shares over permutations of the right side."""
        mean, deviation = permutation_moments(self.operators, other.grams)
        traces = other.grams.traces()
        return (mean / traces)[x, y], (deviation / traces)[x, y]


def _stacks(layers: Layers, operator) -> Regressions:
    return Regressions(SymmetricStack.of(layers, partial(operator, layers)), packed_grams(layers))


def ridge(layers: Layers) -> Regressions:
    """The quadratic forms that give the leave-one-out errors of ridge regressions."""
    return _stacks(layers, _left_out)


def _left_out(layers: Layers, i: int) -> Tensor:
    """(I-H) D^2 (I-H), H the ridge's hat matrix with intercept, D = diag 1/(1-h_ii): (n, n)."""
    n = layers.n
    if layers.width(i) < n - 1:
        features = layers.centred(i)
        covariance = features.T @ features
        penalty = _penalty(layers, i, covariance.trace())
        covariance.diagonal().add_(penalty)
        half = torch.linalg.solve_triangular(_cholesky(layers, i, covariance), features.T, upper=False)
        # H = W W' is of rank d+1, the intercept included: all products are those of narrow matrices.
        hat = torch.cat([half.T, torch.full((n, 1), n**-0.5, dtype=half.dtype, device=half.device)], 1)
        squared = (1 - hat.square().sum(1)) ** -2
        weighted = squared[:, None] * hat
        product = (hat @ (hat.T @ weighted) - weighted) @ hat.T - hat @ weighted.T
        product.diagonal().add_(squared)
        return product
    regular = layers.gram(i).clone()
    penalty = _penalty(layers, i, regular.trace())
    # Centred features leave the direction of the intercept empty: filled, it takes no digits.
    filling = regular.trace() / n
    regular += filling / n
    regular.diagonal().add_(penalty)
    residual = torch.cholesky_inverse(_cholesky(layers, i, regular)) - 1 / (n * (filling + penalty))
    scaled = residual / residual.diagonal()[:, None]
    return products_of_rows(scaled.T)


def _penalty(layers: Layers, i: int, trace: Tensor) -> Tensor | float:
    given = layers.settings.penalty
    return (
        0.1 * trace / layers.n if given is None else min(given / (scale := float(layers.scale(i))) / scale, 1e200)
    )


def _cholesky(layers: Layers, i: int, regular: Tensor) -> Tensor:
    root, failed = torch.linalg.cholesky_ex(regular)
    if failed or root.diagonal().min() ** 2 < 1e-13 * regular.diagonal().max():
        raise ValueError(f"penalty={layers.settings.penalty!r} is too small for {layers.names[i]}")
    return root


def ols(layers: Layers) -> Regressions:
    """Projections onto the columns of every centred layer."""
    if layers.is_narrow:
        return Regressions(projection_stack(layers), linear_grams(layers))
    found = singular_vectors(layers, layers.n - 1)
    return _stacks(layers, lambda _, i: found[i][0] @ found[i][0].T)


def _baseline(n: int) -> float:
    """Squared error of predicting each left-out row by the mean of the others, over that by the mean of all."""
    return (n / (n - 1)) ** 2


def r2(left: Regressions, right: Regressions, x: Tensor, y: Tensor) -> Tensor:
    """Leave-one-out R^2 of predicting Y from X by ridge regression with intercept, at most 1.

    ``1 - sum |y_i - y_i(without i)|^2 / sum |y_i - mean(without i)|^2``, in closed form (Allen 1974).
    Below 0 where the mean of the others predicts better. The penalty is .1 tr(Kc)/n of X unless given.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import r2
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(r2(X, Y), 3), round(r2(Y, X), 3)  # Y from X, X from Y
    (0.432, 0.177)
    """
    return 1 - left.shares(right, x, y) / _baseline(left.grams.n)


def r2_moments(left: Regressions, right: Regressions, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and standard deviation of the leave-one-out R^2 over permutations of Y."""
    mean, deviation = left.share_moments(right, x, y)
    return 1 - mean / _baseline(left.grams.n), deviation / _baseline(left.grams.n)


def r2_skewness(left: Regressions, right: Regressions, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness of the leave-one-out R^2 over permutations of Y."""
    return -skewness.of_centred(left.operators, right.grams)[x, y]


def r2_ols_skewness(left: Regressions, right: Regressions, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness of the in-sample R^2 over permutations of Y."""
    return skewness.of_centred(left.operators, right.grams)[x, y]


def r2_ols(left: Regressions, right: Regressions, x: Tensor, y: Tensor) -> Tensor:
    """In-sample R^2 of ordinary least squares with intercept, in [0, 1]; 1 for any data once d >= n-1.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import r2_ols
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(r2_ols(X, Y), 3), round(r2_ols(Y, X), 3)  # Y from X, X from Y
    (0.522, 0.246)
    """
    return left.shares(right, x, y).clamp(0, 1)


def r2_ols_moments(left: Regressions, right: Regressions, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean rank(X)/(n-1) and standard deviation of the in-sample R^2 over permutations of Y."""
    return left.share_moments(right, x, y)
