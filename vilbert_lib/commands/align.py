"""``align``: measure the alignment of features that are there."""

import argparse
import sys
import warnings
from pathlib import Path


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "align",
        help="measure the alignment of features that are there",
        description="Layers are the arrays (n, d) of .npz files; their rows must be the same samples."
        " An array named ids holds the samples' ids, one a row: they must agree between files.",
    )
    parser.add_argument("first", type=Path, metavar="a.npz")
    parser.add_argument("second", type=Path, nargs="?", metavar="b.npz", help="left out: a.npz with itself")
    parser.add_argument("--measures", nargs="+", metavar="NAME", help="by default cka unbiased_cka mknn")
    parser.add_argument("--k", type=int, default=10, help="neighbours (10)")
    parser.add_argument(
        "--null", choices=("none", "exact", "permutation"), help="by default exact where all have it"
    )
    parser.add_argument("--permutations", type=int, default=200, help="of the permutation null (200)")
    parser.add_argument(
        "--align", action="store_true", help="match rows by the arrays ids; leave out what is not in all"
    )
    parser.add_argument("--subsample", type=int, metavar="N", help="measure so many samples, drawn at random")
    parser.add_argument("--device", help="where to compute, such as cuda")
    parser.add_argument("--out", type=Path, help="write the whole table: .csv or .parquet")
    parser.add_argument("--figure", type=Path, help="draw a heat map: .png, .pdf or .svg")
    parser.set_defaults(run=align_files)


def align_files(arguments: argparse.Namespace) -> None:
    """Measure, print, and write what was asked for."""
    from vilbert_lib import features
    from vilbert_lib.metrics import MEASURES

    measures = arguments.measures or list(features.DEFAULT_MEASURES)
    closed = all(name in MEASURES and MEASURES[name].moments for name in measures)
    null = {None: "exact" if closed else None, "none": None}.get(arguments.null, arguments.null)
    for path, endings in ((arguments.out, features.TABLES), (arguments.figure, features.PICTURES)):
        if path is not None:
            features.writable(path, endings)  # before the work, not after it
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        table = features.align(
            arguments.first,
            arguments.second,
            measures,
            k=arguments.k,
            null=null,
            permutations=arguments.permutations,
            align=arguments.align,
            subsample=arguments.subsample,
            device=arguments.device,
        )
    for warning in noted:
        print(f"align: {warning.message}", file=sys.stderr)
    print(features.in_words(table))
    if arguments.out:
        features.write(table, arguments.out)
        print(f"\nwrote {arguments.out}")
    if arguments.figure:
        files = " and ".join(str(path) for path in (arguments.first, arguments.second) if path)
        features.heat_map(table, arguments.figure, f"{files}, k = {arguments.k}")
        print(f"wrote {arguments.figure}")
