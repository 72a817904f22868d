"""``page`` runs a study into the book, ``refresh`` the notebooks' sources in place."""

import argparse


def add_to(commands) -> None:
    """Add both commands to the parsers of ``commands``."""
    page = commands.add_parser("page", help="run a study into book/results/")
    page.add_argument("name", help="the notebook's name without .ipynb, such as 04_correlation")
    page.add_argument("--profile", default="small", help="(small); pages of others lie in a folder of that name")
    page.set_defaults(run=make_page)
    again = commands.add_parser("refresh", help="run the notebooks' sources and store their outputs")
    again.add_argument("names", nargs="*", help="some of them only, such as 04_correlation")
    again.set_defaults(run=refresh)


def make_page(arguments: argparse.Namespace) -> None:
    """Run one study and say where its page lies."""
    from vilbert_lib import notebooks

    print(f"wrote {notebooks.make_page(arguments.name, arguments.profile)}")


def refresh(arguments: argparse.Namespace) -> None:
    """Run the named sources, or all."""
    from vilbert_lib import notebooks

    notebooks.refresh(arguments.names)
