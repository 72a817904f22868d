"""``simulate``: count how often each statistical procedure is mistaken, on studies that are made for it."""

import argparse
from pathlib import Path

from vilbert_lib.files import check_writable
from vilbert_lib.paths import REPOSITORY


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "simulate",
        help="count how often each statistical procedure is mistaken",
        description="Makes studies without an effect and writes type_one_error.csv, and the same as a wide table.",
    )
    parser.add_argument("--draws", type=int, default=10_000, help="studies of each design and ICC (10 000)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2); they do not change the numbers")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "data" / "results", help="folder (data/results)")
    parser.set_defaults(run=simulate)


def simulate(arguments: argparse.Namespace) -> None:
    """Simulate, and write both tables."""
    from vilbert_lib.stats.simulate import error_rates, side_by_side

    for name, least in (("draws", 1), ("seed", 0), ("jobs", 1)):
        if (value := getattr(arguments, name)) < least:
            raise ValueError(f"--{name} {value} must be at least {least}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    check_writable(arguments.out)
    rates = error_rates(arguments.draws, seed=arguments.seed, jobs=arguments.jobs)
    write(rates, arguments.out / "type_one_error.csv")
    write(side_by_side(rates), arguments.out / "type_one_error_wide.csv")
    print(f"{arguments.draws} studies of each design and ICC, seed {arguments.seed}")


def write(table, path: Path) -> None:
    """Write ``table``, four digits behind the point, beside ``path`` and move it there."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        table.round(4).to_csv(unfinished, index=False)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"wrote {path}")
