"""``measure``: the alignment between the layers of a finished run."""

import argparse
from pathlib import Path


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "measure",
        help="measure the alignment between the layers of a finished run",
        description="Nothing is trained. What was measured before is read; the rest needs the run's weights.",
    )
    parser.add_argument("run_id", metavar="RUN", help="id of a run, or its folder")
    parser.add_argument("--measures", nargs="+", metavar="NAME", help="by default those of the profile quick")
    parser.add_argument("--split", default="", choices=("train", "val", "test"), help="by default test")
    parser.add_argument("--n-samples", type=int, metavar="N", help="largest number of samples (256)")
    parser.add_argument("--k", type=int, help="neighbours (10)")
    parser.add_argument("--pooling", choices=("cls", "mean"), help="first tokens, or the mean of the others (cls)")
    parser.add_argument("--data-root", type=Path, metavar="FOLDER", help="by default the run's own data")
    parser.add_argument("--epoch", default="best", choices=("best", "untrained"), help="whose weights (best)")
    parser.add_argument("--out", type=Path, help="write the whole table: .csv or .parquet")
    parser.set_defaults(run=measure)


def measure(arguments: argparse.Namespace) -> None:
    """Measure, print the layers at the same relative depth, and write the table where that is asked for."""
    from vilbert_lib import features, paths, runs
    from vilbert_lib.representations import is_paired

    if arguments.out:
        features.writable(arguments.out, features.TABLES)  # before the work, not after it
    folder = Path(arguments.run_id).resolve()
    of_store = (folder / "config.json").is_file() and folder.is_relative_to(paths.runs().resolve())
    run_id = folder.relative_to(paths.runs().resolve()).as_posix() if of_store else arguments.run_id
    table = runs.open_run(run_id).alignment(
        arguments.measures,
        n_samples=arguments.n_samples,
        k=arguments.k,
        split=arguments.split,
        pooling=arguments.pooling,
        data_root=arguments.data_root,
        epoch=arguments.epoch,
    )
    shown = table[is_paired(table)]
    grid = shown.pivot(index=["text_layer", "vision_layer"], columns="measure", values="value")
    print(f"{run_id}, {table.n_samples.iloc[0]} samples of {table.split.iloc[0]}, {arguments.epoch} epoch")
    print(grid.round(4).to_string())
    if arguments.out:
        features.write(table, arguments.out)
        print(f"\nwrote {arguments.out}")
