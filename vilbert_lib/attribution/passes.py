"""One forward and one backward pass, with all that attributions read of it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vilbert_lib.model.attention import Attention, recording
from vilbert_lib.model.single_stream import SingleStream

# Shape legend: B batch, T text tokens, P patches, N tokens of a stream with its first one, H heads.


@dataclass(frozen=True)
class Relevance:
    """How much each word and each patch bears on a score: ``text`` (n, T), ``patches`` (n, P), row by row.

    Padding and the first and last token of a text have 0. What the numbers mean, and whether they can be
    negative, is the method's affair: only their order and their shares are compared.
    """

    text: np.ndarray
    patches: np.ndarray


@dataclass(frozen=True)
class Pass:
    """What a model did with a batch and what its score depends on.

    ``score`` (B,) is the log-odds of the class ``target`` (B,). ``words`` (B, T) bool is content but the first
    and last token. ``gradients`` are those of the score by the probabilities of ``record``; ``states`` maps
    ``text`` and ``vision`` to (state, gradient) of each layer, embeddings first. ``reads`` says with what weight
    the pooled vectors are read from the tokens of each stream, (B, N).
    """

    target: Tensor
    score: Tensor
    words: Tensor
    record: list[Attention]
    gradients: list[Tensor]
    states: dict[str, list[tuple[Tensor, Tensor]]]
    reads: dict[str, Tensor]
    is_single: bool


def words_of(content: Tensor) -> Tensor:
    """Content (B, T) bool without the first token of each text and its last one."""
    words = content.bool().clone()
    words[:, 0] = False
    last = content.shape[1] - 1 - content.long().flip(1).argmax(1)
    words[torch.arange(len(words)), last] = False
    return words


def log_odds(logits: Tensor, target: Tensor, several: bool) -> Tensor:
    """Log-odds (B,) of the classes ``target``: where ``several`` labels may hold, each logit is that by itself.

    Otherwise the logit less what the other classes have together: what a softmax makes of the logits does not
    depend on an offset that they share, and neither should an explanation.
    """
    own = logits.gather(1, target[:, None])[:, 0]
    if several:
        return own
    return own - logits.scatter(1, target[:, None], -torch.inf).logsumexp(1)


def targets(logits: Tensor, target: int | Tensor | None) -> Tensor:
    """The classes (B,) to explain: those given, or by default the likeliest."""
    if target is None:
        return logits.argmax(1)
    found = torch.as_tensor(target, dtype=torch.long, device=logits.device).expand(len(logits))
    if (found < 0).any() or (found >= logits.shape[1]).any():
        raise ValueError(f"target {target}: the classes are 0..{logits.shape[1] - 1}")
    return found


def inputs_of(batch: dict[str, Tensor], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and pixels of a batch as models take them."""
    return tuple(batch[name].to(device) for name in ("input_ids", "attention_mask", "pixel_values"))


def run_pass(
    model: nn.Module, batch: dict[str, Tensor], target: int | Tensor | None = None, *, several: bool = False
) -> Pass:
    """Ask ``model`` for ``batch`` and differentiate the score of ``target``, by default the likeliest class."""
    ids, mask, pixels = inputs_of(batch, next(model.parameters()).device)
    with torch.enable_grad(), recording(model) as record:
        logits, output = model(ids, mask, pixels)
    chosen = targets(logits, target)
    score = log_odds(logits, chosen, several)
    sides = {"text": output.text_states, "vision": output.vision_states}
    seen = [a.probabilities for a in record]
    wanted = [*seen, *(state for states in sides.values() for state in states)]
    gradients = _gradients(score, wanted)
    by_state = iter(gradients[len(seen) :])
    return Pass(
        target=chosen,
        score=score.detach(),
        words=words_of(mask),
        record=[Attention(a.kind, a.index, a.probabilities.detach()) for a in record],
        gradients=gradients[: len(seen)],
        states={name: [(s.detach(), next(by_state)) for s in states] for name, states in sides.items()},
        reads=_reads(model.vilbert.config, mask.bool(), output.vision_states[0].shape[1]),
        is_single=isinstance(model.vilbert, SingleStream),
    )


def _gradients(score: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    """Gradients of the summed ``score``; zeros by what it does not depend on, such as the other stream."""
    asked = [tensor for tensor in wanted if tensor.requires_grad]
    found = iter(torch.autograd.grad(score.sum(), asked, allow_unused=True))
    given = [next(found) if tensor.requires_grad else None for tensor in wanted]
    return [
        torch.zeros_like(tensor) if gradient is None else gradient.detach()
        for tensor, gradient in zip(wanted, given, strict=True)
    ]


def _reads(config, content: Tensor, tokens: int) -> dict[str, Tensor]:
    first = {"text": torch.zeros(content.shape), "vision": torch.zeros(len(content), tokens)}
    for name, weights in first.items():
        if config.pooling == "cls":
            weights[:, 0] = 1
        else:
            weights[:, 1:] = content[:, 1:].float().cpu() if name == "text" else 1
            weights /= weights.sum(1, keepdim=True).clamp_min(1)
        if config.streams == {"text": "image", "vision": "text"}[name]:
            weights.zero_()
    return {name: weights.to(content.device) for name, weights in first.items()}
