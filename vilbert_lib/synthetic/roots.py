"""Synthetic data roots: made whole or not at all, described by a manifest, found again."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vilbert_lib import paths
from vilbert_lib.config import Profile, choose
from vilbert_lib.files import locked
from vilbert_lib.synthetic import captions, dishes, genres, memes, questions
from vilbert_lib.synthetic.files import write_text
from vilbert_lib.synthetic.knobs import Knobs
from vilbert_lib.synthetic.world import Sizes

VERSION = 3
GENERATOR = "vilbert_lib.data.synthetic"  # as the manifests say since the first of them
WORLDS = {module.WORLD.name: module.WORLD for module in (memes, genres, dishes, questions, captions)}
TASKS = tuple(WORLDS)


def _manifest(n_train: int, n_test: int, seed: int, knobs: Knobs, tasks: Sequence[str]) -> dict:
    """What there is to say of a root: all that its bytes depend on, and what is knowable in it."""
    if n_train < 1 or n_test < 0:
        raise ValueError(f"n_train {n_train} must be at least 1, n_test {n_test} at least 0")
    if seed < 0:
        raise ValueError(f"seed {seed} must not be negative")
    if isinstance(tasks, str) or not tasks:
        raise ValueError(f"tasks {tasks!r} must be a sequence of names; known: {', '.join(TASKS)}")
    for task in tasks:
        choose("synthetic task", task, WORLDS)
    worlds = [world for name, world in WORLDS.items() if name in tasks]
    truths = {world.name: world.truth(knobs) for world in worlds}
    manifest = {
        "generator": GENERATOR,
        "version": VERSION,
        "seed": seed,
        "n_train": n_train,
        "n_test": n_test,
        "knobs": asdict(knobs),
        "sizes": {world.name: world.parts(Sizes(n_train, n_test)) for world in worlds},
        "decomposition": {name: truth.bits for name, truth in truths.items()},
        "best_possible_accuracy": {name: truth.best for name, truth in truths.items()},
        "label_noise": {name: truth.label_noise for name, truth in truths.items()},
    }
    return _rounded(manifest | ({"genres": genres.by_genre()} if genres.WORLD.name in tasks else {}))


def _rounded(value):
    """JSON values with ten digits of every fraction: of logarithms, machines differ in the last ones."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return round(value, 10) if isinstance(value, float) else value


def make_root(
    root: Path,
    *,
    n_train: int,
    n_test: int = 0,
    seed: int = 0,
    knobs: Knobs | None = None,
    tasks: Sequence[str] = TASKS,
) -> Path:
    """Write a synthetic data root with about ``n_train`` training samples a task, and half as many test samples.

    ``n_test`` asks for another number of test samples, ``knobs`` for worlds other than the default
    ones, ``tasks`` for some of the datasets. What is written for one task depends on no other.

    The root appears whole or not at all; its files are the same on every machine. Where it
    exists already it is left as it is, after a check that it is the one that was asked for; a
    ValueError says that it is another one, or what is wrong with an argument.
    """
    root, knobs = Path(root), knobs or Knobs()
    manifest = _manifest(n_train, n_test, seed, knobs, tasks)
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(f"{root}.lock", f"drawing {root}"):
        if root.is_dir():
            if read_manifest(root) != manifest:
                raise ValueError(
                    f"{root} holds another dataset than the one asked for: remove it, or name another"
                )
            return root
        unfinished = root.with_name(f"{root.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, parts in manifest["sizes"].items():
            WORLDS[name].write(unfinished / name, parts, seed, knobs)
        write_text(unfinished / "MANIFEST.json", json.dumps(manifest, indent=1) + "\n")
        os.replace(unfinished, root)
    return root


def read_manifest(root: Path) -> dict | None:
    """The manifest of a synthetic root; None where there is none or another program wrote it: real data.

    Raises ValueError where a manifest of the generator is damaged.
    """
    path = Path(root) / "MANIFEST.json"
    if not path.is_file() or GENERATOR.encode() not in (content := path.read_bytes()):
        return None
    again = "remove the root and make it anew"
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON: {error}; {again}") from error
    if not isinstance(manifest, dict) or manifest.get("generator") != GENERATOR:
        return None
    if missing := [name for name in FIELDS if name not in manifest]:
        raise ValueError(f"{path}: {', '.join(missing)} are missing; {again}")
    return manifest


#: Fields of a manifest without which a root cannot be identified.
FIELDS = ("generator", "version", "seed", "n_train", "n_test", "knobs", "sizes")


def drawn_with(root: Path, task: str) -> dict | None:
    """All that the bytes of ``task`` in ``root`` depend on beside its name; None: it holds real data."""
    manifest = read_manifest(root)
    if manifest is None or task not in manifest["sizes"]:
        return None
    return {name: manifest[name] for name in FIELDS if name != "sizes"}


def ensure_root(
    *, n_train: int, n_test: int = 0, seed: int = 0, knobs: Knobs | None = None, tasks: Sequence[str] = TASKS
) -> Path:
    """The root of these settings among the project's own, made if it is missing. Its name tells them apart."""
    return _ensure(paths.datasets(), f"n{n_train}", n_train, n_test, seed, knobs or Knobs(), tasks)


def _ensure(
    folder: Path, size: str, n_train: int, n_test: int, seed: int, knobs: Knobs, tasks: Sequence[str]
) -> Path:
    name = f"synthetic-v{VERSION}-{size}-s{seed}"
    if knobs != Knobs() or set(tasks) != set(TASKS):
        chosen = json.dumps([asdict(knobs), sorted(tasks)], sort_keys=True)
        name += "-" + hashlib.sha256(chosen.encode()).hexdigest()[:8]
    return make_root(folder / name, n_train=n_train, n_test=n_test, seed=seed, knobs=knobs, tasks=tasks)


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
    return ensure_root(n_train=profile.synthetic_samples)


def unseen_root(root: Path, n_test: int) -> Path:
    """Where to find test samples that no model has seen: ``root`` itself, or beside a synthetic one a new one.

    The new root has ``n_test`` test samples a task of the same kind, drawn with the next seed.
    """
    manifest = read_manifest(root)
    if manifest is None:
        return root
    knobs, tasks = Knobs(**manifest["knobs"]), tuple(manifest["sizes"])
    return _ensure(Path(root).parent, f"test{n_test}", 8, n_test, manifest["seed"] + 1, knobs, tasks)


def describe(root: Path) -> str:
    """What a caption says of a data root: a synthetic number is never shown as a real one."""
    manifest = read_manifest(root)
    if manifest is None:
        return "real data"
    usual = asdict(Knobs())
    turned = "".join(f", {name} {v:g}" for name, v in manifest.get("knobs", usual).items() if v != usual[name])
    return f"synthetic data (generator version {manifest['version']}, seed {manifest['seed']}{turned})"
