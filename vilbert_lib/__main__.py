"""Commands: ``python -m vilbert_lib --help``."""

import argparse


def main() -> None:
    """Read the command line and call one thing."""
    parser = argparse.ArgumentParser(prog="python -m vilbert_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    page = commands.add_parser("page", help="run a study into book/results/<profile>/")
    page.add_argument("name", help="the notebook's name without .ipynb, such as 04_correlation")
    page.add_argument("--profile", default="quick")
    refresh = commands.add_parser("refresh", help="run the notebooks' sources and store their outputs")
    refresh.add_argument("names", nargs="*", help="some of them only, such as 04_correlation")
    arguments = parser.parse_args()

    from vilbert_lib import studies

    if arguments.command == "page":
        print(f"wrote {studies.make_page(arguments.name, arguments.profile)}")
    else:
        studies.refresh(arguments.names)


if __name__ == "__main__":
    main()
