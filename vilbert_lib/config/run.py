"""A run: everything that it depends on, and its id, the hash of all that."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vilbert_lib.config.fields import at_least, distinct, settle, to_dict
from vilbert_lib.config.model import ModelConfig
from vilbert_lib.config.training import TrainConfig

Objective = Literal["mlm", "ap", "mim"]
TaskKind = Literal["binary", "multiclass", "multilabel", "captions"]
#: Metrics that a fine-tuning run records beside its loss, by the kind of its task.
TASK_METRICS = {
    "binary": ("accuracy", "macro_f1", "auroc"),
    "multiclass": ("accuracy", "macro_f1"),
    "multilabel": ("accuracy", "micro_f1", "macro_f1"),
}
OnError = Literal["raise", "skip"]  # what a broken sample does


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """What is measured between the layers of the two streams of a trained run; no part of the run's identity.

    Parameters
    ----------
    measures : tuple of str
        Names of :data:`vilbert_lib.metrics.MEASURES`.
    n_samples : int
        Largest number of samples; a split with fewer gives all.
    k : int
        Neighbours, for the measures that use them.
    pooling : {"cls", "mean"}
        The first token of each stream, or the mean of the others.
    split : {"", "train", "val", "test"}
        Whose samples are used; empty: ``test`` of a fine-tuning run, ``val`` of a pretraining run.
    """

    measures: tuple[str, ...] = ("cka", "unbiased_cka", "mknn", "svcca", "procrustes", "rsa")
    n_samples: int = 256
    k: int = 10
    pooling: Literal["cls", "mean"] = "cls"
    split: Literal["", "train", "val", "test"] = ""

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

    ``data`` are the fingerprints of the task's data (never their path); ``objectives`` is empty for
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

    def __post_init__(self):
        settle(self)
        self._check_names()
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed {self.seed} must lie in 0..{2**31 - 1}")
        distinct("objective", self.objectives)
        if self.objectives and self.start_from:
            raise ValueError(f"start_from {self.start_from!r} is for fine-tuning: pretraining starts afresh")
        self._refuse_what_learns_nothing()

    def _check_names(self) -> None:
        """Both names are part of the run's directory, which must lie in the run store."""
        if Path(self.task).name != self.task or self.task in ("", "..") or "\0" in self.task:
            raise ValueError(f"task {self.task!r} must be the name of a folder, without a path")
        if not re.fullmatch(r"\w[\w.-]*", self.architecture, re.ASCII):
            raise ValueError(
                f"architecture {self.architecture!r} must be made of letters, digits, _, points and dashes"
            )

    def _refuse_what_learns_nothing(self) -> None:
        streams, train = self.model.streams, self.train
        learned = {"text": ("mlm",), "image": ("mim",)}.get(streams, self.objectives)
        if lost := [name for name in self.objectives if name not in learned]:
            raise ValueError(f"objectives {lost} cannot be learned from streams {streams!r} alone")
        if streams in ("text", "image") and train.contrastive_weight:
            raise ValueError(f"contrastive_weight {train.contrastive_weight}: streams {streams!r} leave no pairs")
        if train.alignment_weight and (self.objectives or streams in ("text", "image")):
            raise ValueError(
                f"alignment_weight {train.alignment_weight}: a labelled task and two streams are needed"
            )
        weights = [getattr(train, f"{name}_weight") for name in self.objectives]
        if weights and not any(weights) and not train.contrastive_weight:
            raise ValueError(f"objectives {list(self.objectives)}: the weight of each is 0")

    @property
    def hash8(self) -> str:
        """First eight hexadecimal digits of the SHA-256 of the configuration as JSON."""
        canonical = json.dumps(to_dict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]

    @property
    def id(self) -> str:
        """``<task>/<architecture>-s<seed>-<hash8>``, the run's directory below the run store."""
        return f"{self.task}/{self.architecture}-s{self.seed}-{self.hash8}"
