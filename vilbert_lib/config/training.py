"""The training: optimisation, the terms of the loss, and how many samples."""

from dataclasses import dataclass
from typing import Literal

from vilbert_lib.config.fields import at_least, positive, settle, shares

Precision = Literal["fp32", "bf16"]
MimPositions = Literal["masked", "unmasked"]
Balance = Literal["none", "weights", "sampling"]


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
