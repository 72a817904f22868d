"""Similarity up to rotation, translation and scale."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from vilbert_lib.metrics.covariances import Factored
from vilbert_lib.metrics.layers import Layers, require_bytes
from vilbert_lib.metrics.parallel import each

STACK_BYTES = 2**31  # of the matrices whose nuclear norms are computed at once on a GPU
SMALLEST = 1e-11  # singular values below this share of the norm may be missing from a nuclear norm
ALIKE = 0.9999  # beyond it the distance, a root of what is missing to 1, would show the rounding


@dataclass(frozen=True)
class Factors:
    """A factor F (n, r) of every centred Gram matrix K of trace 1.

    Either F F' = K; or, for a layer of full rank, F is the triangular Cholesky factor of K + J with
    J = 11'/n^2, and ``grams`` holds that sum. J meets no centred matrix, so that it adds its own
    trace, 1/n, to what is measured between two such layers, and nothing elsewhere.
    """

    factors: list[Tensor]
    grams: list[Tensor | None]
    dtype: torch.dtype

    def width(self, i: int) -> int:
        """Columns of the factor of layer ``i``."""
        return self.factors[i].shape[1]

    def between(self, other: "Factors", a: int, b: int) -> Tensor:
        """F'G of layer ``a`` here and layer ``b`` there, (r, s)."""
        return self.factors[a].T @ other.factors[b]

    def permuted(self, order: Tensor) -> "Factors":
        """The same factors with the samples in another ``order`` (n,)."""
        grams = [gram if gram is None else gram[order][:, order] for gram in self.grams]
        return Factors([factor[order] for factor in self.factors], grams, self.dtype)


def gram_factors(layers: Layers) -> Factors | Factored:
    """Factors with as few columns as a layer's width, the number of samples and its rank allow."""
    if layers.is_narrow:
        covariance = Factored(layers, [None] * len(layers))
        return Factored(layers, [covariance.between(covariance, i, i).trace().rsqrt() for i in layers])
    # Of a wide layer factor, Gram matrix and, while it is made, two more.
    wide = [i for i in layers if layers.width(i) >= layers.n]
    columns = sum(layers.width(i) for i in layers if i not in wide)
    columns += layers.n * ((3 if layers.keeps_grams else 2) * len(wide) + 2 * layers.at_once * bool(wide))
    what = f"the factors of {len(layers)} layers of n={layers.n} samples"
    require_bytes(what, 8 * layers.n * columns, layers.device)
    factors, grams = zip(*each(partial(_factor, layers), layers, layers.device), strict=True)
    return Factors(list(factors), list(grams), layers.dtype)


def _factor(layers: Layers, i: int) -> tuple[Tensor, Tensor | None]:
    n = layers.n
    if layers.width(i) < n:
        features = layers.centred(i)
        return features / features.norm(), None
    gram = layers.gram(i) / layers.gram(i).trace()
    whole = gram + 1 / n**2
    cholesky, failed = torch.linalg.cholesky_ex(whole)
    if not failed and cholesky.diagonal().min() ** 2 > 1e-10 * whole.diagonal().max():
        return cholesky, whole
    values, vectors = torch.linalg.eigh(gram)
    kept = values > torch.finfo(torch.float64).eps * n * values[-1]
    return vectors[:, kept] * values[kept].sqrt(), None


def nuclear_norm(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Sum of the singular values of a float64 ``matrix``.

    For features that came in float32 from the eigenvalues of M M', which takes half the time and
    is exact to about 1e-8 of the largest singular value each.
    """
    if dtype == torch.float64 or min(matrix.shape) <= 32:
        return torch.linalg.svdvals(matrix).sum()
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return _root_sum(_eigenvalues((short @ short.T).numpy()))


def nuclear_norms(matrices: Tensor) -> Tensor:
    """Sums of the singular values of float64 ``matrices`` (B, r, s), by matrix products alone.

    The sum is tr(U'M) with U the polar factor of M, to which the scaled Newton-Schulz iteration
    converges (Chen and Chow 2014, A stable scaling of Newton-Schulz). A GPU takes products of many
    matrices at once, and eigenvalues of one at a time. The error is below 1e-8 of the Frobenius norm.
    """
    matrices = matrices if matrices.shape[1] >= matrices.shape[2] else matrices.mT
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    polar = matrices / torch.where(norms > 0, norms, 1)
    low = SMALLEST  # every singular value of the iterate that counts lies in [low, 1]
    while low < 1 - 1e-12:
        # The best scaling would send the largest singular value towards 0 at first, and its digits with it.
        scale = min((3 / (1 + low + low * low)) ** 0.5, 1.55)
        polar = scale * polar
        polar = torch.baddbmm(polar, polar, polar.mT @ polar, beta=1.5, alpha=-0.5)
        low = min(scale * low * (3 - (scale * low) ** 2), scale * (3 - scale**2)) / 2
    return (polar * matrices).sum((1, 2))


def nuclear_norms_of_pairs(left, right, x: Tensor, y: Tensor) -> Tensor:
    """Nuclear norms of the products ``left.between(right, a, b)`` of the pairs (a, b) in ``x`` and ``y``, (P,)."""
    if isinstance(left, Factored):
        left.sum_with(right)
    return (one_by_one if x.device.type == "cpu" else batched)(
        left, right, list(zip(x.tolist(), y.tolist(), strict=True))
    )


def one_by_one(left, right, pairs: list[tuple[int, int]]) -> Tensor:
    """Nuclear norms of the ``pairs`` from singular values or eigenvalues, a thread each."""
    device = torch.device("cpu")
    return torch.stack(each(lambda pair: nuclear_norm(left.between(right, *pair), left.dtype), pairs, device))


def batched(left, right, pairs: list[tuple[int, int]]) -> Tensor:
    """Nuclear norms of the ``pairs`` by matrix products, many at once."""
    shape = [max(side.width(pair[i]) for pair in pairs) for i, side in enumerate((left, right))]
    at_once, found = max(1, STACK_BYTES // (8 * shape[0] * shape[1])), []
    for begin in range(0, len(pairs), at_once):
        products = [left.between(right, *pair) for pair in pairs[begin : begin + at_once]]
        found.append(nuclear_norms(torch.stack([_filled(product, shape) for product in products])))
    return torch.cat(found)


def _filled(matrix: Tensor, shape: list[int]) -> Tensor:
    """``matrix`` with zeros up to ``shape``."""
    rows, columns = (size - has for size, has in zip(shape, matrix.shape, strict=True))
    return torch.nn.functional.pad(matrix, (0, columns, 0, rows))


def _eigenvalues(matrix: np.ndarray) -> Tensor:
    """Eigenvalues of a symmetric matrix of which the lower triangle is read."""
    return torch.from_numpy(np.linalg.eigvalsh(matrix))  # scipy's would keep other threads waiting


def _root_sum(squares: Tensor) -> Tensor:
    return squares.clamp_min(0).sqrt().sum()


def procrustes(left: Factors | Factored, right: Factors | Factored, x: Tensor, y: Tensor) -> Tensor:
    """Procrustes similarity ``s = |Xc' Yc|_* / (|Xc| |Yc|)``, in [0, 1] (Williams et al. 2021).

    It is the cosine of the smallest angle between the centred clouds over all rotations.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import procrustes
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(procrustes(X, Y), 3), round(procrustes(X, 3 * X[:, ::-1] + 1), 3)
    (0.492, 1.0)
    """
    if isinstance(left, Factored):
        left.sum_with(right)
    if x.device.type == "cpu":
        values = each(partial(_similarity, left, right), zip(x.tolist(), y.tolist(), strict=True), x.device)
        return torch.stack(values).clamp(0, 1)
    values = nuclear_norms_of_pairs(left, right, x, y)
    if isinstance(left, Factors):
        of_left, of_right = (
            torch.tensor([gram is not None for gram in side.grams], device=x.device) for side in (left, right)
        )
        values = values - (of_left[x] & of_right[y]) / left.factors[0].shape[0]
    return values.clamp(0, 1)


def _similarity(left: Factors | Factored, right: Factors | Factored, pair: tuple[int, int]) -> Tensor:
    a, b = pair
    if left is right and a == b:
        return torch.ones((), dtype=torch.float64)
    both = isinstance(left, Factors) and left.grams[a] is not None and right.grams[b] is not None
    if both and left.dtype == torch.float32:
        # F' (G G') F has the squared singular values of F' G; LAPACK makes it from a triangular F
        # with a quarter of the arithmetic of two products.
        grams, factor = right.grams[b].numpy().T, left.factors[a].numpy()
        product, _ = scipy.linalg.lapack.dsygst(grams, factor, itype=2, lower=1)
        total = _root_sum(_eigenvalues(product))
    else:
        total = nuclear_norm(left.between(right, a, b), left.dtype)
    if left.dtype == torch.float32 and total > ALIKE:
        total = nuclear_norm(left.between(right, a, b), torch.float64)
    return total - 1 / left.factors[a].shape[0] if both else total


def procrustes_distance(left: Factors | Factored, right: Factors | Factored, x: Tensor, y: Tensor) -> Tensor:
    """Procrustes distance sqrt(2 - 2 s) of the centred clouds of norm 1, in [0, sqrt 2] (Williams et al. 2021).

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import procrustes_distance
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(procrustes_distance(X, Y), 3)
    1.008
    """
    return (2 - 2 * procrustes(left, right, x, y)).clamp_min(0).sqrt()
