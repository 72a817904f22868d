"""MM-IMDb (Arevalo et al. 2017): a poster and a JSON file a movie, and a list of movies a split.

A movie has several plots, of which the longest is the text, and any number of genres. As in the
paper four rare genres are dropped, which leaves 23.
"""

from collections.abc import Iterator
from pathlib import Path

from vilbert_lib.data.formats.files import read_json, value
from vilbert_lib.data.formats.records import Broken, LeftOut, Record, Row, Task, checked, image_path, parsed

# fmt: off
GENRES = (
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family",
    "Fantasy", "Film-Noir", "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi", "Short",
    "Sport", "Thriller", "War", "Western",
)
# fmt: on
DROPPED = ("Adult", "News", "Reality-TV", "Talk-Show")
PARTS = {"train": "train", "val": "dev", "test": "test"}
_NUMBER = {genre: number for number, genre in enumerate(GENRES)}


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Read the movies: split and row, one by one."""
    path = folder / "split.json"
    movies = read_json(path, dict)
    for split, part in PARTS.items():
        if not isinstance(movies.get(part), list):
            raise ValueError(f"{path}: no list of movies under {part!r}")
        for number, movie in enumerate(movies[part]):
            yield split, parsed(f"{path}: {part} entry {number}", str(movie), _movie, folder)


def _movie(movie: str, folder: Path) -> Row:
    try:
        path = image_path(folder / "dataset", f"{movie}.json", folder.parent)
        row = read_json(path, dict)
    except FileNotFoundError as error:
        raise Broken("missing file", str(error)) from error
    except ValueError as error:
        raise Broken("broken line", str(error)) from error
    return parsed(str(path), row, _told, movie, path)


def _told(row: dict, movie: str, path: Path) -> Row:
    genres, plots = value(row, "genres", list), row.get("plot") or []
    plots = [plots] if isinstance(plots, str) else plots
    if not isinstance(plots, list) or not all(isinstance(plot, str) for plot in plots):
        raise ValueError(f"plot {plots!r} is not a list of strings")
    for genre in genres:
        if genre not in GENRES + DROPPED:
            raise Broken("unknown label", f"genre {genre!r} is none of the 27")
    text = max(plots, key=len, default="")
    if not text.strip():
        return LeftOut("no text")
    label = tuple(sorted({_NUMBER[genre] for genre in genres if genre in _NUMBER}))
    return checked(Record(movie, path.with_suffix(".jpeg"), text, label))


TASK = Task(
    name="mm_imdb",
    kind="multilabel",
    annotations=lambda folder: [folder / "split.json", *sorted((folder / "dataset").glob("*.json"))],
    rows=rows,
    labels=lambda folder: GENRES,
    published={("train",): 15_552, ("val",): 2608, ("test",): 7799},
)
