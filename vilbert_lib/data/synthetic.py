"""Synthetic data roots: small datasets in the real layouts, with a manifest of what is knowable."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from vilbert_lib import paths
from vilbert_lib.config import Profile
from vilbert_lib.data import worlds
from vilbert_lib.data.formats import caption_image

VERSION = 2


@dataclass(frozen=True)
class Sizes:
    """How many samples each split has, from the number of training samples unless ``tests`` is given."""

    train: int
    tests: int = 0

    @property
    def val(self) -> int:
        return max(self.train // 4, 8)

    @property
    def test(self) -> int:
        return self.tests or max(self.train // 2, 8)


def _generator(seed: int, *where: str) -> np.random.Generator:
    return np.random.default_rng([seed, *hashlib.sha256("/".join(where).encode()).digest()[:8]])


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


def _write_memes(folder: Path, sizes: Sizes, seed: int) -> None:
    number = 0
    for part, count in (("train", sizes.train), ("dev", sizes.val), ("test", sizes.test)):
        rng, lines = _generator(seed, "memes", part), []
        for _ in range(count):
            scene, text, label = worlds.meme(rng)
            number += 1
            name = f"img/{number:05d}.png"
            _save(worlds.render(scene, rng), folder / name)
            lines.append(json.dumps({"id": number, "img": name, "label": label, "text": text}))
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n")


def _write_questions(folder: Path, sizes: Sizes, seed: int, each: int = 2) -> None:
    # A tenth of the training images becomes the validation part when they are read.
    for part, count in (("train", sizes.train * 10 // 9), ("test", sizes.test)):
        rng, questions = _generator(seed, "questions", part), []
        for image in range(-(-count // each)):
            scene = worlds.draw_scene(rng)
            _save(worlds.render(scene, rng), folder / "data" / part / "images" / f"{image}.png")
            questions += [[*worlds.question(scene, rng), image] for _ in range(each)]
        (folder / "data" / part / "questions.json").write_text(json.dumps(questions))
    (folder / "data" / "answers.txt").write_text("\n".join(worlds.ANSWERS))


def _write_captions(folder: Path, sizes: Sizes, seed: int) -> None:
    for name, part, count in (
        ("Train_GCC-training.tsv", "train", 2 * sizes.train),
        ("Validation_GCC-1.1.0-Validation.tsv", "validation", sizes.test),
    ):
        rng, lines = _generator(seed, "captions", part), []
        for line in range(count):
            scene = worlds.draw_scene(rng)
            _save(worlds.render(scene, rng), caption_image(folder, part, line))
            lines.append(f"{worlds.caption(scene)}\thttps://images.invalid/{part}/{line}.png\n")
        (folder / name).write_text("".join(lines))


def make_root(root: Path, *, n_train: int, n_test: int = 0, seed: int = 0) -> Path:
    """Write a synthetic data root with about ``n_train`` training samples a task, and half as many test samples.

    ``n_test`` asks for another number of test samples.

    The root appears whole or not at all; its files are the same on every machine. Where it
    exists already it is left as it is, after a check that it is the one that was asked for.
    """
    root = Path(root)
    manifest = {
        "generator": "vilbert_lib.data.synthetic",
        "version": VERSION,
        "seed": seed,
        "n_train": n_train,
        "best_possible_accuracy": {"hateful_memes": worlds.meme_bayes(), "easy_vqa": worlds.question_bayes()},
        "label_noise": {"hateful_memes": worlds.MEME_NOISE, "easy_vqa": 0.0},
    }
    if n_test:
        manifest["n_test"] = n_test
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if root.is_dir():
            if read_manifest(root) != manifest:
                raise ValueError(
                    f"{root} holds another dataset than the one asked for: remove it, or name another"
                )
            return root
        unfinished = root.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        sizes = Sizes(n_train, n_test)
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
        raise ValueError(
            f"profile {profile.name!r} has no synthetic data: give data_root, the folder of the datasets"
        )
    name = f"synthetic-v{VERSION}-n{profile.synthetic_samples}-s0"
    return make_root(paths.datasets() / name, n_train=profile.synthetic_samples)


def unseen_root(root: Path, n_test: int) -> Path:
    """Where to find test samples that no model has seen: ``root`` itself, or beside a synthetic one a new one.

    The new root has ``n_test`` test samples a task of the same kind, drawn with the next seed.
    """
    manifest = read_manifest(root)
    if manifest is None:
        return root
    seed = manifest["seed"] + 1
    return make_root(
        root.parent / f"synthetic-v{VERSION}-test{n_test}-s{seed}", n_train=8, n_test=n_test, seed=seed
    )


def describe(root: Path) -> str:
    """What a caption says of a data root: a synthetic number is never shown as a real one."""
    manifest = read_manifest(root)
    if manifest is None:
        return "real data"
    return f"synthetic data (generator version {manifest['version']}, seed {manifest['seed']})"
