"""Memes: a pairing rule that neither side shows alone."""

import json
from pathlib import Path

import numpy as np

from vilbert_lib.synthetic import files
from vilbert_lib.synthetic.drawing import COLOURS, SHAPES, SIZES, TEXTURES, Boards, one_mark, pictures
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import HATEFUL_SHARE, Knobs
from vilbert_lib.synthetic.truth import Truth, entropy
from vilbert_lib.synthetic.world import World, draw_combinations, splits_of

ANIMALS = ("fox", "frog", "whale", "lion", "squid", "raven")  # the colours' partners, in their order
TEMPLATES = (
    "when the {} shows up on monday",
    "nobody expects the {}",
    "my {} after one cup of coffee",
    "this is what a {} thinks of you",
    "look who brought a {} again",
    "a {} walks into an office",
)


def truth(knobs: Knobs) -> Truth:
    """A meme is hateful when the animal that the text names is the partner of the shape's colour.

    Colour and animal are uniform in both classes, so neither side alone tells anything: all that
    is known is synergy. Hateful pairs have benign twins that share their text or their picture's
    content. A share of the labels is flipped.
    """
    noise = entropy(knobs.label_noise)
    majority = 1 - HATEFUL_SHARE
    return Truth(
        synergy=entropy(HATEFUL_SHARE) - noise,
        noise=noise,
        best={"text": majority, "image": majority, "both": 1 - knobs.label_noise},
        label_noise=knobs.label_noise,
    )


def draw(splits: np.ndarray, draws: Draws, knobs: Knobs) -> tuple[Boards, list[str], np.ndarray]:
    """What memes of ``splits`` (n,) show and say, and their labels (n,)."""
    n, styles = len(splits), (4, len(SIZES), len(TEXTURES), len(TEMPLATES))
    places, sizes, textures, templates = draw_combinations(*styles, splits=splits, draws=draws).T
    colours, shapes, other = draws.below(n, len(COLOURS), len(SHAPES), len(COLOURS) - 1).T
    flip = knobs.label_noise
    matches, flipped = draws.happens(n, (HATEFUL_SHARE - flip) / (1 - 2 * flip), flip).T
    animals = np.where(matches, colours, (colours + 1 + other) % len(COLOURS))
    texts = [TEMPLATES[t].format(ANIMALS[a]) for t, a in zip(templates, animals, strict=True)]
    return Boards(2, one_mark(places, colours), shapes, textures, sizes), texts, (matches ^ flipped).astype(int)


def image_name(number: int) -> str:
    """Where in the dataset's folder the image of meme ``number`` lies; the first is 1, parts go on counting."""
    return f"img/{number:05d}.png"


def write(folder: Path, parts: dict[str, int], seed: int, knobs: Knobs) -> None:
    """Write Hateful Memes' layout of phase 1 into ``folder``."""
    (folder / "img").mkdir(parents=True)
    number = 0
    for part, n in parts.items():
        boards, texts, labels = draw(splits_of(part, n), Draws(seed, WORLD.name, part), knobs)
        images = pictures(boards, Draws(seed, WORLD.name, part, "pixels"))
        lines = []
        for pixels, text, label in zip(images, texts, labels.tolist(), strict=True):
            number += 1
            name = image_name(number)
            files.write(f"{folder}/{name}", files.png(pixels))
            lines.append(json.dumps({"id": number, "img": name, "label": label, "text": text}) + "\n")
        files.write_text(folder / f"{part}.jsonl", "".join(lines))


WORLD = World(
    "hateful_memes", lambda sizes: {"train": sizes.train, "dev": sizes.val, "test": sizes.test}, write, truth
)
