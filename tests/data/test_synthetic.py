"""Synthetic roots: the same everywhere, whole or absent, and as hard as their manifest says."""

import hashlib
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vilbert_lib import paths
from vilbert_lib.config import PROFILES, Profile
from vilbert_lib.data import formats, synthetic, worlds
from vilbert_lib.data.synthetic import make_root
from vilbert_lib.data.worlds import COLOURS, QUADRANTS, SHAPES, SIZES, TEXTURES, Scene

DRAWS = 40_000


def contents(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_one_seed_gives_one_root_and_another_seed_another(tmp_path):
    first, again = (contents(make_root(tmp_path / name, n_train=4, seed=3)) for name in ("a", "b"))
    assert first == again
    other = contents(make_root(tmp_path / "c", n_train=4, seed=4))
    assert first.keys() == other.keys()
    same = {name for name in first if first[name] == other[name]}
    assert same == {"easy_vqa/data/answers.txt"}


def test_a_root_has_the_promised_sizes(tiny_root):
    sizes = {
        task.name: {split: len(records) for split, records in task.splits(tiny_root).items()}
        for task in formats.tasks_in(tiny_root)
    }
    assert sizes["hateful_memes"] == {"train": 32, "val": 8, "test": 16}
    assert sizes["conceptual_captions"] == {"train": 64, "val": 16, "test": 16}
    # Two questions an image, and every tenth image held out: about 32.
    assert sizes["easy_vqa"] == {"train": 34, "val": 2, "test": 16}


def test_the_manifest_says_what_the_root_is(tiny_root):
    manifest = synthetic.read_manifest(tiny_root)
    assert (manifest["version"], manifest["seed"], manifest["n_train"]) == (synthetic.VERSION, 0, 32)
    assert manifest["best_possible_accuracy"] == {
        "hateful_memes": worlds.meme_bayes(),
        "easy_vqa": worlds.question_bayes(),
    }
    assert synthetic.describe(tiny_root).startswith("synthetic data")


def test_a_root_without_manifest_is_real(tmp_path):
    assert synthetic.read_manifest(tmp_path) is None
    assert synthetic.describe(tmp_path) == "real data"


def lookup_accuracy(keys: list, labels: list) -> float:
    """Accuracy on the second half of a sample of the most frequent label of each key in the first half."""
    half = len(keys) // 2
    seen = defaultdict(Counter)
    for key, label in zip(keys[:half], labels[:half], strict=True):
        seen[key][label] += 1
    guess = {key: counts.most_common(1)[0][0] for key, counts in seen.items()}
    return float(np.mean([guess.get(key) == label for key, label in zip(keys[half:], labels[half:], strict=True)]))


# A share on half the draws has a standard error of at most .0036.
TOLERANCE = 0.015


@pytest.fixture(scope="module")
def memes():
    rng = np.random.default_rng(0)
    scenes, texts, labels = zip(*(worlds.meme(rng) for _ in range(DRAWS)), strict=True)
    return scenes, texts, labels


def test_the_share_of_hateful_memes(memes):
    assert np.mean(memes[2]) == pytest.approx(worlds.MEME_POSITIVE, abs=0.01)


def test_what_each_side_of_a_meme_tells_is_what_the_manifest_says(memes):
    scenes, texts, labels = memes
    best = worlds.meme_bayes()
    animal_of = {animal: colour for colour, animal in worlds.ANIMALS.items()}
    animals = [next(animal for animal in animal_of if animal in text.split()) for text in texts]
    assert lookup_accuracy(animals, labels) == pytest.approx(best["text"], abs=TOLERANCE)
    assert lookup_accuracy(texts, labels) == pytest.approx(best["text"], abs=TOLERANCE)
    for attribute in Scene._fields:
        shown = [getattr(scene, attribute) for scene in scenes]
        assert lookup_accuracy(shown, labels) == pytest.approx(best["image"], abs=TOLERANCE)
    both = [(scene.colour, animal) for scene, animal in zip(scenes, animals, strict=True)]
    assert lookup_accuracy(both, labels) == pytest.approx(best["both"], abs=TOLERANCE)


@pytest.fixture(scope="module")
def questions():
    rng = np.random.default_rng(0)
    scenes = [worlds.draw_scene(rng) for _ in range(DRAWS)]
    texts, answers = zip(*(worlds.question(scene, rng) for scene in scenes), strict=True)
    return scenes, texts, answers


def test_what_each_side_of_a_question_tells_is_what_the_manifest_says(questions):
    scenes, texts, answers = questions
    best = worlds.question_bayes()
    shown = [(scene.colour, scene.shape) for scene in scenes]
    assert lookup_accuracy(texts, answers) == pytest.approx(best["text"], abs=TOLERANCE)
    assert lookup_accuracy(shown, answers) == pytest.approx(best["image"], abs=TOLERANCE)
    both = list(zip(shown, texts, strict=True))
    assert lookup_accuracy(both, answers) == pytest.approx(best["both"], abs=TOLERANCE)
    given = defaultdict(set)
    for key, answer in zip(both, answers, strict=True):
        given[key].add(answer)
    assert {len(found) for found in given.values()} == {1}
    assert set(answers) == set(worlds.ANSWERS)


def test_two_scenes_never_share_a_caption():
    scenes = [Scene(*values) for values in product(COLOURS, SHAPES, TEXTURES, QUADRANTS, SIZES)]
    captions = [worlds.caption(scene) for scene in scenes]
    assert len(scenes) == 576
    assert len(set(captions)) == len(scenes)
    assert captions == [worlds.caption(scene) for scene in scenes]
    for scene, text in zip(scenes, captions, strict=True):
        assert all(value in text for value in scene)


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_shows_its_scene(shape, texture):
    rng = np.random.default_rng(0)
    ink = {}
    for colour, quadrant, size in product(("red", "black"), QUADRANTS, SIZES):
        pixels = np.asarray(worlds.render(Scene(colour, shape, texture, quadrant, size), rng)).astype(int)
        painted = (np.abs(pixels - COLOURS[colour]) <= 12).all(axis=2)
        rows, columns = np.nonzero(painted)
        assert (rows.mean() > 32) == ("lower" in quadrant)
        assert (columns.mean() > 32) == ("right" in quadrant)
        ink[colour, quadrant, size] = painted.sum()
        assert len(np.unique(pixels[~painted], axis=0)) > 100
    assert all(ink[c, q, "large"] > 1.5 * ink[c, q, "small"] for c, q, _ in ink)


def test_shapes_and_textures_look_different():
    pictures = {}
    for shape, texture in product(SHAPES, TEXTURES):
        scene = Scene("red", shape, texture, "upper left", "large")
        pixels = np.asarray(worlds.render(scene, np.random.default_rng(0))).astype(int)
        pictures[shape, texture] = (np.abs(pixels - COLOURS["red"]) <= 12).all(axis=2).tobytes()
    assert len(set(pictures.values())) == len(pictures)


def test_images_are_64_pixels_wide(tiny_root):
    record = formats.task("hateful_memes").splits(tiny_root)["train"][0]
    with Image.open(record.img) as image:
        assert (image.size, image.mode) == ((worlds.SIZE, worlds.SIZE), "RGB")


def test_a_root_that_is_there_is_left_as_it_is(tmp_path):
    root = make_root(tmp_path / "root", n_train=4)
    manifest = root / "MANIFEST.json"
    before = manifest.stat().st_mtime_ns
    assert make_root(root, n_train=4) == root
    assert manifest.stat().st_mtime_ns == before


@pytest.mark.parametrize("settings", [{"n_train": 5}, {"n_train": 4, "seed": 1}])
def test_a_root_of_other_settings_is_refused(tmp_path, settings):
    root = make_root(tmp_path / "root", n_train=4)
    with pytest.raises(ValueError, match=r"root holds another dataset"):
        make_root(root, **settings)


def test_a_folder_of_real_data_is_never_overwritten(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    with pytest.raises(ValueError, match="holds another dataset"):
        make_root(real, n_train=4)
    assert not list(real.iterdir())


def test_an_interrupted_root_is_not_there_and_is_made_anew(tmp_path, monkeypatch):
    root = tmp_path / "root"
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "_write_captions", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make_root(root, n_train=4)
    assert not root.exists()
    leftover = root.with_suffix(".unfinished")
    (leftover / "hateful_memes" / "img").mkdir(parents=True, exist_ok=True)
    (leftover / "hateful_memes" / "img" / "stray.png").touch()
    assert contents(make_root(root, n_train=4)) == contents(make_root(tmp_path / "other", n_train=4))
    assert not leftover.exists()


def test_root_of_takes_the_named_root(tmp_path):
    assert synthetic.root_of(PROFILES["quick"], str(tmp_path)) == tmp_path.resolve()


def test_root_of_names_a_missing_root(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        synthetic.root_of(PROFILES["quick"], str(tmp_path / "nowhere"))


def test_root_of_a_profile_without_synthetic_data_asks_for_a_root():
    with pytest.raises(ValueError, match="'base' has no synthetic data: give data_root"):
        synthetic.root_of(PROFILES["base"])


def test_root_of_makes_the_synthetic_root(tiny_profile, tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path))
    profile = Profile(**vars(tiny_profile) | {"synthetic_samples": 4})
    root = synthetic.root_of(profile)
    assert root.parent == paths.datasets()
    assert synthetic.read_manifest(root)["n_train"] == 4
