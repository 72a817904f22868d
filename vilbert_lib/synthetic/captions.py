"""Captions that name all that a picture shows."""

from hashlib import sha256
from pathlib import Path

from vilbert_lib.data.formats import caption_image
from vilbert_lib.synthetic import files
from vilbert_lib.synthetic.drawing import COLOURS, SHAPES, SIZES, TEXTURES, Boards, one_mark, pictures
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import Knobs
from vilbert_lib.synthetic.truth import Truth
from vilbert_lib.synthetic.world import World, draw_combinations, splits_of

QUADRANTS = ("upper left", "upper right", "lower left", "lower right")
TEMPLATES = (
    "a {size} {texture} {colour} {shape} in the {quadrant}",
    "{size} {colour} {shape}, {texture}, drawn in the {quadrant} corner",
    "in the {quadrant} there is a {texture} {size} {colour} {shape}",
    "picture of a {colour} {shape}: {size}, {texture} and {quadrant}",
)
LISTS = {"train": "Train_GCC-training.tsv", "validation": "Validation_GCC-1.1.0-Validation.tsv"}


def truth(knobs: Knobs) -> Truth:
    """What caption and image tell of alignment prediction, where half the captions are swapped.

    One scene always gets the same words, so captions that differ describe different scenes: a
    swapped caption is false. Neither side alone tells whether it was swapped.
    """
    return Truth(synergy=1.0, best={"text": 0.5, "image": 0.5, "both": 1.0})


def caption(colour: str, shape: str, texture: str, quadrant: str, size: str) -> str:
    """The one caption of a scene."""
    scene = {"colour": colour, "shape": shape, "texture": texture, "quadrant": quadrant, "size": size}
    chosen = sha256(" ".join(scene.values()).encode()).digest()[0] % len(TEMPLATES)
    return TEMPLATES[chosen].format(**scene)


def write(folder: Path, parts: dict[str, int], seed: int, knobs: Knobs) -> None:
    """Write Conceptual Captions' layout into ``folder``, with an image for every line."""
    counts = 4, len(SIZES), len(TEXTURES), len(COLOURS), len(SHAPES)
    for part, n in parts.items():
        splits = splits_of(part, n)
        if part == "validation":
            splits[1::2] = "test"  # it serves as test part too
        scenes = draw_combinations(*counts, splits=splits, draws=Draws(seed, WORLD.name, part))
        places, sizes, textures, colours, shapes = scenes.T
        boards = Boards(2, one_mark(places, colours), shapes, textures, sizes)
        lines, made = [], None
        images = pictures(boards, Draws(seed, WORLD.name, part, "pixels"))
        for i, (pixels, (place, size, texture, colour, shape)) in enumerate(zip(images, scenes, strict=True)):
            text = caption(COLOURS[colour], SHAPES[shape], TEXTURES[texture], QUADRANTS[place], SIZES[size])
            lines.append(f"{text}\thttps://images.invalid/{part}/{i}.png\n")
            path = caption_image(folder, part, i)
            if path.parent != made:
                made = path.parent
                made.mkdir(parents=True)
            files.write(path, files.png(pixels))
        files.write_text(folder / LISTS[part], "".join(lines))


WORLD = World(
    "conceptual_captions", lambda sizes: {"train": 2 * sizes.train, "validation": sizes.test}, write, truth
)
