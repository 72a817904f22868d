"""Alignment of the streams as a term of the loss: measures with a gradient, on the samples of a batch.

X and Y are (n, d) and (n, e), their rows the same samples. Both measures are at most 1, and near their
chance level (0; k / (n - 1)) where nothing is shared. Fewer than four samples, or features that are the
same for all of them, are a ValueError: there is nothing that could be alike.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vilbert_lib.config import TrainConfig
from vilbert_lib.model.streams import Output
from vilbert_lib.training import processes

SHARPNESS = 0.05  # cosine distance from the edge of the neighbourhood over which membership fades
CONSTANT = 1e-9  # share of its size by which a layer must differ between samples
VANISHING = 1e-10  # share of the squared size of the differences below which unbiased HSIC is rounding


def unbiased_cka(x: Tensor, y: Tensor) -> Tensor:
    """Linear CKA with the unbiased HSIC estimator of Song et al. (2012), as Nguyen et al. (2021) take it by batch.

    The three estimates are unbiased, their ratio is not quite. Samples of which all but one are the same are a
    ValueError too: the estimator knows no variance without that of two pairs.
    """
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
    """Mutual k nearest neighbours (Huh et al. 2024) with neighbourhoods that fade out at their edge.

    A sample belongs to another's neighbourhood by a logistic function of its cosine, one half midway
    between the k-th and the next nearest. The smaller ``sharpness``, the nearer to ``mknn``, and the
    fewer pairs have a gradient. A ValueError unless 0 < k < n - 1.
    """
    left, right = (_neighbourhoods(features, k, sharpness, name) for features, name in ((x, "X"), (y, "Y")))
    sizes = (left.square().sum(1) * right.square().sum(1)).sqrt()
    return ((left * right).sum(1) / sizes).mean()


def _neighbourhoods(x: Tensor, k: int, sharpness: float, name: str) -> Tensor:
    x = _checked(x, name)
    n = len(x)
    if not 0 < k < n - 1:
        raise ValueError(f"k={k} must lie in 1..{n - 2} for {n} samples")
    directions = F.normalize(x, dim=1)
    cosines = directions @ directions.T
    own = torch.eye(n, dtype=torch.bool, device=x.device)
    nearest = cosines.masked_fill(own, -torch.inf).topk(k + 1, dim=1).values
    edge = (nearest[:, k - 1] + nearest[:, k]) / 2
    return torch.sigmoid((cosines - edge[:, None]) / sharpness).masked_fill(own, 0)


def _checked(x: Tensor, name: str) -> Tensor:
    if len(x) < 4:
        raise ValueError(f"{name} has {len(x)} samples: alignment within a batch needs at least 4")
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if not (x - x.mean(0)).square().mean() > CONSTANT**2 * x.square().mean():
        raise ValueError(f"{name} is the same for all {len(x)} samples (or not finite): it is alike to nothing")
    return x


def alignment(output: Output, config: TrainConfig) -> Tensor:
    """This process' part of the alignment of a batch: the mean over the layers of ``config.alignment_layers``.

    Text layer i is held against vision layer i, each by its first token; no layers named: the last ones.
    """
    last = min(len(output.text_states), len(output.vision_states)) - 2  # the embedding stands first
    values, mine, n = [], 0, 0
    for layer in config.alignment_layers or (last,):
        if layer > last:
            raise ValueError(f"alignment_layers {list(config.alignment_layers)}: the last layer is {last}")
        own = [states[layer + 1][:, 0] for states in (output.text_states, output.vision_states)]
        (x, _), (y, _) = (processes.gathered(states) for states in own)
        measure = (
            unbiased_cka(x, y) if config.alignment_term == "unbiased_cka" else soft_mknn(x, y, config.alignment_k)
        )
        values.append(measure)
        mine, n = len(own[0]), len(x)
    value = torch.stack(values).mean()
    # Every process has the whole value but only its own rows' gradient: the value is to be a part as well.
    return value - value.detach() * (1 - mine / n)
