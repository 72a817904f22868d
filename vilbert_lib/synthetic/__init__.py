"""Synthetic data roots: small datasets in the real layouts, with a manifest of what is knowable.

``make_root`` writes one; a module a dataset says what it shows, what its texts say, and how much
each tells of the label. ``Knobs`` sets the latter, ``levels`` gives a series of them.
"""

from vilbert_lib.synthetic.knobs import Knobs, levels
from vilbert_lib.synthetic.roots import (
    TASKS,
    VERSION,
    describe,
    drawn_with,
    ensure_root,
    make_root,
    read_manifest,
    root_of,
    unseen_root,
)

__all__ = [
    "TASKS",
    "VERSION",
    "Knobs",
    "describe",
    "drawn_with",
    "ensure_root",
    "levels",
    "make_root",
    "read_manifest",
    "root_of",
    "unseen_root",
]
