"""Commands: ``python -m vilbert_lib --help``."""

import argparse
import pickle
import sys
import zipfile
import zlib
from concurrent.futures.process import BrokenProcessPool

from vilbert_lib.commands import align, data, explain, measure, pages, search, store, train


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m vilbert_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (pages, train, store, search, align, measure, explain, data):
        module.add_to(commands)
    return parser


def main() -> None:
    """Read the command line and run its command.

    An error of the data, the machine or the user's input ends in one line and exit status 1. An error of the
    program itself, such as a TypeError, keeps its traceback.
    """
    arguments = parser().parse_args()
    try:
        if status := arguments.run(arguments):
            sys.exit(status)
    except KeyboardInterrupt:
        print(f"{arguments.command}: interrupted", file=sys.stderr)
        sys.exit(130)
    except _EXPECTED as error:
        sys.exit(f"{arguments.command}: {_in_one_line(error)}")
    except Exception as error:
        if not isinstance(error, _expected_of_libraries()) and _NO_MEMORY not in str(error):
            raise
        sys.exit(f"{arguments.command}: {_in_one_line(error)}")


_NO_MEMORY = "can't allocate memory"  # in the RuntimeError of torch's allocator on a CPU
_OF_FILES = (EOFError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError)
_EXPECTED = (ValueError, OSError, FloatingPointError, MemoryError, BrokenProcessPool, *_OF_FILES)


def _expected_of_libraries() -> tuple[type[Exception], ...]:
    from optuna.exceptions import OptunaError  # here, as these take seconds to import
    from safetensors import SafetensorError
    from sqlalchemy.exc import SQLAlchemyError
    from torch import OutOfMemoryError

    return (OptunaError, SafetensorError, SQLAlchemyError, OutOfMemoryError)


def _in_one_line(error: Exception) -> str:
    if type(error).__name__ == "StorageInternalError":  # optuna's, which guesses; the database knows
        error = error.__cause__ or error
    words = " ".join(str(getattr(error, "orig", None) or error).split())  # without the statement in SQL
    if isinstance(error, MemoryError) and not words:
        return "not enough memory: use fewer samples, a smaller batch or fewer processes"
    return words or repr(error)


if __name__ == "__main__":
    main()
