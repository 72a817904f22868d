"""Methods of attribution: attention, rollout, Chefer's rules, Grad-CAM, integrated gradients; all in one form."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from vilbert_lib.attribution.passes import (
    Pass,
    Relevance,
    inputs_of,
    log_odds,
    run_pass,
    targets,
    words_of,
)
from vilbert_lib.config import choose

# By attention


def attention(seen: Pass) -> Relevance:
    """What the pooled tokens look at in the last self-attention layer of their stream, mean over heads.

    The usual picture of attention, as a method to compare with.
    """
    if seen.is_single:
        return _read(seen, seen.record[-1].probabilities.mean(1))
    last = {a.kind: a.probabilities.mean(1) for a in seen.record}
    rows = {name: (seen.reads[name][:, None] @ last[name])[:, 0] for name in ("text", "vision")}
    return _tidy(seen, rows["text"], rows["vision"])


def rollout(seen: Pass) -> Relevance:
    """Attention rollout (Abnar and Zuidema 2020), over the tokens of both streams together.

    Each attention is the mean of its heads, mixed half and half with the asker's own token, and they are
    multiplied in the order in which they ran; in a co-attention block a token's other half comes from the other
    stream. It knows nothing of the class.
    """
    whole = None
    for step in _joint_steps(seen):
        whole = step if whole is None else step @ whole
    return _read(seen, whole)


def _joint_steps(seen: Pass) -> Iterator[Tensor]:
    """Each attention as a mixture of all tokens, (B, T + N, T + N); both directions of a block are one."""
    t, v = (seen.reads[name].shape[1] for name in ("text", "vision"))
    sides = {"text": (slice(0, t), slice(0, t)), "vision": (slice(t, t + v), slice(t, t + v))}
    sides |= {"text asks": (slice(0, t), slice(t, t + v)), "vision asks": (slice(t, t + v), slice(0, t))}
    sides["joint"] = (slice(0, t + v), slice(0, t + v))
    same = torch.eye(t + v, device=seen.score.device).expand(len(seen.score), -1, -1)
    step = same.clone()
    for a in seen.record:
        rows, columns = sides[a.kind]
        step[:, rows] = same[:, rows] / 2
        step[:, rows, columns] += a.probabilities.mean(1) / 2
        if a.kind != "text asks":  # its counterpart comes next and reads the same states
            yield step
            step = same.clone()


def chefer(seen: Pass) -> Relevance:
    """Relevance by the rules of Chefer, Gur and Wolf (2021) for self-attention and co-attention.

    An attention counts where its gradient is positive: the mean over heads of (gradient x probability)+.
    Relevance is read at the pooled tokens of both streams, less what a token is of itself.
    """
    if seen.is_single:
        start = torch.eye(seen.record[0].probabilities.shape[-1], device=seen.score.device)
        whole = start
        for counted in _counted(seen):
            whole = whole + counted @ whole
        return _read(seen, whole - start)
    own, other = _chefer_matrices(seen)
    reads = {name: weights[:, None] for name, weights in seen.reads.items()}
    rows = {name: (reads[name] @ (own[name] - _same(own[name])))[:, 0] for name in own}
    text = rows["text"] + (reads["vision"] @ other["vision"])[:, 0]
    return _tidy(seen, text, rows["vision"] + (reads["text"] @ other["text"])[:, 0])


def chefer_between(seen: Pass) -> tuple[np.ndarray, np.ndarray]:
    """What each word owes to each patch, (n, T, P), and each patch to each word, (n, P, T): R^ti and R^it.

    A ValueError for a single stream, whose tokens have nothing between them.
    """
    if seen.is_single:
        raise ValueError("a single stream has no second one that relevance could come from")
    _, other = _chefer_matrices(seen)
    of_words, of_patches = other["text"][:, :, 1:], other["vision"][:, 1:]
    return (
        (of_words * seen.words[:, :, None]).cpu().numpy(),
        (of_patches * seen.words[:, None]).cpu().numpy(),
    )


def _counted(seen: Pass) -> list[Tensor]:
    """Of every attention the mean over heads of (gradient x probability)+, in the order in which they ran."""
    pairs = zip(seen.record, seen.gradients, strict=True)
    return [(gradient * a.probabilities).clamp_min(0).mean(1) for a, gradient in pairs]


def _chefer_matrices(seen: Pass) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the tokens of each stream owe to their ``own`` stream and to the ``other``."""
    b, device = len(seen.score), seen.score.device
    t, v = (seen.reads[name].shape[1] for name in ("text", "vision"))
    own = {name: torch.eye(n, device=device).repeat(b, 1, 1) for name, n in (("text", t), ("vision", v))}
    other = {"text": torch.zeros(b, t, v, device=device), "vision": torch.zeros(b, v, t, device=device)}
    pending = None
    for a, counted in zip(seen.record, _counted(seen), strict=True):
        match a.kind:
            case "text" | "vision":  # rules 6 and 7
                own[a.kind] = own[a.kind] + counted @ own[a.kind]
                other[a.kind] = other[a.kind] + counted @ other[a.kind]
            case "text asks":
                pending = counted
            case "vision asks":  # rules 8 to 11; both directions read the states from before the block
                of_text, of_vision = _normalised(own["text"]), _normalised(own["vision"])
                to_text = of_text.transpose(1, 2) @ pending @ of_vision, pending @ other["vision"]
                to_vision = of_vision.transpose(1, 2) @ counted @ of_text, counted @ other["text"]
                for name, (across, back) in (("text", to_text), ("vision", to_vision)):
                    other[name], own[name] = other[name] + across, own[name] + back
    return own, other


def _same(relevance: Tensor) -> Tensor:
    return torch.eye(relevance.shape[1], device=relevance.device)


def _normalised(relevance: Tensor) -> Tensor:
    """Rules 8 and 9: what came to each token from others sums to 1, its own identity is kept beside."""
    same = _same(relevance)
    gained = relevance - same
    total = gained.sum(-1, keepdim=True)
    return torch.where(total > 0, gained / total.clamp_min(1e-30), 0) + same


def _read(seen: Pass, whole: Tensor) -> Relevance:
    """What the pooled tokens read of a matrix over the tokens of both streams, (B, T + N, T + N)."""
    reads = torch.cat([seen.reads["text"], seen.reads["vision"]], 1)
    row = (reads[:, None] @ whole)[:, 0]
    t = seen.words.shape[1]
    return _tidy(seen, row[:, :t], row[:, t:])


def _tidy(seen: Pass, text: Tensor, vision: Tensor) -> Relevance:
    return Relevance((text * seen.words).cpu().numpy(), vision[:, 1:].cpu().numpy())


# By gradients


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


# All of them

#: Method -> its name in tables and pictures.
METHODS = {
    "attention": "attention, last layer",
    "rollout": "rollout",
    "chefer": "Chefer",
    "grad_cam": "Grad-CAM, mean of layers",
    "integrated_gradients": "integrated gradients",
}
_OF_A_PASS = {
    "attention": attention,
    "rollout": rollout,
    "chefer": chefer,
    "grad_cam": grad_cam,
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
        seen = run_pass(model, batch, target, several=several)
        found = {method: _OF_A_PASS[method](seen) for method in methods if method in _OF_A_PASS}
    if "integrated_gradients" in methods:
        found["integrated_gradients"] = integrated_gradients(model, batch, mask_id, target, several=several)
    return {method: found[method] for method in methods}
