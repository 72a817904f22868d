"""Where in a synthetic sample the answer lies: the box of the drawn thing, and the words that decide.

Nothing of it is on disk: the draws of the generator are repeated.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vilbert_lib.config import choose
from vilbert_lib.synthetic import memes, questions
from vilbert_lib.synthetic.drawing import COLOURS, SHAPES, SIZE, Boards, marks
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import Knobs
from vilbert_lib.synthetic.roots import VERSION, read_manifest
from vilbert_lib.synthetic.world import splits_of

Box = tuple[float, float, float, float]  # top, left, bottom, right, as shares of the side
Part = tuple[str, list[str], Boards]  # of a dataset: its name, its images' names, what they show

_YES_NO = re.compile(r"^(?:is there|does the image)\b")
_NAMED = re.compile(rf"\b(?:{'|'.join((*COLOURS, *SHAPES, 'not'))})\b")
_ANIMAL = re.compile(rf"\b(?:{'|'.join(memes.ANIMALS)})\b")


def boxes(data_root: Path, task: str) -> dict[Path, Box]:
    """For every image of ``task`` the smallest box around the thing that it shows.

    A ValueError for data that are not synthetic, or of another version of the generator, and for a task whose
    images show several things.
    """
    choose("task with one drawn thing", task, _PARTS)
    manifest = read_manifest(data_root)
    if manifest is None or manifest["version"] != VERSION:
        raise ValueError(
            f"data root {data_root} was not made by version {VERSION} of the generator: no box is known"
        )
    found = {}
    seed, knobs = manifest["seed"], Knobs(**manifest["knobs"])
    for part, names, boards in _PARTS[task](manifest["sizes"][task], seed, knobs):
        drawn = marks(boards, Draws(seed, task, part, "pixels"))
        for name, marked in zip(names, drawn, strict=True):
            found[Path(data_root) / task / name] = _around(marked)
    return found


def deciding_words(task: str, text: str) -> list[tuple[int, int]]:
    """Where in ``text`` the words stand that decide the answer, as (first letter, one past the last).

    In ``hateful_memes`` the animal; in ``easy_vqa`` the thing that is asked for and ``not``, where the answer is
    yes or no. Empty where the question is an open one, as no word of it can be left out alone.
    """
    choose("task with one drawn thing", task, _PARTS)
    if task == questions.WORLD.name and not _YES_NO.match(text):
        return []
    pattern = _ANIMAL if task == memes.WORLD.name else _NAMED
    return [match.span() for match in pattern.finditer(text)]


def _around(marked: np.ndarray) -> Box:
    rows, columns = (np.flatnonzero(marked.any(axis)) for axis in (1, 0))
    return rows[0] / SIZE, columns[0] / SIZE, (rows[-1] + 1) / SIZE, (columns[-1] + 1) / SIZE


def _memes(sizes: dict[str, int], seed: int, knobs: Knobs) -> Iterator[Part]:
    number = 0
    for part, n in sizes.items():
        boards, _, _ = memes.draw(splits_of(part, n), Draws(seed, memes.WORLD.name, part), knobs)
        yield part, [memes.image_name(number + i) for i in range(1, n + 1)], boards
        number += n


def _questions(sizes: dict[str, int], seed: int, knobs: Knobs) -> Iterator[Part]:
    for part, n in sizes.items():
        count = -(-n // questions.EACH)
        draws = Draws(seed, questions.WORLD.name, part)
        boards, _ = questions.draw_scenes(splits_of(part, count, tenth=True), draws)
        yield part, [f"data/{part}/images/{i}.png" for i in range(count)], boards


_PARTS = {memes.WORLD.name: _memes, questions.WORLD.name: _questions}

#: Tasks whose evidence is known.
TASKS = tuple(_PARTS)
