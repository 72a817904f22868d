"""Relevance by attention: what each word and each patch could hand on to what the head reads."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from vilbert_lib.attribution.passes import Pass, Relevance


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
    Relevance is read at the pooled tokens of both streams.
    """
    *_, (_, last) = chefer_steps(seen)
    return last


def chefer_steps(seen: Pass) -> Iterator[tuple[tuple[str, int], Relevance]]:
    """The relevance of :func:`chefer` as it stands after each attention: ((kind, index), relevance).

    Both directions of a block are one step, called ``co-attention``.
    """
    if seen.is_single:
        yield from _chefer_single(seen)
        return
    for place, own, other in _chefer_matrices(seen):
        rows = {name: _rows(seen, name, own[name], other[name]) for name in own}
        text = rows["text"][0] + rows["vision"][1]
        yield place, _tidy(seen, text, rows["vision"][0] + rows["text"][1])


def chefer_between(seen: Pass) -> tuple[np.ndarray, np.ndarray]:
    """What each word owes to each patch, (n, T, P), and each patch to each word, (n, P, T): R^ti and R^it.

    A ValueError for a single stream, whose tokens have nothing between them.
    """
    if seen.is_single:
        raise ValueError("a single stream has no second one that relevance could come from")
    *_, (_, _, other) = _chefer_matrices(seen)
    of_words, of_patches = other["text"][:, :, 1:], other["vision"][:, 1:]
    return (
        (of_words * seen.words[:, :, None]).cpu().numpy(),
        (of_patches * seen.words[:, None]).cpu().numpy(),
    )


def _chefer_matrices(seen: Pass) -> Iterator[tuple[tuple[str, int], dict[str, Tensor], dict[str, Tensor]]]:
    """After each step what the tokens of each stream owe to their ``own`` stream and to the ``other``."""
    b, device = len(seen.score), seen.score.device
    t, v = (seen.reads[name].shape[1] for name in ("text", "vision"))
    own = {name: torch.eye(n, device=device).repeat(b, 1, 1) for name, n in (("text", t), ("vision", v))}
    other = {"text": torch.zeros(b, t, v, device=device), "vision": torch.zeros(b, v, t, device=device)}
    pending = None
    for a, gradient in zip(seen.record, seen.gradients, strict=True):
        counted = (gradient * a.probabilities).clamp_min(0).mean(1)
        match a.kind:
            case "text" | "vision":  # rules 6 and 7
                own[a.kind] = own[a.kind] + counted @ own[a.kind]
                other[a.kind] = other[a.kind] + counted @ other[a.kind]
            case "text asks":
                pending = counted
                continue
            case "vision asks":  # rules 8 to 11; both directions read the states from before the block
                of_text, of_vision = _normalised(own["text"]), _normalised(own["vision"])
                to_text = of_text.transpose(1, 2) @ pending @ of_vision, pending @ other["vision"]
                to_vision = of_vision.transpose(1, 2) @ counted @ of_text, counted @ other["text"]
                for name, (across, back) in (("text", to_text), ("vision", to_vision)):
                    other[name], own[name] = other[name] + across, own[name] + back
        yield ("co-attention" if a.kind == "vision asks" else a.kind, a.index), own, other


def _rows(seen: Pass, name: str, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """What the pooled vector of a stream reads of both relevances, less what a token is of itself."""
    reads = seen.reads[name][:, None]
    start = torch.eye(own.shape[1], device=own.device)
    return (reads @ (own - start))[:, 0], (reads @ other)[:, 0]


def _normalised(relevance: Tensor) -> Tensor:
    """Rules 8 and 9: what came to each token from others sums to 1, its own identity is kept beside."""
    same = torch.eye(relevance.shape[1], device=relevance.device)
    gained = relevance - same
    total = gained.sum(-1, keepdim=True)
    return torch.where(total > 0, gained / total.clamp_min(1e-30), 0) + same


def _chefer_single(seen: Pass) -> Iterator[tuple[tuple[str, int], Relevance]]:
    whole = torch.eye(seen.record[0].probabilities.shape[-1], device=seen.score.device)
    start = whole.clone()
    for a, gradient in zip(seen.record, seen.gradients, strict=True):
        whole = whole + (gradient * a.probabilities).clamp_min(0).mean(1) @ whole
        yield (a.kind, a.index), _read(seen, whole - start)


def _read(seen: Pass, whole: Tensor) -> Relevance:
    """What the pooled tokens read of a matrix over the tokens of both streams, (B, T + N, T + N)."""
    reads = torch.cat([seen.reads["text"], seen.reads["vision"]], 1)
    row = (reads[:, None] @ whole)[:, 0]
    t = seen.words.shape[1]
    return _tidy(seen, row[:, :t], row[:, t:])


def _tidy(seen: Pass, text: Tensor, vision: Tensor) -> Relevance:
    return Relevance((text * seen.words).cpu().numpy(), vision[:, 1:].cpu().numpy())
