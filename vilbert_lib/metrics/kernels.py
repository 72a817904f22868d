"""Centred kernel alignment, biased and unbiased."""

import torch
from torch import Tensor

from vilbert_lib.metrics.layers import Layers


def _cosines(matrices: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Cosines between the matrices of the pairs (x[i], y[i]), from one product of the stack."""
    flat = matrices.flatten(1)
    products = flat @ flat.T
    norms = products.diagonal()
    scale = (norms[x] * norms[y]).sqrt()
    return torch.where(scale > 0, products[x, y] / scale, 0.0)


def cka(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """Linear CKA, <K, L> / (|K| |L|) of the centred Gram matrices (Kornblith et al. 2019, eq. 4)."""
    return _cosines(layers.grams, x, y)


def unbiased_cka(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """CKA from the unbiased HSIC: the cosine of the U-centred Gram matrices.

    Song et al. 2012, eq. 4; Szekely and Rizzo 2014, section 3. Centring the features first
    changes nothing on paper and saves the digits in practice.
    """
    n = layers.n
    gram = layers.grams.clone()
    gram.diagonal(dim1=1, dim2=2).zero_()
    rows = gram.sum(2) / (n - 2)  # (L, n)
    total = rows.sum(1) / (n - 1)  # (L,)
    gram -= rows[:, :, None] + rows[:, None, :] - total[:, None, None]
    gram.diagonal(dim1=1, dim2=2).zero_()
    # Nothing but rounding is left of samples that all lie equally far apart, or all but one: 0.
    left = gram.flatten(1).norm(dim=1) > n * torch.finfo(torch.float64).eps * layers.grams.flatten(1).norm(dim=1)
    gram *= left[:, None, None]
    return _cosines(gram, x, y)
