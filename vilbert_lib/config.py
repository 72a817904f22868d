"""Everything that a run depends on, as frozen dataclasses; named architectures and profiles.

A run's name is the hash of its configuration: equal configurations are the same run, wherever
the data lies and whoever started it.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal, get_type_hints

from vilbert_lib.fields import at_least, choose, distinct, positive, settle, shares

#: Co-attention placements, as (text ids, vision ids) for streams of 12 layers.
ARCHITECTURES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "baseline": ((), ()),
    "early_fusion": ((3, 4, 5), (3, 4, 5)),
    "middle_fusion": ((6, 7, 8), (6, 7, 8)),
    "late_fusion": ((9, 10, 11), (9, 10, 11)),
    "asymmetric_fusion": ((6, 7, 8, 9), (3, 5, 7, 9)),
    "optuna1": ((3, 6), (6, 8)),
    "optuna2": ((7, 9, 10, 11), (6, 7, 9, 10)),
    "first_fusion": ((2, 3, 4), (2, 3, 4)),
    "centre_fusion": ((5, 6, 7), (5, 6, 7)),
    "spread_fusion": ((5, 6, 9), (5, 6, 9)),
    "vision_late_fusion": ((4, 8), (10, 11)),
    "second_half_fusion": ((6, 7, 8, 9, 10, 11), (6, 7, 8, 9, 10, 11)),
}

#: What the placements are compared with, as the fields of :class:`ModelConfig` in which they differ.
BASELINES: dict[str, dict] = {
    "text_only": {"streams": "text"},
    "image_only": {"streams": "image"},
    "single_stream": {"streams": "single"},
    "linear_probe": {"fusion": "concat", "pooler": "none", "frozen_layers": -1},
}

Fusion = Literal["hadamard", "sum", "concat"]
Streams = Literal["both", "text", "image", "single"]
Pooling = Literal["cls", "mean"]
Pooler = Literal["linear", "none"]
Residual = Literal["asker", "none", "normed"]
Interpolation = Literal["bicubic", "bilinear", "nearest"]
Precision = Literal["fp32", "bf16"]
Objective = Literal["mlm", "ap", "mim"]
MimPositions = Literal["masked", "unmasked"]
Balance = Literal["none", "weights", "sampling"]
TaskKind = Literal["binary", "multiclass", "multilabel", "captions"]
OnError = Literal["raise", "skip"]  # what a broken sample does


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
    (-1: all of them).

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
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One optimisation: AdamW, linear warm-up, cosine decay to a floor.

    ``threads`` is the number of CPU threads: it decides in which order sums are taken, so the
    last bits of a result depend on it, and it is part of what a run is. ``augment`` changes the
    training images in every epoch, never those that are evaluated.

    The loss is the sum of its terms, each times its weight. The contrastive term tells the pairs of
    a batch apart at ``temperature``, which the masked-image term uses as well; ``mim_positions`` says
    at which patches the latter compares. ``balance`` meets rare labels by ``weights`` of the loss, by
    ``sampling`` them more often, or not at all.
    """

    epochs: int = 10
    batch_size: int = 32
    accumulation: int = 1
    lr: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, ...] = (0.9, 0.98)
    warmup_fraction: float = 0.1
    floor_fraction: float = 0.05
    clip_norm: float = 1.0
    precision: Precision = "fp32"
    gradient_checkpointing: bool = False
    mlm_weight: float = 1.0
    ap_weight: float = 1.0
    mim_weight: float = 1.0
    mim_positions: MimPositions = "masked"
    contrastive_weight: float = 0.0
    temperature: float = 0.07
    balance: Balance = "none"
    threads: int = 1
    augment: bool = False
    n_train: int = 0  # 0: all samples
    n_eval: int = 0  # 0: all samples, for the validation figures of every epoch

    def __post_init__(self):
        settle(self)
        at_least(self, 1, "epochs", "batch_size", "accumulation", "threads")
        at_least(self, 0, "n_train", "n_eval", "weight_decay")
        at_least(self, 0, "mlm_weight", "ap_weight", "mim_weight", "contrastive_weight")
        positive(self, "lr", "clip_norm", "temperature")
        shares(self, "warmup_fraction", "floor_fraction")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must be two numbers in [0, 1)")
        if self.contrastive_weight and self.batch_size < 2:
            raise ValueError(f"contrastive_weight {self.contrastive_weight}: a batch of one pair tells none apart")


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """What is measured between the layers of the two streams while a run is trained."""

    measures: tuple[str, ...] = ("cka", "unbiased_cka", "mknn", "svcca", "procrustes", "rsa")
    n_samples: int = 256
    k: int = 10
    pooling: Literal["cls", "mean"] = "cls"

    def __post_init__(self):
        settle(self)
        if not self.measures:
            raise ValueError("measures is empty: nothing to measure")
        distinct("measure", self.measures)
        at_least(self, 4, "n_samples")
        if not 0 < self.k < self.n_samples:
            raise ValueError(f"k {self.k} must lie in 1..n_samples-1 = {self.n_samples - 1}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run: what is learned, from which data, by which model, from which start.

    ``data`` is the fingerprint of the data root (never its path); ``objectives`` is empty for
    fine-tuning; ``start_from`` is the id of a finished pretraining run, or empty. A broken sample
    is an error; with ``on_error`` ``skip`` it is left out and counted.
    """

    task: str
    architecture: str
    seed: int = 0
    data: str = ""
    objectives: tuple[Objective, ...] = ()
    start_from: str = ""
    on_error: OnError = "raise"
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)

    def __post_init__(self):
        settle(self)
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed {self.seed} must lie in 0..{2**31 - 1}")
        distinct("objective", self.objectives)
        if self.objectives and self.start_from:
            raise ValueError(f"start_from {self.start_from!r} is for fine-tuning: pretraining starts afresh")
        self._refuse_what_learns_nothing()

    def _refuse_what_learns_nothing(self) -> None:
        streams, train = self.model.streams, self.train
        learned = {"text": ("mlm",), "image": ("mim",)}.get(streams, self.objectives)
        if lost := [name for name in self.objectives if name not in learned]:
            raise ValueError(f"objectives {lost} cannot be learned from streams {streams!r} alone")
        if streams in ("text", "image") and train.contrastive_weight:
            raise ValueError(f"contrastive_weight {train.contrastive_weight}: streams {streams!r} leave no pairs")
        weights = [getattr(train, f"{name}_weight") for name in self.objectives]
        if weights and not any(weights) and not train.contrastive_weight:
            raise ValueError(f"objectives {list(self.objectives)}: the weight of each is 0")

    @property
    def hash8(self) -> str:
        canonical = json.dumps(to_dict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]

    @property
    def id(self) -> str:
        """``<task>/<architecture>-s<seed>-<hash8>``, the run's directory below the run store."""
        return f"{self.task}/{self.architecture}-s{self.seed}-{self.hash8}"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A scale at which the whole study can be run."""

    name: str
    model: ModelConfig
    pretrain: TrainConfig
    finetune: TrainConfig
    alignment: AlignmentConfig
    synthetic_samples: int = 0  # training samples a task of the synthetic root; 0: real data only


PROFILES: dict[str, Profile] = {
    "quick": Profile(
        name="quick",
        model=ModelConfig(heads=2, coattention_heads=2, dropout=0.0),
        pretrain=TrainConfig(epochs=12, lr=5e-4, augment=True, n_eval=400),
        finetune=TrainConfig(epochs=8, lr=5e-4),
        alignment=AlignmentConfig(),
        synthetic_samples=1600,
    ),
    "small": Profile(
        name="small",
        model=ModelConfig(
            width=128, coattention_width=128, pooled_width=128, heads=4, coattention_heads=4, patch_size=8
        ),
        pretrain=TrainConfig(epochs=20, batch_size=64, lr=5e-4, augment=True),
        finetune=TrainConfig(epochs=20, batch_size=64, lr=5e-4),
        alignment=AlignmentConfig(n_samples=512),
        synthetic_samples=8000,
    ),
    "base": Profile(
        name="base",
        model=ModelConfig(
            width=768,
            heads=12,
            image_size=224,
            patch_size=16,
            max_tokens=40,
            coattention_width=768,
            coattention_heads=12,
            pooled_width=768,
            text_weights="bert-base-uncased",
            vision_weights="vit_base_patch16_224",
        ),
        pretrain=TrainConfig(epochs=10, batch_size=64, accumulation=8, lr=1e-4, precision="bf16", augment=True),
        finetune=TrainConfig(epochs=9, batch_size=32, lr=3e-5, precision="bf16"),
        alignment=AlignmentConfig(n_samples=512),
    ),
}


def profile(name: str) -> Profile:
    """The profile called ``name``; a ValueError lists the known ones."""
    return choose("profile", name, PROFILES)


def arrange(model: ModelConfig, architecture: str) -> ModelConfig:
    """``model`` with co-attention where the named architecture has it, or as the named baseline."""
    if architecture in BASELINES:
        return dataclasses.replace(model, **BASELINES[architecture])
    known = choose("architecture", architecture, ARCHITECTURES | dict.fromkeys(BASELINES))
    return dataclasses.replace(model, t_biattention_ids=known[0], v_biattention_ids=known[1])


def to_dict(config) -> dict:
    """Plain JSON values of a configuration; tuples become lists."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(cls, values: dict):
    """Rebuild a configuration from :func:`to_dict`; unknown or missing names are a ValueError."""
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}; known: {', '.join(hints)}")
    required = [f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{cls.__name__} needs {', '.join(missing)}")
    kwargs = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            value = from_dict(hints[name], value)
        elif isinstance(value, list):
            value = tuple(value)
        kwargs[name] = value
    return cls(**kwargs)
