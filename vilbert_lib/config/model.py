"""The model: two streams, where they meet, and what their states become."""

from dataclasses import dataclass, field
from typing import Literal

from vilbert_lib.config.fields import LATER, at_least, settle

Fusion = Literal["hadamard", "sum", "concat"]
Streams = Literal["both", "text", "image", "single"]
FrozenStream = Literal["both", "text", "image"]
Pooling = Literal["cls", "mean"]
Pooler = Literal["linear", "none"]
Residual = Literal["asker", "none", "normed"]
Interpolation = Literal["bicubic", "bilinear", "nearest"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The two streams, where they meet, and how their pooled states are fused.

    With ``text_weights`` and ``vision_weights`` (see :mod:`vilbert_lib.weights`) the streams are
    the pretrained ones, and their sizes and the vision transform follow from the weights; otherwise
    they start from noise at the sizes given here.

    ``streams`` says what the label is read from: ``both`` streams, ``text`` or ``image`` alone, or a
    ``single`` stream over words and patches together. ``pooling`` takes the first token of a stream or
    the mean of its others; ``pooler`` puts a linear layer with ReLU behind it, or nothing. Of the
    encoders' own weights ``frozen_layers`` keeps the embeddings and so many layers of each as they are
    (-1: all of them), or of the ``frozen_stream`` alone.

    Two fields repeat mistakes on purpose, to see what they do. ``residual`` is what a co-attention
    block adds to the answers: the ``asker``'s own input; nothing (``none``); or the asker's input with
    a LayerNorm on the sum in both streams (``normed``), as in a vision stream that is post-norm.
    ``vision_passes`` 2 sends the image through the whole vision transformer first, and its output
    through the same blocks again.
    """

    t_biattention_ids: tuple[int, ...] = ()
    v_biattention_ids: tuple[int, ...] = ()
    num_layers: int = 12
    width: int = 64
    heads: int = 4
    image_size: int = 64
    patch_size: int = 16
    vocab_size: int = 30522
    max_tokens: int = 32
    coattention_width: int = 64
    coattention_heads: int = 4
    pooled_width: int = 64
    fusion: Fusion = "hadamard"
    dropout: float = 0.1
    streams: Streams = "both"
    pooling: Pooling = "cls"
    pooler: Pooler = "linear"
    residual: Residual = "asker"
    vision_passes: int = 1
    frozen_layers: int = 0
    text_weights: str = ""
    vision_weights: str = ""
    pixel_mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    pixel_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bicubic"
    frozen_stream: FrozenStream = field(default="both", metadata=LATER)

    def __post_init__(self):
        settle(self)
        at_least(self, 1, "num_layers", "width", "heads", "image_size", "patch_size", "vocab_size")
        at_least(self, 1, "coattention_width", "coattention_heads", "pooled_width")
        at_least(self, 3, "max_tokens")  # a word between the first and the last token
        at_least(self, -1, "frozen_layers")
        for name in ("pixel_mean", "pixel_std"):
            if len(getattr(self, name)) != 3:
                raise ValueError(f"{name} {list(getattr(self, name))} must be three numbers, a channel each")
        if min(self.pixel_std) <= 0:
            raise ValueError(f"pixel_std {list(self.pixel_std)} must be positive")
        t_ids, v_ids = self.t_biattention_ids, self.v_biattention_ids
        if len(t_ids) != len(v_ids):
            raise ValueError(
                f"t_biattention_ids {list(t_ids)} and v_biattention_ids {list(v_ids)} must be equally many:"
                " the k-th text id meets the k-th vision id"
            )
        for name, ids in (("t_biattention_ids", t_ids), ("v_biattention_ids", v_ids)):
            if any(not 0 <= i < self.num_layers for i in ids):
                raise ValueError(f"{name} {list(ids)}: each id must lie in 0..{self.num_layers - 1}")
            if list(ids) != sorted(set(ids)):
                raise ValueError(f"{name} {list(ids)}: ids must increase, each at most once")
        if t_ids and self.streams != "both":
            raise ValueError(f"t_biattention_ids {list(t_ids)}: streams {self.streams!r} leave nothing to meet")
        if self.vision_passes not in (1, 2):
            raise ValueError(f"vision_passes {self.vision_passes}: the image passes once, or by mistake twice")
        if self.vision_passes == 2 and self.streams == "single":
            raise ValueError("vision_passes 2: streams 'single' have no vision stream that could be passed twice")
        if self.frozen_stream != "both" and self.streams == "single":
            raise ValueError(f"frozen_stream {self.frozen_stream!r}: streams 'single' are one, give 'both'")
        if not (self.text_weights or self.vision_weights) and self.frozen_layers > self.num_layers:
            raise ValueError(f"frozen_layers {self.frozen_layers}: the streams have {self.num_layers}")
        for name, total, part in (
            ("width", self.width, self.heads),
            ("coattention_width", self.coattention_width, self.coattention_heads),
            ("image_size", self.image_size, self.patch_size),
        ):
            if total % part:
                raise ValueError(f"{name} {total} is not a multiple of {part}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")

    @property
    def num_patches(self) -> int:
        """Number of patches of an image."""
        return (self.image_size // self.patch_size) ** 2
