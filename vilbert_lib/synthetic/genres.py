"""Films with 23 genres, each told by both sides, by one, or only by the two together."""

import json
from itertools import product
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vilbert_lib.synthetic import files
from vilbert_lib.synthetic.drawing import COLOURS, NOTHING, SHAPES, SIZES, TEXTURES, Boards, pictures
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import Knobs
from vilbert_lib.synthetic.truth import Truth, entropy
from vilbert_lib.synthetic.world import World, draw_combinations, splits_of


class Genre(NamedTuple):
    """A genre: its name, which part of the information it is, in how many of 16 films it is, its words."""

    name: str
    part: str
    sixteenths: int
    words: tuple[str, ...] = ()


# The names are those of MM-IMDb, and so is their order by frequency. One of the redundant genres is
# always there: of their sixteenths the films without any are left out.
GENRES = (
    Genre("Drama", "redundancy", 8, ("tears", "sorrow", "grief")),
    Genre("Comedy", "synergy", 5, ("joke", "prank", "clown")),
    Genre("Romance", "unique_text", 4, ("kiss", "wedding", "lovers")),
    Genre("Thriller", "unique_image", 4),
    Genre("Crime", "redundancy", 3, ("gangster", "heist", "robbery")),
    Genre("Action", "unique_image", 3),
    Genre("Adventure", "synergy", 2, ("jungle", "treasure", "voyage")),
    Genre("Horror", "redundancy", 2, ("ghost", "demon", "vampire")),
    Genre("Documentary", "unique_text", 2, ("interview", "archive", "narrator")),
    Genre("Mystery", "unique_text", 2, ("clue", "riddle", "secret")),
    Genre("Sci-Fi", "unique_image", 2),
    Genre("Fantasy", "redundancy", 2, ("wizard", "dragon", "elf")),
    Genre("Family", "unique_text", 1, ("puppy", "kids", "grandma")),
    Genre("Biography", "unique_text", 1, ("portrait", "memoir", "lifetime")),
    Genre("War", "redundancy", 1, ("soldier", "battle", "trench")),
    Genre("History", "unique_text", 1, ("empire", "king", "castle")),
    Genre("Music", "synergy", 1, ("guitar", "singer", "band")),
    Genre("Animation", "unique_image", 1),
    Genre("Musical", "unique_image", 1),
    Genre("Western", "redundancy", 1, ("cowboy", "sheriff", "saloon")),
    Genre("Sport", "synergy", 1, ("boxing", "football", "race")),
    Genre("Short", "unique_text", 1, ("sketch", "minute", "moment")),
    Genre("Film-Noir", "redundancy", 1, ("detective", "shadows", "alley")),
)
TEMPLATES = (
    "a film with {}",
    "the story of {}",
    "two hours of {}",
    "an old tale about {}",
    "nobody forgets {} in this one",
    "it all begins with {}",
)
OUTLINE = "a film"  # a second plot, shorter than any other: readers take the longest


def _of(*parts: str) -> np.ndarray:
    return np.array([i for i, genre in enumerate(GENRES) if genre.part in parts])


BOTH, MIXED = _of("redundancy"), _of("synergy")
IN_IMAGE = _of("redundancy", "unique_image", "synergy")  # a place of the 4 x 4 board each
IN_TEXT = _of("redundancy", "unique_text", "synergy")


def _subsets() -> tuple[np.ndarray, np.ndarray]:
    """All sets of redundant genres (m, 7) bool but the empty one, and their chances (m,)."""
    sets = list(product((False, True), repeat=len(BOTH)))[1:]
    rates = [GENRES[i].sixteenths for i in BOTH]
    weights = [prod(r if there else 16 - r for r, there in zip(rates, s, strict=True)) for s in sets]
    return np.array(sets), np.array(weights) / sum(weights)


def shares() -> np.ndarray:
    """The share of films that have each genre, (23,)."""
    sets, chances = _subsets()
    result = np.array([genre.sixteenths / 16 for genre in GENRES])
    result[BOTH] = chances @ sets
    return result


def truth(knobs: Knobs) -> Truth:
    """What plot and poster tell of all 23 genres, and the best accuracy by label; no label is wrong.

    A redundant genre has its word in the plot and its mark on the poster; one that is unique to a
    side shows on this side alone. For a genre of synergy the mark is tossed like a coin, and the
    word is there where mark and genre differ: each alone is as good as a coin, and the genre is
    there where one of the two is, but not both. The genres of the three latter parts are
    independent of all others, so each adds its own entropy to its part.
    """
    chance = shares()
    bits = {
        part: sum(entropy(chance[i]) for i in _of(part)) for part in ("unique_text", "unique_image", "synergy")
    }
    majority = np.maximum(chance, 1 - chance)
    best = {}
    for side, seen in (("text", _of("redundancy", "unique_text")), ("image", _of("redundancy", "unique_image"))):
        accuracy = majority.copy()
        accuracy[seen] = 1.0
        best[side] = float(accuracy.mean())
    return Truth(redundancy=entropy(*_subsets()[1]), **bits, best=best | {"both": 1.0})


def by_genre() -> dict[str, dict]:
    """For each genre its part of the information, its share of the films and its bits."""
    chance = shares().tolist()
    return {
        genre.name: {"part": genre.part, "share": share, "bits": entropy(share)}
        for genre, share in zip(GENRES, chance, strict=True)
    }


def draw(n: int, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Genres of n films (n, 23), and what posters mark (n, 16) and plots name (n, 18), all bool."""
    films = draws.happens(n, *(genre.sixteenths / 16 for genre in GENRES))
    sets, chances = _subsets()
    films[:, BOTH] = sets[draws.choose(n, chances.tolist())]
    poster, plot = films.copy(), films.copy()
    poster[:, MIXED] = draws.happens(n, *[0.5] * len(MIXED))
    plot[:, MIXED] = films[:, MIXED] ^ poster[:, MIXED]
    return films, poster[:, IN_IMAGE], plot[:, IN_TEXT]


def posters(marks: np.ndarray, styles: np.ndarray, draws: Draws, ways: int) -> Boards:
    """A board with each genre's mark at its place, in one of the genre's colours."""
    n, count = marks.shape
    colours = (np.arange(count) + draws.below(n, *[ways] * count)) % len(COLOURS)
    shapes, sizes, textures, _ = styles.T
    return Boards(4, np.where(marks, colours, NOTHING), shapes, textures, sizes)


def plots(shown: np.ndarray, templates: np.ndarray, draws: Draws, ways: int) -> list[str]:
    """A text with one of the words of each genre that is ``shown`` (n, 18), in any order."""
    n, count = shown.shape
    orders, chosen = draws.orders(n, count).tolist(), draws.below(n, *[ways] * count).tolist()
    words = [GENRES[i].words for i in IN_TEXT]
    return [
        TEMPLATES[t].format(" ".join(words[g][way[g]] for g in order if there[g]))
        for t, there, order, way in zip(templates.tolist(), shown.tolist(), orders, chosen, strict=True)
    ]


def write(folder: Path, parts: dict[str, int], seed: int, knobs: Knobs) -> None:
    """Write MM-IMDb's layout into ``folder``; every fourth film has a second, shorter plot."""
    (folder / "dataset").mkdir(parents=True)
    names, number, splits = [genre.name for genre in GENRES], 0, {}
    for part, n in parts.items():
        draws = Draws(seed, WORLD.name, part)
        films, marks, shown = draw(n, draws)
        styles = draw_combinations(
            *(len(SHAPES), len(SIZES), len(TEXTURES), len(TEMPLATES)), splits=splits_of(part, n), draws=draws
        )
        texts = plots(shown, styles[:, 3], draws, knobs.heterogeneity)
        boards = posters(marks, styles, draws, knobs.heterogeneity)
        images = pictures(boards, Draws(seed, WORLD.name, part, "pixels"))
        splits[part] = []
        for pixels, text, film in zip(images, texts, films.tolist(), strict=True):
            number += 1
            splits[part].append(f"{number:07d}")
            told = {0: [OUTLINE, text], 4: [text, OUTLINE]}.get(number % 8, [text])
            named = [name for name, there in zip(names, film, strict=True) if there]
            row = json.dumps({"plot": told, "genres": named})
            files.write(f"{folder}/dataset/{number:07d}.json", row.encode())
            files.write(f"{folder}/dataset/{number:07d}.jpeg", files.jpeg(pixels))
    files.write_text(folder / "split.json", json.dumps(splits))


WORLD = World("mm_imdb", lambda sizes: {"train": sizes.train, "dev": sizes.val, "test": sizes.test}, write, truth)
