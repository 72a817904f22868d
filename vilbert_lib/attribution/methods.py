"""The methods side by side: each gives the same form, so that one function compares all."""

from torch import Tensor, nn

from vilbert_lib.attribution import gradients, passes, relevance
from vilbert_lib.attribution.passes import Relevance
from vilbert_lib.config import choose

#: Method -> its name in tables and pictures.
METHODS = {
    "attention": "attention, last layer",
    "rollout": "rollout",
    "chefer": "Chefer",
    "grad_cam": "Grad-CAM, mean of layers",
    "integrated_gradients": "integrated gradients",
}
_OF_A_PASS = {
    "attention": relevance.attention,
    "rollout": relevance.rollout,
    "chefer": relevance.chefer,
    "grad_cam": gradients.grad_cam,
}


def attribute(
    model: nn.Module,
    batch: dict[str, Tensor],
    mask_id: int,
    target: int | Tensor | None = None,
    methods: tuple[str, ...] = tuple(METHODS),
    *,
    several: bool = False,
) -> dict[str, Relevance]:
    """The relevance of every word and patch of ``batch`` by each of ``methods``.

    ``model`` gives logits and states, as classifiers and pretraining models do, and is in eval mode. Explained
    is the log-odds of ``target``, a class or one for each sample, by default the likeliest; ``several``: where
    any number of labels may hold at once. ``mask_id`` stands for a word that is not there.
    """
    for method in methods:
        choose("method", method, METHODS)
    found = {}
    if any(method in _OF_A_PASS for method in methods):
        seen = passes.run(model, batch, target, several=several)
        found = {method: _OF_A_PASS[method](seen) for method in methods if method in _OF_A_PASS}
    if "integrated_gradients" in methods:
        found["integrated_gradients"] = gradients.integrated_gradients(
            model, batch, mask_id, target, several=several
        )
    return {method: found[method] for method in methods}
