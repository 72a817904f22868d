"""``data``: what is done with datasets on disk; a sub-command a module."""

from vilbert_lib.commands import fetch


def add_to(commands) -> None:
    """Add the command and its sub-commands to the parsers of ``commands``."""
    parser = commands.add_parser("data", help="what is done with datasets on disk")
    parts = parser.add_subparsers(dest="part", required=True)
    for module in (fetch,):
        module.add_to(parts)
