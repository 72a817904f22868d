"""Alignment of the two streams as a differentiable term of the loss, measured on the samples of a batch.

X (n, d) and Y (n, e) hold the same n samples in their rows. Both measures are at most 1. They ignore a shift that
is common to all samples and a common scale, and are computed in float32 at least, under autocast as well. If X and
Y are unrelated, unbiased CKA is near 0, and soft mutual kNN exceeds k / (n - 1) by about a third at the default
sharpness. Fewer than four samples, or features that are the same for all samples, raise a ValueError.
"""

import contextlib

import torch
from torch import Tensor

from vilbert_lib.config import TrainConfig
from vilbert_lib.model.streams import Output
from vilbert_lib.representations import paired_layers
from vilbert_lib.training import processes

SHARPNESS = 0.25  # width of a neighbourhood's edge, in units of the local gap
SMALLEST_GAP = 1e-6  # local gap of similarities below which they are rounding
SMALLEST_NORM = 1e-3  # share of the mean norm below which a sample has no direction from the centre
CONSTANT = 1e-9  # share of its size by which a layer must differ between samples
VANISHING = 1e-10  # share of the squared size of the differences below which unbiased HSIC is rounding


def in_float32(values: Tensor) -> Tensor:
    """``values`` in float32, or as they are where they are more precise."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def without_autocast(like: Tensor) -> contextlib.AbstractContextManager:
    """A context in which the device of ``like`` computes in the precision of the operands."""
    device = like.device.type
    if not torch.amp.is_autocast_available(device):
        return contextlib.nullcontext()
    return torch.autocast(device, enabled=False)


def unbiased_cka(x: Tensor, y: Tensor) -> Tensor:
    """Linear CKA with the unbiased HSIC estimator of Song et al. (2012), as Nguyen et al. (2021) take it by batch.

    The three estimates are unbiased, their ratio is not quite. Samples of which all but one are the same are a
    ValueError too: the estimator knows no variance without that of two pairs.
    """
    with without_autocast(x):
        x, y = _checked(x, "X"), _checked(y, "Y")
        for name, features in (("X", x), ("Y", y)):
            if not is_defined(features.detach()):
                raise ValueError(
                    f"{name} is the same for all but one of {len(features)} samples: it has no unbiased CKA"
                )
        left, right = centred_gram(x), centred_gram(y)
        return hsic(left, right) / (hsic(left, left) * hsic(right, right)).sqrt()


def hsic(left: Tensor, right: Tensor) -> Tensor:
    """Unbiased HSIC of two matrices (..., n, n) of :func:`centred_gram`: not negative for a matrix and itself."""
    n = left.shape[-1]
    return (left * right).sum((-2, -1)) / (n * (n - 3))


def centred_gram(x: Tensor) -> Tensor:
    """The U-centred Gram matrix (..., n, n) of x (..., n, d): rows that sum to zero, a diagonal of zeros.

    Szekely and Rizzo (2014), definition 2, for Gram matrices.
    """
    x = x - x.mean(-2, keepdim=True)  # changes nothing but the rounding
    n = x.shape[-2]
    others = 1 - torch.eye(n, dtype=x.dtype, device=x.device)
    gram = (x @ x.mT) * others
    rows = gram.sum(-1) / (n - 2)
    everything = rows.sum(-1)[..., None, None] / (n - 1)
    return (gram - rows[..., None] - rows[..., None, :] + everything) * others


def is_defined(x: Tensor) -> Tensor:
    """Whether samples (..., n, d) have an unbiased CKA: not if all but one are the same."""
    gram, distances = centred_gram(x), (x - x.mean(-2, keepdim=True)).square().sum(-1)
    return hsic(gram, gram) > VANISHING * distances.mean(-1) ** 2


def soft_mknn(x: Tensor, y: Tensor, k: int, sharpness: float = SHARPNESS) -> Tensor:
    """Mutual k nearest neighbours (Huh et al. 2024) with neighbourhoods whose edge is soft.

    Neighbours are found by cosine similarity after the mean of the batch is subtracted. Sample j belongs to the
    neighbourhood of sample i by a logistic function of (s_ij - e_i) / (sharpness * g_i), where s_i are the
    similarities of i to the others, e_i lies midway between the k-th and the next largest, and the local gap g_i
    is the root mean square distance of the 2k largest from e_i. Value and gradient therefore depend neither on a
    common shift nor on a common scale (the gradient with respect to scaled features is divided by that scale), and
    little on a single sample that moves the mean.

    As ``sharpness`` goes to 0 the value approaches ``mknn`` of :mod:`vilbert_lib.metrics` **on centred features**,
    and fewer pairs have a gradient. ``mknn`` itself does not centre: with a large common mean its cosines are all
    near 1, and its neighbours approach those by Euclidean distance in the subspace orthogonal to the mean.

    Parameters
    ----------
    x, y : (n, d) and (n, e), the same samples
    k : number of neighbours, 0 < k < n - 1
    sharpness : width of the edge, in local gaps

    Returns
    -------
    A scalar in (0, 1], the mean over samples of the cosine between their two rows of memberships.

    Raises
    ------
    ValueError
        Fewer than four samples, constant features, or k out of range.
    """
    with without_autocast(x):
        left, right = (_neighbourhoods(features, k, sharpness, name) for features, name in ((x, "X"), (y, "Y")))
        sizes = (left.square().sum(1) * right.square().sum(1)).sqrt()
        return ((left * right).sum(1) / sizes).mean()


def _neighbourhoods(x: Tensor, k: int, sharpness: float, name: str) -> Tensor:
    x = _checked(x, name)
    n = len(x)
    if not 0 < k < n - 1:
        raise ValueError(f"k={k} must lie in 1..{n - 2} for {n} samples")
    x = x - x.mean(0)
    norms = x.norm(dim=1, keepdim=True)
    directions = x / torch.maximum(norms, SMALLEST_NORM * norms.detach().mean())
    cosines = directions @ directions.T
    own = torch.eye(n, dtype=torch.bool, device=x.device)
    nearest = cosines.masked_fill(own, -torch.inf).topk(max(k + 1, min(2 * k, n - 1)), dim=1).values
    edge = (nearest[:, k - 1 : k] + nearest[:, k : k + 1]) / 2
    gap = ((nearest - edge).square().mean(1, keepdim=True) + SMALLEST_GAP**2).sqrt()
    return torch.sigmoid((cosines - edge) / (sharpness * gap)).masked_fill(own, 0)


def _checked(x: Tensor, name: str) -> Tensor:
    if len(x) < 4:
        raise ValueError(f"{name} has {len(x)} samples: alignment within a batch needs at least 4")
    x = in_float32(x)
    if not (x - x.mean(0)).square().mean() > CONSTANT**2 * x.square().mean():
        raise ValueError(f"{name} is the same for all {len(x)} samples (or not finite): it is alike to nothing")
    return x


def alignment(output: Output, config: TrainConfig, samples: int | None = None) -> Tensor:
    """Compute this process' part of the alignment of a batch, the mean over ``config.alignment_layers``.

    Layers are those of the deeper stream, each compared with the layer of the other at the same relative depth
    (:func:`vilbert_lib.representations.paired_layers`), by their first tokens; no layers named: the last ones. Of
    a group of accumulated batches with ``samples`` in all processes the part is weighted by the batch's share of
    them: the group's value is the mean over its samples, each measured among those of its batch.
    """
    texts, visions = output.text_states[1:], output.vision_states[1:]  # the embeddings come first
    pairs = paired_layers(len(texts), len(visions))
    values, mine, n = [], 0, 0
    for layer in config.alignment_layers or (len(pairs) - 1,):
        if layer >= len(pairs):
            last = len(pairs) - 1
            raise ValueError(f"alignment_layers {list(config.alignment_layers)}: the last layer is {last}")
        text, vision = pairs[layer]
        own = [texts[text][:, 0], visions[vision][:, 0]]
        (x, _), (y, _) = (processes.gathered(states) for states in own)
        measure = (
            unbiased_cka(x, y) if config.alignment_term == "unbiased_cka" else soft_mknn(x, y, config.alignment_k)
        )
        values.append(measure)
        mine, n = len(own[0]), len(x)
    value = torch.stack(values).mean()
    # Every process has the whole value but only its own rows' gradient: the value is to be a part as well.
    return (value - value.detach() * (1 - mine / n)) * (n / (samples or n))
