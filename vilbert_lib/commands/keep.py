"""``keep`` puts the figures of a profile's runs into the archive that lies with the code."""

import argparse


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "keep", help="archive the figures of all runs trained here at the scale of a profile"
    )
    parser.add_argument("profile", help="such as small")
    parser.set_defaults(run=keep)


def keep(arguments: argparse.Namespace) -> None:
    """Archive, and say what was written."""
    from vilbert_lib import runs
    from vilbert_lib.config import profile

    for path in runs.keep(profile(arguments.profile)):
        print(f"wrote {path}, {path.stat().st_size / 2**20:.1f} MiB")
