"""Shape questions: about the shape and the colour of one drawn thing."""

import json
from math import log2
from pathlib import Path

import numpy as np

from vilbert_lib.synthetic import files
from vilbert_lib.synthetic.drawing import COLOURS, SHAPES, SIZES, TEXTURES, Boards, one_mark, pictures
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import Knobs
from vilbert_lib.synthetic.truth import Truth, entropy
from vilbert_lib.synthetic.world import Sizes, World, draw_combinations, splits_of

EACH = 2  # questions an image
ASK_SHAPE, ASK_COLOUR = 0.2, 0.2  # shares of the questions; the others are answered by yes or no
ANSWERS = (*SHAPES, *COLOURS, "yes", "no")
ASKING_SHAPE = ("what shape is in the image?", "what is the {} shape?", "which shape is {}?")
ASKING_COLOUR = ("what color is the shape?", "what color is the {}?", "which color has the {}?")
AFFIRMED = ("is there a {} in the image?", "does the image contain a {}?")
NEGATED = ("is there not a {} in the image?", "does the image not contain a {}?")


def truth(knobs: Knobs) -> Truth:
    """What question and image tell of the answer; no label is wrong.

    A share of the questions asks for the shape, a share for the colour, the others are yes or no
    about one of the two, true or false, affirmed or negated with equal chances.

    The question alone tells of which kind the answer is, and the image never does: unique to the
    text. The image alone tells which shape or colour would be the answer: unique to the image,
    and none of it is redundant, as within a kind the question tells nothing. Yes or no takes both.
    """
    yes_no = 1 - ASK_SHAPE - ASK_COLOUR
    return Truth(
        unique_text=entropy(ASK_SHAPE, ASK_COLOUR, yes_no),
        unique_image=ASK_SHAPE * log2(len(SHAPES)) + ASK_COLOUR * log2(len(COLOURS)),
        synergy=yes_no,
        best={
            "text": ASK_SHAPE / len(SHAPES) + ASK_COLOUR / len(COLOURS) + yes_no / 2,
            "image": max(ASK_SHAPE, ASK_COLOUR, yes_no / 2),
            "both": 1.0,
        },
    )


def draw_scenes(splits: np.ndarray, draws: Draws) -> tuple[Boards, np.ndarray]:
    """One scene for each of ``splits`` (n,), of the combinations that its split shows; and the colours (n,)."""
    styles = draw_combinations(4, len(SIZES), len(TEXTURES), splits=splits, draws=draws)
    colours, shapes = draws.below(len(splits), len(COLOURS), len(SHAPES)).T
    places, sizes, textures = styles.T
    return Boards(2, one_mark(places, colours), shapes, textures, sizes), colours


def ask(shapes: np.ndarray, colours: np.ndarray, draws: Draws) -> list[tuple[str, str]]:
    """A question and its answer for each of the things with ``shapes`` and ``colours`` (n,)."""
    n = len(shapes)
    kinds = draws.choose(n, [ASK_SHAPE, ASK_COLOUR, 1 - ASK_SHAPE - ASK_COLOUR])
    wordings = draws.below(n, 3, 2, len(SHAPES) - 1, len(COLOURS) - 1)
    coins = draws.happens(n, 0.5, 0.5, 0.5)
    rows = zip(*(values.tolist() for values in (kinds, shapes, colours, wordings, coins)), strict=True)
    return [_question(*row) for row in rows]


def _question(kind: int, shape: int, colour: int, wording: list[int], coins: list[bool]) -> tuple[str, str]:
    if kind == 0:
        return ASKING_SHAPE[wording[0]].format(COLOURS[colour]), SHAPES[shape]
    if kind == 1:
        return ASKING_COLOUR[wording[0]].format(SHAPES[shape]), COLOURS[colour]
    of_shape, true, negated = coins
    _, pattern, other_shape, other_colour = wording
    if of_shape:
        thing = SHAPES[shape if true else (shape + 1 + other_shape) % len(SHAPES)]
    else:
        thing = COLOURS[colour if true else (colour + 1 + other_colour) % len(COLOURS)] + " shape"
    return (NEGATED if negated else AFFIRMED)[pattern].format(thing), "yes" if true != negated else "no"


def write(folder: Path, parts: dict[str, int], seed: int, knobs: Knobs) -> None:
    """Write Easy-VQA's layout into ``folder``."""
    for part, n in parts.items():
        images = folder / "data" / part / "images"
        images.mkdir(parents=True)
        count = -(-n // EACH)
        draws = Draws(seed, WORLD.name, part)
        boards, colours = draw_scenes(splits_of(part, count, tenth=True), draws)
        for i, pixels in enumerate(pictures(boards, Draws(seed, WORLD.name, part, "pixels"))):
            files.write(f"{images}/{i}.png", files.png(pixels))
        asked = ask(boards.shapes.repeat(EACH), colours.repeat(EACH), Draws(seed, WORLD.name, part, "questions"))
        entries = [[*pair, i // EACH] for i, pair in enumerate(asked)]
        files.write_text(images.parent / "questions.json", json.dumps(entries))
    files.write_text(folder / "data" / "answers.txt", "\n".join(ANSWERS) + "\n")


def _parts(sizes: Sizes) -> dict[str, int]:
    return {part: -(-n // EACH) * EACH for part, n in (("train", sizes.train_and_tenth), ("test", sizes.test))}


WORLD = World("easy_vqa", _parts, write, truth)
