"""``data``: what can be done with datasets on disk, a sub-command a module."""

from vilbert_lib.commands import check

MODULES = (check,)


def add_to(commands) -> None:
    """Add the command, and below it those of ``MODULES``, to the parsers of ``commands``."""
    parser = commands.add_parser("data", help="look after the datasets on disk")
    inner = parser.add_subparsers(dest="data_command", required=True)
    for module in MODULES:
        module.add_to(inner)
