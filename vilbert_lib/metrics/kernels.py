"""Centred kernel alignment: linear, RBF, and unbiased."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from vilbert_lib.metrics import skewness
from vilbert_lib.metrics.covariances import FactorStack, gram_stack
from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.stacks import SymmetricStack, permutation_moments, upper_triangle


def linear_grams(layers: Layers) -> SymmetricStack | FactorStack:
    """Linear Gram matrices of the centred features."""
    return gram_stack(layers) if layers.is_narrow else packed_grams(layers)


def packed_grams(layers: Layers) -> SymmetricStack:
    """Linear Gram matrices (n, n) of the centred features, whatever n is; made once for ``layers``."""
    if "grams" not in layers.shared:
        layers.shared["grams"] = SymmetricStack.of(layers, layers.gram)
    return layers.shared["grams"]


def rbf_grams(layers: Layers) -> SymmetricStack:
    """Centred Gram matrices of the kernel exp(-d^2 / (2 t^2 m)).

    d^2 are squared distances, m their median over all n^2 entries, the zeros of the diagonal
    included, as in the demonstration of Kornblith et al. 2019, and t the ``threshold`` of the settings.
    """
    return SymmetricStack.of(layers, partial(_rbf, layers))


def _rbf(layers: Layers, i: int) -> Tensor:
    gram = layers.gram(i)
    norms = gram.diagonal()
    squared = norms[:, None] + norms - 2 * gram
    # Rounding would tell duplicates apart.
    squared[squared < 1e-13 * norms.max()] = 0
    squared.fill_diagonal_(0)
    threshold = layers.settings.threshold
    # More than half of the pairs may be duplicates: then only those are alike at all.
    rate = (0.5 / _median(squared) / threshold / threshold).clamp_max(torch.finfo(torch.float64).max)
    kernel = squared.mul_(-rate).exp_()
    rows = kernel.mean(1)
    return kernel.sub_(rows[:, None]).sub_(rows).add_(rows.mean())


def _median(symmetric: Tensor) -> Tensor:
    """Median of all entries of a matrix with zeros on its diagonal; the mean of the middle two."""
    n = len(symmetric)
    values = upper_triangle(symmetric)
    # In the sorted entries come n zeros and then each value above the diagonal twice.
    middle = [p - n for p in ((n * n - 1) // 2, n * n // 2)]
    places = [p // 2 for p in middle if p >= 0]
    if symmetric.device.type == "cpu":  # numpy finds some of the sorted entries without sorting all
        values = torch.from_numpy(np.partition(values.numpy(), places))
    else:
        values = values.sort().values
    return values[places].sum() / 2


def cka(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> Tensor:
    """CKA, ``<K, L> / (|K| |L|)`` of the centred Gram matrices (Kornblith et al. 2019, eq. 4).

    With centred distances in their place it is the squared distance correlation (Szekely et al. 2007).

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import cka, cka_rbf, distance_correlation
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(cka(X, Y), 3)
    0.342
    >>> round(cka_rbf(X, Y, threshold=0.5), 3)
    0.395
    >>> round(distance_correlation(X, Y), 3)
    0.414
    """
    return _ratio(left.products(right), left.norms(), right.norms())[x, y].clamp(0, 1)


def cka_moments(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and standard deviation of CKA over permutations of one side."""
    mean, deviation = (_ratio(part, left.norms(), right.norms()) for part in permutation_moments(left, right))
    return mean[x, y], deviation[x, y]


def cka_skewness(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness of CKA over permutations of one side (:func:`vilbert_lib.metrics.skewness.of_centred`)."""
    return skewness.of_centred(left, right)[x, y]


def unbiased_cka(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> Tensor:
    """CKA from the unbiased HSIC, the cosine of the U-centred Gram matrices, in [-1, 1].

    Song et al. 2012, eq. 5; Szekely and Rizzo 2014, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import unbiased_cka
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(unbiased_cka(X, Y), 3)
    0.305
    >>> round(unbiased_cka(X, rng.permutation(Y)), 3)  # rows that do not belong together
    0.008
    """
    values = left.off_diagonal(right) + _diagonal_terms(left, right)
    return _ratio(values, _unbiased_norms(left), _unbiased_norms(right))[x, y].clamp(-1, 1)


def unbiased_cka_moments(
    left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Exact mean 0 and standard deviation sqrt(2 / (n (n-3))), whatever the kernel.

    They are :func:`permutation_moments` of matrices without a diagonal; cf. Szekely and Rizzo 2013.
    """
    known = (_unbiased_norms(left)[x] > 0) & (_unbiased_norms(right)[y] > 0)
    deviation = known.double() * (2 / (left.n * (left.n - 3))) ** 0.5
    return torch.zeros_like(deviation), deviation


def unbiased_cka_skewness(left: SymmetricStack, right: SymmetricStack, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness of unbiased CKA over permutations of one side (:mod:`vilbert_lib.metrics.skewness`)."""
    if not isinstance(left, SymmetricStack):
        return skewness.of_centred(left, right)[x, y]
    deviation = (2 / (left.n * (left.n - 3))) ** 0.5 * _unbiased_norms(left)[:, None] * _unbiased_norms(right)
    return skewness.of_hollow(left, right, deviation, centre=True)[x, y]


def _unbiased_norms(stack: SymmetricStack) -> Tensor:
    square = stack.squares + _diagonal_terms(stack, stack).diagonal()
    # Samples that all lie equally far apart, or all but one, leave nothing but rounding: 0.
    noise = stack.n * torch.finfo(stack.dtype).eps * stack.squares
    return torch.where(square > noise, square, 0).sqrt()


def _diagonal_terms(left: SymmetricStack, right: SymmetricStack) -> Tensor:
    """What U-centring adds to the products of Gram matrices without their diagonals.

    The rows of a centred Gram matrix sum to zero, so without its diagonal they sum to minus that.
    """
    n = left.n
    whole = left.traces()[:, None] * right.traces() / ((n - 1) * (n - 2))
    return whole - 2 / (n - 2) * left.diagonal @ right.diagonal.T


def _ratio(products: Tensor, left: Tensor, right: Tensor) -> Tensor:
    scale = left[:, None] * right
    return torch.where(scale > 0, products / scale, 0.0)
