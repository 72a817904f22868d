"""Worlds of drawn scenes, and what is asked of them: memes, questions, captions.

Each image shows one shape on a noisy ground. What image, text and both can tell is a matter of
counting: the ``..._bayes`` functions give the accuracy that no model can beat.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64  # pixels a side

COLOURS = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 80, 220),
    "yellow": (235, 215, 50),
    "purple": (140, 55, 175),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "rectangle", "triangle", "diamond")
TEXTURES = ("plain", "striped", "dotted")
QUADRANTS = ("upper left", "upper right", "lower left", "lower right")
SIZES = ("small", "large")
ANIMALS = {  # each colour's partner in the memes
    "red": "fox",
    "green": "frog",
    "blue": "whale",
    "yellow": "lion",
    "purple": "squid",
    "black": "raven",
}


class Scene(NamedTuple):
    """What an image shows; everything else in it is noise."""

    colour: str
    shape: str
    texture: str
    quadrant: str
    size: str


def draw_scene(rng: np.random.Generator) -> Scene:
    """A scene with every attribute uniform and independent."""
    values = (tuple(COLOURS), SHAPES, TEXTURES, QUADRANTS, SIZES)
    return Scene(*(options[rng.integers(len(options))] for options in values))


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw ``scene`` on a noisy grey ground, a little displaced."""
    radius = {"small": 10, "large": 15}[scene.size]
    column, row = "right" in scene.quadrant, "lower" in scene.quadrant
    x, y = (SIZE // 4 + SIZE // 2 * side + rng.integers(-3, 4) for side in (column, row))
    mask = Image.new("L", (SIZE, SIZE))
    pen = ImageDraw.Draw(mask)
    match scene.shape:
        case "circle":
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        case "rectangle":
            pen.rectangle((x - radius, y - 0.7 * radius, x + radius, y + 0.7 * radius), fill=255)
        case "triangle":
            pen.polygon(((x, y - radius), (x - radius, y + radius), (x + radius, y + radius)), fill=255)
        case "diamond":
            pen.polygon(((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)), fill=255)
    inside = np.asarray(mask) > 0
    rows, columns = np.indices((SIZE, SIZE))
    match scene.texture:
        case "striped":
            inside = inside & ((rows + columns) % 6 < 4)
        case "dotted":
            inside = inside & ~((rows % 5 < 2) & (columns % 5 < 2))
    ground = rng.integers(110, 150, size=(SIZE, SIZE, 1)) + rng.integers(-12, 13, size=(SIZE, SIZE, 3))
    ink = np.array(COLOURS[scene.colour]) + rng.integers(-12, 13, size=(SIZE, SIZE, 3))
    return Image.fromarray(np.where(inside[..., None], ink, ground).clip(0, 255).astype(np.uint8))


def pick(rng: np.random.Generator, options):
    """One of ``options``, uniformly."""
    return options[rng.integers(len(options))]


# Memes: hateful when the animal that the text names is the partner of the shape's colour. Colour
# and animal are uniform by themselves in both classes, so neither side alone tells anything, and
# every hateful pair has benign twins that share its text or its picture's content.

MEME_POSITIVE = 0.36  # share of positive labels, after label noise
MEME_NOISE = 0.05
MEME_TEMPLATES = (
    "when the {} shows up on monday",
    "nobody expects the {}",
    "my {} after one cup of coffee",
    "this is what a {} thinks of you",
    "look who brought a {} again",
    "a {} walks into an office",
)


def meme(rng: np.random.Generator) -> tuple[Scene, str, int]:
    """A scene, a text and a label: the pairing rule, flipped with probability ``MEME_NOISE``."""
    scene = draw_scene(rng)
    matches = rng.random() < (MEME_POSITIVE - MEME_NOISE) / (1 - 2 * MEME_NOISE)
    others = [colour for colour in COLOURS if colour != scene.colour]
    partner = scene.colour if matches else pick(rng, others)
    text = pick(rng, MEME_TEMPLATES).format(ANIMALS[partner])
    return scene, text, int(matches != (rng.random() < MEME_NOISE))


def meme_bayes() -> dict[str, float]:
    """Best possible accuracy: one side alone tells nothing, both tell all but the noise."""
    majority = 1 - MEME_POSITIVE
    return {"text": majority, "image": majority, "both": 1 - MEME_NOISE}


# Shape questions: a share asks for the shape, a share for the colour, the rest are yes/no about
# one of the two, true or false, affirmed or negated with equal chances.

ASK_SHAPE, ASK_COLOUR = 0.2, 0.2
ANSWERS = (*SHAPES, *COLOURS, "yes", "no")


def question(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """A question about ``scene`` and its answer."""
    kind = rng.random()
    if kind < ASK_SHAPE:
        return pick(rng, ("what shape is in the image?", "what is the {0} shape?", "which shape is {0}?")).format(
            scene.colour
        ), scene.shape
    if kind < ASK_SHAPE + ASK_COLOUR:
        return pick(
            rng, ("what color is the shape?", "what color is the {0}?", "which color has the {0}?")
        ).format(scene.shape), scene.colour
    truth = scene.shape if rng.random() < 0.5 else scene.colour
    options = SHAPES if truth in SHAPES else tuple(COLOURS)
    true, negated = rng.random() < 0.5, rng.random() < 0.5
    named = truth if true else pick(rng, [option for option in options if option != truth])
    thing = named if named in SHAPES else f"{named} shape"
    pattern = (
        ("is there not a {} in the image?", "does the image not contain a {}?")
        if negated
        else ("is there a {} in the image?", "does the image contain a {}?")
    )
    return pick(rng, pattern).format(thing), "yes" if true != negated else "no"


def question_bayes() -> dict[str, float]:
    """Best possible accuracy of the question alone, the image alone, and both."""
    yes_no = 1 - ASK_SHAPE - ASK_COLOUR
    text = ASK_SHAPE / len(SHAPES) + ASK_COLOUR / len(COLOURS) + yes_no / 2
    return {"text": text, "image": max(ASK_SHAPE, ASK_COLOUR, yes_no / 2), "both": 1.0}


# Captions name every attribute, and one scene always gets the same words: two captions that
# differ describe different scenes, so a swapped caption is false.

CAPTION_TEMPLATES = (
    "a {size} {texture} {colour} {shape} in the {quadrant}",
    "{size} {colour} {shape}, {texture}, drawn in the {quadrant} corner",
    "in the {quadrant} there is a {texture} {size} {colour} {shape}",
    "picture of a {colour} {shape}: {size}, {texture} and {quadrant}",
)


def caption(scene: Scene) -> str:
    """The one caption of ``scene``."""
    chosen = hashlib.sha256(" ".join(scene).encode()).digest()[0] % len(CAPTION_TEMPLATES)
    return CAPTION_TEMPLATES[chosen].format(**scene._asdict())
