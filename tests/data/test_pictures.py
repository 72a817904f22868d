"""A dataset is another one when a picture is another one, and the same one in another place."""

import os
import shutil
from pathlib import Path

import pytest
import small_roots

from vilbert_lib.data import formats
from vilbert_lib.runs import pictures
from vilbert_lib.synthetic import levels, make_root


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))


def images(task: formats.Task, root: Path) -> list[Path]:
    return sorted({record.img for rows in task.splits(root).values() for record in rows})


@pytest.mark.parametrize("make", small_roots.ALL, ids=lambda make: make.__name__)
def test_the_fingerprint_follows_the_contents_not_the_place(tmp_path, make):
    task = formats.task(make(tmp_path / "here").name, tmp_path / "here")
    before = pictures.fingerprint(task, tmp_path / "here")
    moved = shutil.copytree(tmp_path / "here", tmp_path / "elsewhere" / "root")
    assert pictures.fingerprint(task, moved) == before
    changed = images(task, moved)[-1]
    changed.write_bytes(changed.read_bytes() + b"\0")
    assert pictures.fingerprint(task, moved) != before
    assert pictures.fingerprint(task, tmp_path / "here") == before


def test_pictures_that_change_places_are_other_data(tmp_path):
    task = formats.task(small_roots.upmc_food(tmp_path).name)
    before = pictures.fingerprint(task, tmp_path)
    first, second = images(task, tmp_path)[:2]
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1] + b"\0"), second.write_bytes(contents[0])
    assert pictures.fingerprint(task, tmp_path) != before


def test_drawn_pictures_are_told_by_their_settings_where_annotations_are_equal(tmp_path):
    """Levels whose label the image tells, or only both together, have the same texts and labels."""
    task = formats.task("upmc_food")
    knobs = {part: levels(part, count=2)[-1] for part in ("unique_image", "synergy")}
    roots = [make_root(tmp_path / name, n_train=8, knobs=k, tasks=[task.name]) for name, k in knobs.items()]
    assert len({task.fingerprint(root) for root in roots}) == 1
    assert len({pictures.fingerprint(task, root) for root in roots}) == 2
    again = make_root(tmp_path / "again", n_train=8, knobs=knobs["synergy"], tasks=[task.name])
    for image in images(task, again):
        image.write_bytes(image.read_bytes() + b"\0")  # as another library might have written them
    assert pictures.fingerprint(task, again) == pictures.fingerprint(task, roots[1])


def test_a_drawn_picture_that_was_replaced_is_named(tmp_path):
    task, root = formats.task("upmc_food"), make_root(tmp_path / "root", n_train=8, tasks=["upmc_food"])
    pictures.fingerprint(task, root)
    first, second = images(task, root)[:2]
    shutil.copy(second, first)
    with pytest.raises(ValueError, match=rf"{first} is not the picture that the settings in .*MANIFEST\.json"):
        pictures.fingerprint(task, root)
    (root / "MANIFEST.json").unlink()
    assert pictures.fingerprint(task, root)


def test_a_task_of_ones_own_beside_drawn_ones_is_known_by_its_contents(tmp_path):
    root = make_root(tmp_path / "root", n_train=8, tasks=["upmc_food"])
    task = formats.task(small_roots.pets(root).name, root)
    before = pictures.fingerprint(task, root)
    changed = images(task, root)[0]
    changed.write_bytes(changed.read_bytes() + b"\0")
    assert pictures.fingerprint(task, root) != before


@pytest.mark.parametrize("how", ["in place", "moved"])
def test_a_picture_of_the_same_size_and_time_is_another_one(tmp_path, how):
    task = formats.task(small_roots.upmc_food(tmp_path).name)
    before, image = pictures.fingerprint(task, tmp_path), images(task, tmp_path)[0]
    content, stat = image.read_bytes(), image.stat()
    other = image if how == "in place" else tmp_path / "other"
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(image)
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert pictures.fingerprint(task, tmp_path) != before


def test_own_data_are_read_once_a_process_however_often_their_task_is_made(tmp_path, monkeypatch):
    name, read = small_roots.pets(tmp_path).name, []
    before = formats.Task.read
    monkeypatch.setattr(formats.Task, "read", lambda *given: (read.append(given), before(*given))[1])
    prints = {pictures.fingerprint(formats.task(name, tmp_path), tmp_path) for _ in range(3)}
    assert len(prints) == 1 and len(read) == 1


def test_a_picture_that_disappears_or_appears_is_noticed(tmp_path):
    task = formats.task(small_roots.upmc_food(tmp_path).name)
    before, image = pictures.fingerprint(task, tmp_path), images(task, tmp_path)[0]
    moved = image.rename(tmp_path / "away")
    assert pictures.fingerprint(task, tmp_path) != before
    moved.rename(image)
    assert pictures.fingerprint(task, tmp_path) == before
