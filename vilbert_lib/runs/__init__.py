"""The runs: describe one, train it if it is missing, read it back."""

from vilbert_lib.runs.describe import configure
from vilbert_lib.runs.inputs import data_root_of, dataset, samples_in
from vilbert_lib.runs.machine import device_name
from vilbert_lib.runs.planning import NOT_LISTED, NotTrainedError, RunList
from vilbert_lib.runs.store import (
    Run,
    alignments,
    build_model,
    histories,
    keep,
    matching,
    open_run,
    start_of,
    summaries,
    training_alignments,
)
from vilbert_lib.runs.training import ensure, train

__all__ = [
    "NOT_LISTED",
    "NotTrainedError",
    "Run",
    "RunList",
    "alignments",
    "build_model",
    "configure",
    "data_root_of",
    "dataset",
    "device_name",
    "ensure",
    "histories",
    "keep",
    "matching",
    "open_run",
    "samples_in",
    "start_of",
    "summaries",
    "train",
    "training_alignments",
]
