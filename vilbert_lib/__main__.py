"""Commands: ``python -m vilbert_lib --help``."""

import argparse
import sys

from vilbert_lib.commands import align, data, explain, keep, pages, plan, search, simulate, train


def main() -> None:
    """Read the command line and call one thing; what the user can mend ends in a sentence, not in a traceback."""
    parser = argparse.ArgumentParser(prog="python -m vilbert_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (pages, plan, train, search, keep, align, explain, data, simulate):
        module.add_to(commands)
    arguments = parser.parse_args()
    try:
        if status := arguments.run(arguments):
            sys.exit(status)
    except (ValueError, OSError) as error:
        sys.exit(f"{arguments.command}: {error}")


if __name__ == "__main__":
    main()
