"""What can be measured between two layers, and what each number means."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vilbert_lib.metrics.cca import svcca
from vilbert_lib.metrics.kernels import cka, unbiased_cka
from vilbert_lib.metrics.layers import Layers
from vilbert_lib.metrics.neighbours import mknn
from vilbert_lib.metrics.procrustes import procrustes
from vilbert_lib.metrics.rsa import rsa


@dataclass(frozen=True)
class Measure:
    """A measure of how alike two representations of the same samples are.

    ``pairs(layers, x, y)`` computes it for the layer pairs (x[i], y[i]) at once; calling the
    measure computes it for one pair. ``invariances`` names what may be done to the features of
    either side without changing the value. All measures here are symmetric and larger means more
    alike.
    """

    name: str
    title: str
    pairs: Callable[[Layers, Tensor, Tensor], Tensor]
    range: tuple[float, float]
    identical: float
    invariances: tuple[str, ...]
    source: str
    uses_k: bool = False

    def __call__(self, X, Y, *, k: int = 10, q: int = 10) -> float:
        """The value for features ``X`` (n, d) and ``Y`` (n, e) whose rows are the same samples."""
        layers = Layers({"X": X, "Y": Y}, k=k, q=q)
        return float(self.pairs(layers, torch.tensor([0]), torch.tensor([1]))[0])


_RIGID = ("rotation", "scaling", "translation", "permutation of samples")
_COSINE = ("rotation", "scaling", "permutation of samples")

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("cka", "CKA", cka, (0.0, 1.0), 1.0, _RIGID, "Kornblith et al. 2019"),
        Measure("unbiased_cka", "unbiased CKA", unbiased_cka, (-1.0, 1.0), 1.0, _RIGID, "Song et al. 2012"),
        Measure("mknn", "mutual kNN", mknn, (0.0, 1.0), 1.0, _COSINE, "Huh et al. 2024", uses_k=True),
        Measure("svcca", "SVCCA", svcca, (0.0, 1.0), 1.0, _RIGID, "Raghu et al. 2017"),
        Measure("procrustes", "Procrustes", procrustes, (0.0, 1.0), 1.0, _RIGID, "Williams et al. 2021"),
        Measure(
            "rsa",
            "RSA",
            rsa,
            (-1.0, 1.0),
            1.0,
            ("scaling", "permutation of samples"),
            "Kriegeskorte et al. 2008",
        ),
    )
}
