"""``data fetch-captions``: the images of Conceptual Captions from their addresses."""

import argparse
import dataclasses
import sys
from pathlib import Path

from vilbert_lib.data.fetch_options import FetchOptions

_SHOWN = 20


def add_to(commands) -> None:
    """Add the command to the parsers of ``commands``."""
    parser = commands.add_parser(
        "fetch-captions",
        help="fetch the images of Conceptual Captions from their addresses",
        description="What became of each line stands in <out>/<part>/fetched.jsonl. Called again, the command"
        " goes on where it stopped: lines that are done and lines that failed for good are not asked for.",
    )
    parser.add_argument("captions", type=Path, metavar="captions.tsv", help="lines of caption, tab, address")
    parser.add_argument("--out", type=Path, required=True, help="the folder conceptual_captions/ of a data root")
    parser.add_argument("--part", help="train or validation (by default what the list's name says)")
    parser.add_argument("--start", type=int, default=0, help="first line, counted from 0 (0)")
    parser.add_argument("--limit", type=int, help="how many lines from there on (all)")
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed for good, too")
    for option in dataclasses.fields(FetchOptions):
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=option.type,
            default=option.default,
            help=f"{option.metadata['meaning']} ({option.default})",
        )
    parser.set_defaults(run=fetch_captions)


def fetch_captions(arguments: argparse.Namespace) -> None:
    """Fetch, and say at the end, however it comes, what became of the lines."""
    from vilbert_lib.data import caption_lists, download

    options = FetchOptions(**{o.name: getattr(arguments, o.name) for o in dataclasses.fields(FetchOptions)})
    with caption_lists.opened(arguments.captions, arguments.out, arguments.part) as part:
        try:
            download.fetch(
                part,
                start=arguments.start,
                limit=arguments.limit,
                retry_failed=arguments.retry_failed,
                options=options,
            )
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr)
            sys.exit(130)
        finally:
            print(_in_words(part))


def _in_words(part) -> str:
    """A line a status, the most frequent first, with its share of the whole list."""
    from vilbert_lib.data.fetched import BROKEN_LINE

    record = part.record
    words = [f"{part.captions}: {len(record)} lines"]
    words += [f"{n:>9}  {n / len(record):7.2%}  {status}" for status, n in record.counts().most_common()]
    if broken := record.lines(BROKEN_LINE):
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        words.append(f"broken lines, counted from 0: {', '.join(map(str, broken[:_SHOWN]))}{more}")
    words.append(f"what became of each: {record.path}")
    return "\n".join(words)
