"""Synthetic roots: the same everywhere, whole or absent, in the real layouts, with a manifest."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vilbert_lib import paths, synthetic
from vilbert_lib.config import PROFILES, Profile
from vilbert_lib.data import formats
from vilbert_lib.synthetic import Knobs, levels, make_root, roots

SMALL = {"n_train": 4, "tasks": ("hateful_memes", "easy_vqa")}
GOLDEN = {  # of a root with n_train=8, seed=0
    "MANIFEST.json": "6ed38056626f375e",
    "hateful_memes": "81cd554bf23f0746",
    "mm_imdb": "b8e799206e966e62",
    "upmc_food": "541bfa0624630d54",
    "easy_vqa": "d9767bac9b8d0f88",
    "conceptual_captions": "e73bc517bc6cc592",
}


def contents(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fingerprints(root: Path) -> dict[str, str]:
    """Sixteen hex digits for each dataset of a root and for its manifest."""
    digests = {}
    for name, digest in contents(root).items():
        digests.setdefault(name.split("/")[0], hashlib.sha256()).update(f"{name} {digest}\n".encode())
    return {name: digest.hexdigest()[:16] for name, digest in digests.items()}


# Bytes


@pytest.fixture(scope="module")
def eight(tmp_path_factory) -> Path:
    return make_root(tmp_path_factory.mktemp("eight") / "root", n_train=8)


def test_a_root_has_the_same_bytes_on_every_machine(eight):
    assert fingerprints(eight) == GOLDEN


def test_two_processes_write_the_same_bytes(eight, tmp_path):
    code = "import sys; from vilbert_lib import synthetic; synthetic.make_root(sys.argv[1], n_train=8)"
    command = [sys.executable, "-c", code, str(tmp_path / "other" / "root")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert contents(tmp_path / "other" / "root") == contents(eight)


def test_another_seed_gives_other_samples_under_the_same_names(eight, tmp_path):
    other = make_root(tmp_path / "root", n_train=8, seed=1, tasks=SMALL["tasks"])
    there, before = contents(other), contents(eight)
    assert {name for name in there if there[name] == before[name]} == {"easy_vqa/data/answers.txt"}


def test_a_dataset_does_not_depend_on_what_else_is_made(eight, tmp_path):
    alone = make_root(tmp_path / "root", n_train=8, tasks=["mm_imdb"])
    assert {path.name for path in alone.iterdir()} == {"mm_imdb", "MANIFEST.json"}
    assert fingerprints(alone)["mm_imdb"] == fingerprints(eight)["mm_imdb"]


# Layouts


def test_a_root_has_the_promised_sizes(tiny_root):
    sizes = {
        name: {split: len(records) for split, records in formats.task(name).splits(tiny_root).items()}
        for name in ("hateful_memes", "easy_vqa", "conceptual_captions")
    }
    assert sizes["hateful_memes"] == {"train": 32, "val": 8, "test": 16}
    assert sizes["conceptual_captions"] == {"train": 64, "val": 16, "test": 16}
    # Two questions an image, and every tenth image held out: about 32.
    assert sizes["easy_vqa"] == {"train": 34, "val": 2, "test": 16}
    manifest = synthetic.read_manifest(tiny_root)
    assert manifest["sizes"] == {
        "hateful_memes": {"train": 32, "dev": 8, "test": 16},
        "mm_imdb": {"train": 32, "dev": 8, "test": 16},
        "upmc_food": {"train": 35, "test": 16},
        "easy_vqa": {"train": 36, "test": 16},
        "conceptual_captions": {"train": 64, "validation": 16},
    }


def test_films_have_the_genres_of_mm_imdb(tiny_root):
    """News, Adult, Talk-Show and Reality-TV are left out, as everywhere."""
    known = (
        "Action Adventure Animation Biography Comedy Crime Documentary Drama Family Fantasy Film-Noir History"
        " Horror Music Musical Mystery Romance Sci-Fi Short Sport Thriller War Western"
    )
    assert sorted(synthetic.read_manifest(tiny_root)["genres"]) == known.split()
    films = [json.loads(path.read_text()) for path in (tiny_root / "mm_imdb" / "dataset").glob("*.json")]
    assert {genre for film in films for genre in film["genres"]} <= set(known.split())


# Manifest


def test_the_manifest_says_what_the_root_is(tiny_root):
    manifest = synthetic.read_manifest(tiny_root)
    assert (manifest["version"], manifest["seed"], manifest["n_train"]) == (synthetic.VERSION, 0, 32)
    assert manifest["knobs"] == dataclasses.asdict(Knobs())
    for name in ("decomposition", "best_possible_accuracy", "label_noise"):
        assert tuple(manifest[name]) == synthetic.TASKS
    assert synthetic.describe(tiny_root) == "synthetic data (generator version 3, seed 0)"


def test_a_root_whose_knobs_were_turned_says_so(tmp_path):
    root = make_root(tmp_path / "root", **SMALL, seed=2, knobs=Knobs(label_noise=0, heterogeneity=3))
    said = "synthetic data (generator version 3, seed 2, label_noise 0, heterogeneity 3)"
    assert synthetic.describe(root) == said


def test_a_root_without_manifest_is_real(tmp_path):
    assert synthetic.read_manifest(tmp_path) is None
    assert synthetic.describe(tmp_path) == "real data"


@pytest.mark.parametrize(
    "content",
    [
        b'{"generator": "another", "version": 1}',
        b'{"inputs": "made with vilbert_lib.data.synthetic"}',
        b'["vilbert_lib.data.synthetic"]',
        b"Manifest-Version: 1.0",
        b"\xff\xfe",
    ],
)
def test_a_manifest_of_another_program_makes_no_data_synthetic(tmp_path, content):
    (tmp_path / "MANIFEST.json").write_bytes(content)
    assert synthetic.read_manifest(tmp_path) is None
    assert synthetic.describe(tmp_path) == "real data"
    assert synthetic.drawn_with(tmp_path, "mine") is None


def test_a_manifest_that_lacks_a_field_is_named(tmp_path):
    (tmp_path / "MANIFEST.json").write_text('{"generator": "vilbert_lib.data.synthetic", "seed": 0}')
    with pytest.raises(ValueError, match=r"MANIFEST.json: version, n_train, n_test, knobs, sizes are missing"):
        synthetic.read_manifest(tmp_path)


# Whole or not at all


def test_a_root_that_is_there_is_left_as_it_is(tmp_path):
    root = make_root(tmp_path / "root", **SMALL)
    manifest = root / "MANIFEST.json"
    before = manifest.stat().st_mtime_ns
    assert make_root(root, **SMALL) == root
    assert manifest.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "settings",
    [{"n_train": 5}, {"knobs": Knobs(heterogeneity=1)}, {"tasks": ("easy_vqa",)}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_root_of_other_settings_is_refused(tmp_path, settings):
    root = make_root(tmp_path / "root", **SMALL)
    with pytest.raises(ValueError, match=r"root holds another dataset"):
        make_root(root, **SMALL | settings)


def test_an_interrupted_root_is_not_there_and_is_made_anew(tmp_path, monkeypatch):
    root = tmp_path / "root.v1"
    with monkeypatch.context() as patch:
        broken = dataclasses.replace(roots.WORLDS["easy_vqa"], write=lambda *_: 1 / 0)
        patch.setitem(roots.WORLDS, "easy_vqa", broken)
        with pytest.raises(ZeroDivisionError):
            make_root(root, **SMALL)
    assert not root.exists()
    [leftover] = (path for path in tmp_path.iterdir() if path.is_dir())
    (leftover / "hateful_memes" / "img" / "stray.png").touch()
    assert contents(make_root(root, **SMALL)) == contents(make_root(tmp_path / "other", **SMALL))
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_train": 0}, "n_train 0 must be at least 1"),
        ({"n_test": -1}, "n_test -1 at least 0"),
        ({"seed": -1}, "seed -1 must not be negative"),
        ({"tasks": ("easy_vqa", "pets")}, "unknown synthetic task 'pets'; known: conceptual_captions, easy_vqa"),
        ({"tasks": "easy_vqa"}, "tasks 'easy_vqa' must be a sequence of names; known: hateful_memes, mm_imdb"),
        ({"tasks": ()}, r"tasks \(\) must be a sequence of names"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        make_root(tmp_path / "root", **SMALL | settings)
    assert not list(tmp_path.iterdir())


# Knobs


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"redundancy": 3}, "redundancy 3.0, .* are 3.43 bits together instead of 4"),
        ({"synergy": -0.5}, r"synergy -0.5 must lie in \[0, 4\] bits"),
        ({"redundancy": float("nan")}, "redundancy nan must lie"),
        (
            {"redundancy": 0, "unique_text": 2.5, "unique_image": 0.5, "synergy": 1},
            "unique_text 2.5, unique_image 0.5 and synergy 1.0 need 5 bits",
        ),
        ({"label_noise": 0.36}, r"label_noise 0.36 must lie in \[0, 0.36\)"),
        ({"label_noise": -0.1}, "label_noise -0.1"),
        ({"heterogeneity": 4}, "heterogeneity 4 must be 1, 2 or 3"),
    ],
)
def test_wrong_knobs_are_named(knobs, message):
    with pytest.raises(ValueError, match=message):
        Knobs(**knobs)


def test_levels_go_from_all_redundant_to_all_of_the_part():
    steps = levels("synergy", label_noise=0.0)
    assert [(step.redundancy, step.synergy) for step in steps] == [(4, 0), (3, 1), (2, 2), (1, 3), (0, 4)]
    assert {(step.unique_text, step.unique_image, step.label_noise) for step in steps} == {(0, 0, 0)}
    both = levels("unique_text", "unique_image", count=3)
    assert [(k.redundancy, k.unique_text, k.unique_image) for k in both] == [(4, 0, 0), (2, 1, 1), (0, 2, 2)]


@pytest.mark.parametrize(
    ("parts", "count", "message"),
    [((), 5, r"\(none\)"), (("redundancy",), 5, "parts redundancy"), (("synergy",), 1, "count 1")],
)
def test_levels_of_nothing_are_refused(parts, count, message):
    with pytest.raises(ValueError, match=message):
        levels(*parts, count=count)


# Where roots lie


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
    assert root == paths.datasets() / f"synthetic-v{synthetic.VERSION}-n4-s0"
    assert synthetic.read_manifest(root)["n_train"] == 4
    assert synthetic.ensure_root(n_train=4) == root


def test_unseen_samples_are_of_the_same_kind(tmp_path):
    knobs = levels("synergy", heterogeneity=1)[1]
    root = make_root(tmp_path / "level", n_train=4, seed=3, knobs=knobs, tasks=["upmc_food"])
    unseen = synthetic.unseen_root(root, 20)
    assert unseen.parent == tmp_path
    manifest = synthetic.read_manifest(unseen)
    assert (manifest["seed"], manifest["knobs"]) == (4, dataclasses.asdict(knobs))
    assert manifest["sizes"] == {"upmc_food": {"train": 16, "test": 20}}
    assert synthetic.unseen_root(tmp_path, 20) == tmp_path, "real data is its own"
