"""``plan`` lists the runs of a study without training any."""

import argparse
from pathlib import Path


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "plan",
        help="describe the runs of a study, a file each, for `train --planned`",
        description="Execute a study without training: a description of each of its runs, finished or not, is"
        " written below data/plan and its path printed. Runs whose figures are kept are left out.",
    )
    parser.add_argument("name", help="the notebook's name without .ipynb, such as 04_correlation")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the paths there in place of printing them")
    parser.set_defaults(run=plan)


def plan(arguments: argparse.Namespace) -> None:
    """Plan one study and say where the descriptions of its runs lie."""
    from vilbert_lib import notebooks
    from vilbert_lib.files import check_writable
    from vilbert_lib.training import checkpoint

    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        check_writable(arguments.out.parent)
    lines = "".join(f"{path}\n" for path in notebooks.plan(arguments.name, arguments.profile))
    if arguments.out:
        checkpoint.write(arguments.out, lambda path: path.write_text(lines, encoding="utf-8"))
    else:
        print(lines, end="")
