"""Reads synthetic datasets back: from every image what it shows, from every text what it says."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import picture_reader
from picture_reader import INKS

from vilbert_lib.data import formats
from vilbert_lib.synthetic import dishes, genres, memes


@dataclass
class Samples:
    """The n samples of a dataset: splits, texts and labels (n,), and what their images show."""

    splits: np.ndarray
    texts: list[str]
    labels: list
    images: list[Path]
    seen: picture_reader.Seen

    def scene(self, i: int) -> tuple:
        """All that the image of sample i shows."""
        seen = self.seen
        return tuple(seen.inks[i].tolist()), tuple(seen.hollow[i].tolist()), tuple(seen.styles[i].tolist())


def _films(root: Path):
    folder = root / "mm_imdb"
    for part, ids in json.loads((folder / "split.json").read_text()).items():
        for i in ids:
            film = json.loads((folder / "dataset" / f"{i}.json").read_text())
            split = {"dev": "val"}.get(part, part)
            yield split, max(film["plot"], key=len), tuple(film["genres"]), folder / "dataset" / f"{i}.jpeg"


def _dishes(root: Path):
    folder = root / "upmc_food"
    for part in ("train", "test"):
        with open(folder / "texts" / f"{part}_titles.csv", encoding="utf-8", newline="") as file:
            for img, text, dish in csv.reader(file):
                split = "val" if part == "train" and img.endswith("9.jpg") else part
                yield split, text, dish, folder / "images" / part / dish / img


def _records(root: Path, task: str):
    splits = formats.task(task).splits(root)
    names = formats.task(task).labels(root / task)
    for split in ("train", "val") if task == "conceptual_captions" else splits:
        for record in splits[split]:
            yield split, record.text, None if record.label is None else names[record.label], record.img


def samples(root: Path, task: str) -> Samples:
    """The samples of the dataset ``task`` below ``root``; every picture must be one of the drawings."""
    reader = {"mm_imdb": _films, "upmc_food": _dishes}.get(task)
    rows = list(reader(root) if reader else _records(root, task))
    splits, texts, labels, images = zip(*rows, strict=True)
    files = sorted(set(images))
    seen = picture_reader.read(picture_reader.load(files), 4 if task == "mm_imdb" else 2)
    # PNGs show the very drawing; JPEGs blur a pixel now and then.
    assert seen.errors.max() <= (0.02 if files[0].suffix.startswith(".j") else 0)
    place = {path: i for i, path in enumerate(files)}
    rows = np.array([place[path] for path in images])
    seen = picture_reader.Seen(*(values[rows] for values in seen))
    return Samples(np.array(splits), list(texts), list(labels), list(images), seen)


def one_ink(seen: picture_reader.Seen) -> tuple[np.ndarray, np.ndarray]:
    """Place and ink (n,) of pictures that show one mark each."""
    there = seen.inks != INKS.index("nothing")
    assert (there.sum(1) == 1).all() and not seen.hollow.any()
    return there.argmax(1), seen.inks.min(1)


def template(text: str, templates: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """The number of the one template that ``text`` follows, and what fills it, by position."""
    found = []
    for number, pattern in enumerate(templates):
        parts = re.split(r"\{(\d?)\}", pattern)
        match = re.fullmatch("(.+)".join(map(re.escape, parts[::2])), text)
        if match:
            filled = dict(zip([int(p or 0) for p in parts[1::2]], match.groups(), strict=True))
            found.append((number, tuple(filled[i] for i in sorted(filled))))
    assert len(found) == 1, text
    return found[0]


def animals(s: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of template and animal (n,) of memes."""
    read = [template(text, memes.TEMPLATES) for text in s.texts]
    return np.array([t for t, _ in read]), np.array([memes.ANIMALS.index(word) for _, (word,) in read])


def plot_words(s: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of templates (n,), and for each genre whether the plot names it (n, 23) bool."""
    genre_of = {word: i for i, genre in enumerate(genres.GENRES) for word in genre.words}
    said, numbers = np.zeros((len(s.texts), len(genres.GENRES)), bool), []
    for row, text in enumerate(s.texts):
        number, (words,) = template(text, genres.TEMPLATES)
        numbers.append(number)
        named = [genre_of[word] for word in words.split()]
        assert len(named) == len(set(named))
        said[row, named] = True
    return np.array(numbers), said


def poster_marks(s: Samples) -> np.ndarray:
    """For each genre whether the poster marks it, (n, 23) bool: places go to genres in their order."""
    shown = [i for i, genre in enumerate(genres.GENRES) if genre.part != "unique_text"]
    marked = np.zeros((len(s.texts), len(genres.GENRES)), bool)
    marked[:, shown] = s.seen.inks != INKS.index("nothing")
    return marked


def genre_labels(s: Samples) -> np.ndarray:
    """Genres, (n, 23) bool."""
    return np.array([[genre.name in named for genre in genres.GENRES] for named in s.labels])


BLANK, MIXED = 2, 3  # the values of an erased word or mark; a mixed 0 is 3, a mixed 1 is 4


def recipe_values(s: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of templates (n,), and what the text shows of each bit, (n, 4): 0, 1, blank or mixed."""
    value = {word: v for pair in dishes.INGREDIENTS for v, group in enumerate(pair) for word in group}
    value |= {f"maybe {word}": v + MIXED for word, v in value.items()} | {"something": BLANK}
    read = [template(text, dishes.TEMPLATES) for text in s.texts]
    return np.array([t for t, _ in read]), np.array([[value[word] for word in words] for _, words in read])


def plate_values(s: Samples) -> np.ndarray:
    """What the image shows of each bit, (n, 4): 0, 1, blank or mixed."""
    value = {"red": 0, "yellow": 0, "black": 0, "blue": 1, "green": 1, "purple": 1, "white": BLANK, "nothing": -1}
    values = np.array([value[ink] for ink in INKS])[s.seen.inks]
    assert (values >= 0).all()
    return values + MIXED * s.seen.hollow


def dish_bits(s: Samples) -> np.ndarray:
    """The four bits of each label, (n, 4)."""
    return np.array([dishes.DISHES.index(dish) for dish in s.labels])[:, None] >> np.arange(4) & 1
