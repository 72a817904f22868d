"""Small datasets in the real layouts, drawn from worlds whose best possible accuracy is known.

Each image shows one shape on a noisy ground. What is asked of it, and so what image, text and
both can tell, is a matter of counting: the manifest gives the accuracy that no model can beat.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from PIL import Image, ImageDraw

from vilbert_lib import paths
from vilbert_lib.config import Profile
from vilbert_lib.data.formats import caption_image

VERSION = 1
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
        return pick(rng, ("what color is the shape?", "what color is the {0}?", "which color has the {0}?")).format(
            scene.shape
        ), scene.colour
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


@dataclass(frozen=True)
class Part:
    """Sizes of one split of a synthetic root, as a share of the training samples."""

    train: int

    @property
    def val(self) -> int:
        return max(self.train // 4, 8)

    @property
    def test(self) -> int:
        return max(self.train // 2, 8)


def _generator(seed: int, *where: str) -> np.random.Generator:
    return np.random.default_rng([seed, *hashlib.sha256("/".join(where).encode()).digest()[:8]])


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


def _write_memes(folder: Path, sizes: Part, seed: int) -> None:
    number = 0
    for part, count in (("train", sizes.train), ("dev", sizes.val), ("test", sizes.test)):
        rng, lines = _generator(seed, "memes", part), []
        for _ in range(count):
            scene, text, label = meme(rng)
            number += 1
            name = f"img/{number:05d}.png"
            _save(render(scene, rng), folder / name)
            lines.append(json.dumps({"id": number, "img": name, "label": label, "text": text}))
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n")


def _write_questions(folder: Path, sizes: Part, seed: int, each: int = 2) -> None:
    # A tenth of the training images becomes the validation part when they are read.
    for part, count in (("train", sizes.train * 10 // 9), ("test", sizes.test)):
        rng, questions = _generator(seed, "questions", part), []
        for image in range(-(-count // each)):
            scene = draw_scene(rng)
            _save(render(scene, rng), folder / "data" / part / "images" / f"{image}.png")
            questions += [[*question(scene, rng), image] for _ in range(each)]
        (folder / "data" / part / "questions.json").write_text(json.dumps(questions))
    (folder / "data" / "answers.txt").write_text("\n".join(ANSWERS))


def _write_captions(folder: Path, sizes: Part, seed: int) -> None:
    for name, part, count in (
        ("Train_GCC-training.tsv", "train", 2 * sizes.train),
        ("Validation_GCC-1.1.0-Validation.tsv", "validation", sizes.test),
    ):
        rng, lines = _generator(seed, "captions", part), []
        for line in range(count):
            scene = draw_scene(rng)
            _save(render(scene, rng), caption_image(folder, part, line))
            lines.append(f"{caption(scene)}\thttps://images.invalid/{part}/{line}.png\n")
        (folder / name).write_text("".join(lines))


def make_root(root: Path, *, n_train: int, seed: int = 0) -> Path:
    """Write a synthetic data root with about ``n_train`` training samples a task.

    The root appears whole or not at all; its files are the same on every machine. Where it
    exists already it is left as it is, after a check that it is the one that was asked for.
    """
    root = Path(root)
    manifest = {
        "generator": "vilbert_lib.data.synthetic",
        "version": VERSION,
        "seed": seed,
        "n_train": n_train,
        "best_possible_accuracy": {"hateful_memes": meme_bayes(), "easy_vqa": question_bayes()},
        "label_noise": {"hateful_memes": MEME_NOISE, "easy_vqa": 0.0},
    }
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if root.is_dir():
            if read_manifest(root) != manifest:
                raise ValueError(f"{root} holds another dataset than the one asked for: remove it, or name another")
            return root
        unfinished = root.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        sizes = Part(n_train)
        _write_memes(unfinished / "hateful_memes", sizes, seed)
        _write_questions(unfinished / "easy_vqa", sizes, seed)
        _write_captions(unfinished / "conceptual_captions", sizes, seed)
        (unfinished / "MANIFEST.json").write_text(json.dumps(manifest, indent=1))
        os.replace(unfinished, root)
    return root


def read_manifest(root: Path) -> dict | None:
    """The manifest of a synthetic root; None: the root holds real data."""
    path = Path(root) / "MANIFEST.json"
    return json.loads(path.read_text()) if path.is_file() else None


def root_of(profile: Profile, data_root: str = "") -> Path:
    """The data root to use: the one named, or the profile's synthetic one, made if it is missing."""
    if data_root:
        root = Path(data_root).expanduser().resolve()
        if not root.is_dir():
            raise FileNotFoundError(f"data root {root} does not exist")
        return root
    if not profile.synthetic_samples:
        raise ValueError(f"profile {profile.name!r} has no synthetic data: give data_root, the folder of the datasets")
    name = f"synthetic-v{VERSION}-n{profile.synthetic_samples}-s0"
    return make_root(paths.datasets() / name, n_train=profile.synthetic_samples)


def describe(root: Path) -> str:
    """What a caption says of a data root: a synthetic number is never shown as a real one."""
    manifest = read_manifest(root)
    if manifest is None:
        return "real data"
    return f"synthetic data (generator version {manifest['version']}, seed {manifest['seed']})"
