"""``page``, ``refresh`` and ``plan`` execute studies, ``keep`` archives the results of their runs."""

import argparse
from pathlib import Path


def add_to(commands) -> None:
    """Add the four commands to the parsers of ``commands``."""
    page = commands.add_parser("page", help="run a study into book/results/")
    page.add_argument("name", help="the notebook's name without .ipynb, such as 04_correlation")
    page.add_argument("--profile", default="small", help="(small); pages of others lie in a folder of that name")
    page.set_defaults(run=make_page)
    again = commands.add_parser("refresh", help="run the notebooks' sources and store their outputs")
    again.add_argument("names", nargs="*", help="some of them only, such as 04_correlation")
    again.set_defaults(run=refresh)
    planned = commands.add_parser(
        "plan",
        help="describe the runs of a study, a file each, for `train --planned`",
        description="Execute a study without training: a description of each of its runs, finished or not, is"
        " written below data/plan and its path printed. Runs whose results are archived are left out.",
    )
    planned.add_argument("name", help="the notebook's name without .ipynb, such as 04_correlation")
    planned.add_argument("--profile", default="quick")
    planned.add_argument(
        "--out", type=Path, metavar="FILE", help="write the paths there in place of printing them"
    )
    planned.set_defaults(run=plan)
    kept = commands.add_parser(
        "keep", help="archive the results of all runs trained here at the scale of a profile"
    )
    kept.add_argument("profile", help="such as small")
    kept.set_defaults(run=keep)


def make_page(arguments: argparse.Namespace) -> None:
    """Run one study and say where its page lies."""
    from vilbert_lib import notebooks

    print(f"wrote {notebooks.make_page(arguments.name, arguments.profile)}")


def refresh(arguments: argparse.Namespace) -> None:
    """Run the named sources, or all."""
    from vilbert_lib import notebooks

    notebooks.refresh(arguments.names)


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


def keep(arguments: argparse.Namespace) -> None:
    """Archive, and say what was written."""
    from vilbert_lib import runs
    from vilbert_lib.config import profile

    for path in runs.keep(profile(arguments.profile)):
        print(f"wrote {path}, {path.stat().st_size / 2**20:.1f} MiB")
