"""Relevance by gradients: Grad-CAM on the states of every layer, and integrated gradients."""

import warnings

import torch
from torch import Tensor, nn

from vilbert_lib.attribution.passes import Pass, Relevance, inputs_of, log_odds, targets, words_of


def grad_cam(seen: Pass) -> Relevance:
    """Grad-CAM (Selvaraju et al. 2017) averaged over layers, each map divided by its largest value.

    The embeddings are left out, and layers whose map is zero everywhere count as zero.
    """
    maps = grad_cam_layers(seen)[1:]
    text, patches = (
        torch.stack([_by_largest(torch.as_tensor(getattr(m, name))) for m in maps]).mean(0).numpy()
        for name in ("text", "patches")
    )
    return Relevance(text, patches)


def grad_cam_layers(seen: Pass) -> list[Relevance]:
    """Grad-CAM on the states of each layer, embeddings first: entry i + 1 is that after layer i.

    A channel's weight is the mean of its gradient over the words, or patches; the map is the weighted sum of the
    channels where it is positive. Where the head reads the first token alone, nothing but it bears on the
    score after the last layer: the maps there are zero.
    """
    text = [_map(state, gradient, seen.words) for state, gradient in seen.states["text"]]
    patches = []
    for state, gradient in seen.states["vision"]:
        every = torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)
        every[:, 0] = False
        patches.append(_map(state, gradient, every)[:, 1:])
    return [Relevance(t.cpu().numpy(), p.cpu().numpy()) for t, p in zip(text, patches, strict=True)]


def _map(state: Tensor, gradient: Tensor, chosen: Tensor) -> Tensor:
    """(B, N) from states and gradients (B, N, D), zero outside ``chosen`` (B, N)."""
    weights = (gradient * chosen[..., None]).sum(1) / chosen.sum(1, keepdim=True).clamp_min(1)
    return (state @ weights[..., None])[..., 0].clamp_min(0) * chosen


def _by_largest(values: Tensor) -> Tensor:
    return values / values.amax(1, keepdim=True).clamp_min(1e-30)


def integrated_gradients(
    model: nn.Module,
    batch: dict[str, Tensor],
    mask_id: int,
    target: int | Tensor | None = None,
    *,
    several: bool = False,
    steps: int = 32,
    at_once: int = 0,
) -> Relevance:
    """Integrated gradients (Sundararajan et al. 2017) of the score along a straight line of embeddings.

    The line begins where every word is ``[MASK]`` (``mask_id``) and every patch has the profile's mean colour,
    and ends at the sample; it is walked in ``steps`` for word embeddings and patch embeddings together. What a
    token gets is summed over its channels, and all of a sample sum to its score less that of the beginning, but
    for the error of the sum. ``at_once`` points of the lines are asked at a time, by default as many as small
    models like and large ones can hold.
    """
    from captum.attr import LayerIntegratedGradients  # takes seconds to import

    ids, mask, pixels = inputs_of(batch, next(model.parameters()).device)
    words = words_of(mask)
    with torch.no_grad():
        chosen = targets(model(ids, mask, pixels)[0], target)

    def score(ids: Tensor, pixels: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        return log_odds(model(ids, mask, pixels)[0], target, several)

    streams = model.vilbert
    with warnings.catch_warnings():  # captum warns of layers that feed one another, which these two do not
        warnings.filterwarnings("ignore", message="Multiple layers provided")
        method = LayerIntegratedGradients(score, [streams.bert.embeddings, streams.vit.patch_embed])
    baseline = ids.masked_fill(words, mask_id), torch.zeros_like(pixels)
    text, patches = method.attribute(
        (ids, pixels),
        baseline,
        additional_forward_args=(mask, chosen),
        n_steps=steps,
        internal_batch_size=max(at_once or _fitting(streams, ids), len(ids)),
        grad_kwargs={"materialize_grads": True},  # zeros where a stream does not bear on the score
    )
    return Relevance(
        (text.sum(-1) * words).detach().cpu().numpy(), patches.flatten(1, -2).sum(-1).detach().cpu().numpy()
    )


def _fitting(streams: nn.Module, ids: Tensor) -> int:
    """How many samples have about a million numbers a layer, at most 256."""
    tokens = ids.shape[1] + 1 + streams.vit.patch_embed.num_patches
    return min(256, 2**20 // (tokens * max(streams.widths)))
