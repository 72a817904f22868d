"""The co-attention block: each stream asks the other (Lu et al. 2019, ViLBERT, section 3.1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from vilbert_lib.config import Residual

# Shape legend: B batch, T text tokens, P patches with the class token, D width of a stream,
# A width of the shared attention space, H heads.


class CrossAttention(nn.Module):
    """Multi-head attention from one stream (the asker) to the other (the answerer)."""

    def __init__(self, asker_width: int, answerer_width: int, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(asker_width, width)
        self.key = nn.Linear(answerer_width, width)
        self.value = nn.Linear(answerer_width, width)
        self.output = nn.Linear(width, asker_width)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, N, A) -> (B, H, N, A/H)

    def forward(self, asker: Tensor, answerer: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (B, N_asker, D_asker); ``mask`` (B, N_answerer) is True where there is content."""
        context = F.scaled_dot_product_attention(
            self._split(self.query(asker)),
            self._split(self.key(answerer)),
            self._split(self.value(answerer)),
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(context.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between, four times as wide inside."""

    def __init__(self, width: int):
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class CoAttentionBlock(nn.Module):
    """One exchange between the streams, added to the layers that each stream has anyway.

    Both directions read the states from before the exchange, and the residual of each is the
    asking stream's own input. The text side is post-norm, as BERT is; the vision side is
    pre-norm, as ViT is: a LayerNorm on ViT's residual path would reset its scale.

    Two other values of ``residual`` make blocks that are wrong on purpose, with the same weights:
    ``none`` adds the asker's input to neither answer, ``normed`` makes the vision side post-norm too.
    """

    def __init__(
        self, t_width: int, v_width: int, width: int, heads: int, dropout: float, residual: Residual = "asker"
    ):
        super().__init__()
        self.residual = residual
        self.text_asks = CrossAttention(t_width, v_width, width, heads, dropout)
        self.vision_asks = CrossAttention(v_width, t_width, width, heads, dropout)
        self.text_feed_forward = FeedForward(t_width)
        self.vision_feed_forward = FeedForward(v_width)
        self.text_norm_attention = nn.LayerNorm(t_width, eps=1e-12)
        self.text_norm_output = nn.LayerNorm(t_width, eps=1e-12)
        self.vision_norm_attention = nn.LayerNorm(v_width, eps=1e-6)
        self.vision_norm_output = nn.LayerNorm(v_width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text: Tensor, vision: Tensor, text_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Exchange between ``text`` (B, T, D_t) and ``vision`` (B, P, D_v).

        ``text_mask`` (B, T) is True on content: padding is hidden when the image asks the text.
        """
        post_norm = self.residual == "normed"
        vision_read = vision if post_norm else self.vision_norm_attention(vision)
        to_text = self.text_asks(text, vision_read)
        to_vision = self.vision_asks(vision_read, text, text_mask)

        text = self.text_norm_attention(self._added(text, to_text))
        text = self.text_norm_output(text + self.dropout(self.text_feed_forward(text)))

        vision = self._added(vision, to_vision)
        if post_norm:
            vision = self.vision_norm_attention(vision)
            return text, self.vision_norm_output(vision + self.dropout(self.vision_feed_forward(vision)))
        vision = vision + self.dropout(self.vision_feed_forward(self.vision_norm_output(vision)))
        return text, vision

    def _added(self, asker: Tensor, answer: Tensor) -> Tensor:
        answer = self.dropout(answer)
        return answer if self.residual == "none" else asker + answer


def schedule(t_ids, v_ids, t_layers: int, v_layers: int) -> list[tuple[str, int]]:
    """Order in which the layers run: ``("T", i)``, ``("V", i)`` and ``("C", k)``.

    Id k means *before* self-attention layer k. For each pair of ids the text layers up to its
    text id run, the vision layers up to its vision id, then the block; the rest run last.

    >>> schedule([1], [0], 2, 2)
    [('T', 0), ('C', 0), ('T', 1), ('V', 0), ('V', 1)]
    """
    steps, t, v = [], 0, 0
    for k, (t_id, v_id) in enumerate(zip(t_ids, v_ids, strict=True)):
        steps += [("T", i) for i in range(t, t_id)] + [("V", i) for i in range(v, v_id)] + [("C", k)]
        t, v = t_id, v_id
    return steps + [("T", i) for i in range(t, t_layers)] + [("V", i) for i in range(v, v_layers)]
