"""The training: optimisation, the terms of the loss, and how many samples."""

from dataclasses import dataclass, field
from typing import Literal

from vilbert_lib.config.fields import LATER, at_least, distinct, positive, settle, shares

Precision = Literal["fp32", "bf16"]
MimPositions = Literal["masked", "unmasked"]
Balance = Literal["none", "weights", "sampling"]
AlignmentTerm = Literal["unbiased_cka", "mknn"]
Select = Literal["loss", "accuracy", "auroc", "macro_f1"]

MOST_THREADS = 1024  # more than any machine's cores; torch ends the process where the system gives no more


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

    With ``accumulation`` so many batches make one step, on the mean over the targets of all of them; negatives and
    neighbours of a sample come from its own batch.

    ``compiled`` trains what :func:`torch.compile` makes of the streams: faster on a GPU after a minute of
    compilation, with other last bits.

    ``select`` is the validation metric by which fine-tuning selects the best epoch: the smallest ``loss`` or the
    largest of the others, ``auroc`` on binary tasks only. On imbalanced data a model that always predicts the
    majority class can have the best accuracy, but its ``macro_f1``, the mean of the classes' F1, is low.
    Pretraining selects by validation loss, whatever ``select`` is.

    ``alignment_weight`` times the alignment of the streams within a batch is taken from the loss of a
    labelled task: more than 0 pushes the streams together, less apart. ``alignment_term`` is its measure,
    with ``alignment_k`` neighbours where it has any, ``alignment_layers`` are the layers that are pushed (none
    named: the last): of the deeper stream, each with the layer of the other at the same relative depth.
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
    alignment_weight: float = field(default=0.0, metadata=LATER)
    alignment_term: AlignmentTerm = field(default="unbiased_cka", metadata=LATER)
    alignment_layers: tuple[int, ...] = field(default=(), metadata=LATER)
    alignment_k: int = field(default=5, metadata=LATER)
    compiled: bool = field(default=False, metadata=LATER)
    select: Select = field(default="macro_f1", metadata=LATER | {"before": "accuracy"})

    def __post_init__(self):
        settle(self)
        at_least(self, 1, "epochs", "batch_size", "accumulation", "threads")
        if self.threads > MOST_THREADS:
            raise ValueError(f"threads {self.threads} must be at most {MOST_THREADS}")
        at_least(self, 0, "n_train", "n_eval", "weight_decay")
        at_least(self, 0, "mlm_weight", "ap_weight", "mim_weight", "contrastive_weight")
        positive(self, "lr", "clip_norm", "temperature")
        shares(self, "warmup_fraction", "floor_fraction")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must be two numbers in [0, 1)")
        self._check_alignment()
        if self.contrastive_weight and self.batch_size < 2:
            raise ValueError(f"contrastive_weight {self.contrastive_weight}: a batch of one pair tells none apart")

    def _check_alignment(self) -> None:
        distinct("layer of alignment_layers", self.alignment_layers)
        if any(layer < 0 for layer in self.alignment_layers):
            raise ValueError(f"alignment_layers {list(self.alignment_layers)} must be 0 or more")
        at_least(self, 1, "alignment_k")
        if self.alignment_weight and self.batch_size < self.least_batch:
            needed = f"alignment_term {self.alignment_term!r} needs at least {self.least_batch}"
            raise ValueError(f"batch_size {self.batch_size}: {needed}")

    @property
    def least_batch(self) -> int:
        """How many samples the alignment term needs in every batch."""
        return max(4, self.alignment_k + 2) if self.alignment_term == "mknn" else 4
