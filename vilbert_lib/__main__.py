"""Commands: ``python -m vilbert_lib --help``."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Read the command line and call one thing."""
    parser = argparse.ArgumentParser(prog="python -m vilbert_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("page", help="run a study into book/results/<profile>/")
    page.add_argument("name", help="the notebook's name without .ipynb, such as 04_correlation")
    page.add_argument("--profile", default="quick")
    refresh = commands.add_parser("refresh", help="run the notebooks' sources and store their outputs")
    refresh.add_argument("names", nargs="*", help="some of them only, such as 04_correlation")
    align = commands.add_parser(
        "align",
        help="measure the alignment of features that are there",
        description="Layers are the arrays (n, d) of .npz files; their rows must be the same samples.",
    )
    align.add_argument("first", type=Path, metavar="a.npz")
    align.add_argument("second", type=Path, nargs="?", metavar="b.npz", help="left out: a.npz with itself")
    align.add_argument("--measures", nargs="+", metavar="NAME", help="by default cka unbiased_cka mknn")
    align.add_argument("--k", type=int, default=10, help="neighbours (10)")
    align.add_argument(
        "--null", choices=("none", "exact", "permutation"), help="by default exact where all have it"
    )
    align.add_argument("--permutations", type=int, default=200, help="of the permutation null (200)")
    align.add_argument("--device", help="where to compute, such as cuda")
    align.add_argument("--out", type=Path, help="write the whole table: .csv or .parquet")
    align.add_argument("--figure", type=Path, help="draw a heat map: .png, .pdf or .svg")
    arguments = parser.parse_args()
    if arguments.command == "align":
        try:
            align_files(arguments)
        except (ValueError, OSError) as error:
            sys.exit(f"align: {error}")
        return

    from vilbert_lib import studies

    if arguments.command == "page":
        print(f"wrote {studies.make_page(arguments.name, arguments.profile)}")
    else:
        studies.refresh(arguments.names)


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
    table = features.align(
        arguments.first,
        arguments.second,
        measures,
        k=arguments.k,
        null=null,
        permutations=arguments.permutations,
        device=arguments.device,
    )
    print(features.in_words(table))
    if arguments.out:
        features.write(table, arguments.out)
        print(f"\nwrote {arguments.out}")
    if arguments.figure:
        files = " and ".join(str(path) for path in (arguments.first, arguments.second) if path)
        features.heat_map(table, arguments.figure, f"{files}, k = {arguments.k}")
        print(f"wrote {arguments.figure}")


if __name__ == "__main__":
    main()
