"""Search over placements of co-attention and over hyper-parameters, by optuna; a trial is runs like any others.

``start`` begins a search or goes on with it, ``work`` works on it, alone or beside other processes, ``read`` opens
what is there; the others are tables of it.
"""

from vilbert_lib.search.plan import FIGURES, Search
from vilbert_lib.search.record import Record, read, start
from vilbert_lib.search.space import layer_ids, support
from vilbert_lib.search.tables import (
    best_so_far,
    importances,
    pareto,
    placement_density,
    ready_to_use,
    trials,
)
from vilbert_lib.search.work import trained, work

__all__ = [
    "FIGURES",
    "Record",
    "Search",
    "best_so_far",
    "importances",
    "layer_ids",
    "pareto",
    "placement_density",
    "read",
    "ready_to_use",
    "start",
    "support",
    "trained",
    "trials",
    "work",
]
