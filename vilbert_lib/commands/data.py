"""``data``: what can be done with datasets on disk."""

from vilbert_lib.commands import check


def add_to(commands) -> None:
    """Add the command, and below it ``data check``, to the parsers of ``commands``."""
    parser = commands.add_parser("data", help="look after the datasets on disk")
    check.add_to(parser.add_subparsers(dest="data_command", required=True))
