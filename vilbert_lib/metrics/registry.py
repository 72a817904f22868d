"""What can be measured between two layers, and what each number means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vilbert_lib.metrics import (
    canonical,
    distances,
    kernels,
    neighbours,
    projection_weighted,
    regression,
    rowwise,
    shape,
)
from vilbert_lib.metrics.layers import Layers, Settings


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure of how alike two representations of the same samples are.

    ``prepare(layers)`` does the work of single layers, ``compare(left, right, x, y)`` gives the
    values of the pairs (x[i], y[i]) of left and right layers, and ``moments`` of the same
    arguments, where there is a closed form, mean and standard deviation over all orders of the
    right side's samples; ``skewness`` is theirs as well. What ``prepare`` returns can be ``permuted(order)``.

    ``direction``: ``similarity`` (larger is more alike) or ``distance``. ``identical``: the value
    for identical inputs, None where it depends on them. ``invariances``: what may be done to either
    side without changing the value. ``uses``: the settings that matter. ``paired``: whether it
    matters which rows belong together.
    """

    name: str
    title: str
    prepare: Callable[[Layers], Any]
    compare: Callable[[Any, Any, Tensor, Tensor], Tensor]
    moments: Callable[[Any, Any, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    skewness: Callable[[Any, Any, Tensor, Tensor], Tensor] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    identical: float | None = 1.0
    direction: str = "similarity"
    symmetric: bool = True
    paired: bool = True
    uses: tuple[str, ...] = ()
    invariances: tuple[str, ...]
    source: str

    def __post_init__(self):
        object.__setattr__(self, "__doc__", self.compare.__doc__)  # with an example of this measure

    @property
    def best(self) -> float:
        """The value that means wholly alike."""
        return self.range[1] if self.identical is None else self.identical

    @property
    def sign(self) -> int:
        """1 where larger is more alike, -1 of a distance."""
        return -1 if self.direction == "distance" else 1

    @property
    def uses_k(self) -> bool:
        """Whether the number of neighbours matters."""
        return "k" in self.uses

    def __call__(
        self,
        X,
        Y,
        *,
        x_mask=None,
        y_mask=None,
        ids=None,
        align=False,
        subsample=None,
        seed=0,
        device=None,
        **settings,
    ) -> float:
        """Measure the alignment of two layers.

        Parameters
        ----------
        X, Y : array, tensor or DataFrame
            Features (n, d) and (n, e) of the same n samples.
        x_mask, y_mask : array of bool, optional
            Which tokens of (n, tokens, d) features count, (n, tokens).
        ids, align, subsample, seed
            As of :func:`vilbert_lib.metrics.grid.alignment_grid`; the layers are named ``"X"`` and ``"Y"``.
        device : str or torch.device, optional
            Where to compute, by default where ``X`` is.
        **settings
            Those of :class:`vilbert_lib.metrics.layers.Settings`.

        Returns
        -------
        float

        Raises
        ------
        ValueError, MemoryError
            As of :func:`vilbert_lib.metrics.grid.alignment_grid`.
        """
        masks = {name: mask for name, mask in (("X", x_mask), ("Y", y_mask)) if mask is not None}
        rows = {"ids": ids, "align": align, "subsample": subsample, "seed": seed}
        layers = Layers({"X": X, "Y": Y}, Settings(**settings), masks=masks, device=device, **rows)
        layers.influence(layers)
        state = self.prepare(layers)
        first, second = torch.tensor([[0], [1]], device=layers.device)
        return float(self.compare(state, state, first, second)[0])


_RIGID = ("rotation", "scaling", "translation", "permutation of samples")
_COSINE = ("rotation", "scaling", "permutation of samples")
_BASIS = ("scaling", "permutation of samples")


def _nearest(name: str, title: str, compare: Callable, source: str, **others) -> Measure:
    return Measure(
        name=name,
        title=title,
        prepare=neighbours.nearest_neighbours,
        compare=compare,
        source=source,
        uses=("k",),
        invariances=_COSINE,
        **others,
    )


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            name="cka",
            title="CKA",
            prepare=kernels.linear_grams,
            compare=kernels.cka,
            moments=kernels.cka_moments,
            skewness=kernels.cka_skewness,
            invariances=_RIGID,
            source="Kornblith et al. 2019",
        ),
        Measure(
            name="cka_rbf",
            title="CKA, RBF kernel",
            prepare=kernels.rbf_grams,
            compare=kernels.cka,
            moments=kernels.cka_moments,
            skewness=kernels.cka_skewness,
            uses=("threshold",),
            invariances=_RIGID,
            source="Kornblith et al. 2019",
        ),
        Measure(
            name="unbiased_cka",
            title="unbiased CKA",
            prepare=kernels.linear_grams,
            compare=kernels.unbiased_cka,
            moments=kernels.unbiased_cka_moments,
            skewness=kernels.unbiased_cka_skewness,
            range=(-1.0, 1.0),
            invariances=_RIGID,
            source="Song et al. 2012",
        ),
        Measure(
            name="svcca",
            title="SVCCA",
            prepare=canonical.top_directions,
            compare=canonical.svcca,
            uses=("q",),
            invariances=_RIGID,
            source="Raghu et al. 2017",
        ),
        Measure(
            name="cca",
            title="CCA, 99 % variance",
            prepare=canonical.variance_directions,
            compare=canonical.cca,
            uses=("variance",),
            invariances=_RIGID,
            source="Raghu et al. 2017",
        ),
        Measure(
            name="pwcca",
            title="projection-weighted CCA",
            prepare=projection_weighted.projections,
            compare=projection_weighted.pwcca,
            symmetric=False,
            uses=("variance",),
            invariances=("scaling", "translation", "permutation of samples"),
            source="Morcos et al. 2018",
        ),
        _nearest(
            "mknn",
            "mutual kNN",
            neighbours.mknn,
            "Huh et al. 2024",
            moments=neighbours.mknn_moments,
            skewness=neighbours.mknn_skewness,
        ),
        _nearest(
            "cknna",
            "CKNNA",
            neighbours.cknna,
            "Huh et al. 2024",
            range=(float("-inf"), float("inf")),
            symmetric=False,
        ),
        _nearest(
            "cycle_knn",
            "cycle kNN",
            neighbours.cycle_knn,
            "Huh et al. 2024",
            moments=neighbours.cycle_knn_moments,
            identical=None,
            symmetric=False,
        ),
        _nearest("lcs_knn", "LCS kNN", neighbours.lcs_knn, "Huh et al. 2024"),
        _nearest("edit_knn", "edit-distance kNN", neighbours.edit_knn, "Huh et al. 2024"),
        _nearest(
            "jaccard",
            "Jaccard kNN",
            neighbours.jaccard,
            "Klabunde et al. 2025",
            moments=neighbours.jaccard_moments,
        ),
        _nearest("rank", "rank similarity", neighbours.rank, "Klabunde et al. 2025"),
        Measure(
            name="procrustes",
            title="Procrustes",
            prepare=shape.gram_factors,
            compare=shape.procrustes,
            invariances=_RIGID,
            source="Williams et al. 2021",
        ),
        Measure(
            name="procrustes_distance",
            title="Procrustes distance",
            prepare=shape.gram_factors,
            compare=shape.procrustes_distance,
            direction="distance",
            range=(0.0, 2**0.5),
            identical=0.0,
            invariances=_RIGID,
            source="Williams et al. 2021",
        ),
        Measure(
            name="rsa",
            title="RSA",
            prepare=distances.distance_ranks,
            compare=distances.rsa,
            moments=distances.rsa_moments,
            skewness=distances.rsa_skewness,
            range=(-1.0, 1.0),
            invariances=_BASIS,
            source="Kriegeskorte et al. 2008",
        ),
        Measure(
            name="distance_correlation",
            title="squared distance correlation",
            prepare=distances.distance_grams,
            compare=kernels.cka,
            moments=kernels.cka_moments,
            skewness=kernels.cka_skewness,
            invariances=_RIGID,
            source="Szekely et al. 2007",
        ),
        Measure(
            name="r2",
            title="ridge R2, left out",
            prepare=regression.ridge,
            compare=regression.r2,
            moments=regression.r2_moments,
            skewness=regression.r2_skewness,
            range=(float("-inf"), 1.0),
            identical=None,
            symmetric=False,
            uses=("penalty",),
            invariances=_RIGID,
            source="Allen 1974",
        ),
        Measure(
            name="r2_ols",
            title="OLS R2, in sample",
            prepare=regression.ols,
            compare=regression.r2_ols,
            moments=regression.r2_ols_moments,
            skewness=regression.r2_ols_skewness,
            symmetric=False,
            invariances=_RIGID,
            source="Kornblith et al. 2019",
        ),
        Measure(
            name="cosine",
            title="mean cosine",
            prepare=rowwise.directions,
            compare=rowwise.cosine,
            moments=rowwise.cosine_moments,
            skewness=rowwise.cosine_skewness,
            range=(-1.0, 1.0),
            invariances=_BASIS,
            source="Salton and McGill 1983",
        ),
        Measure(
            name="max_sim_tp",
            title="max. similarity, token to patch",
            prepare=rowwise.token_states,
            compare=rowwise.max_sim_tp,
            range=(-1.0, 1.0),
            symmetric=False,
            invariances=_BASIS,
            source="Yao et al. 2022",
        ),
        Measure(
            name="max_sim_pt",
            title="max. similarity, patch to token",
            prepare=rowwise.token_states,
            compare=rowwise.max_sim_pt,
            range=(-1.0, 1.0),
            symmetric=False,
            invariances=_BASIS,
            source="Yao et al. 2022",
        ),
        Measure(
            name="wasserstein",
            title="Wasserstein distance",
            prepare=rowwise.directions,
            compare=rowwise.wasserstein,
            direction="distance",
            range=(0.0, 2.0),
            identical=0.0,
            paired=False,
            invariances=_BASIS,
            source="Villani 2009",
        ),
    )
}
