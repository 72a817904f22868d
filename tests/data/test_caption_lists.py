"""The list beside the images, line by line the one it was."""

import re
from pathlib import Path

import pytest
from PIL import Image

from vilbert_lib.data import formats
from vilbert_lib.data.caption_lists import LISTS, opened, part_of, read_line

GOOD = b"a caption\thttp://a/0.jpg\nanother \xc3\xa9\thttp://a/1.jpg\r\n"
BROKEN = b"no tab\nthree\tparts\there\n\nnot \xff utf-8\thttp://a\n"


@pytest.fixture
def captions(tmp_path) -> Path:
    path = tmp_path / "Train_GCC-training.tsv"
    path.write_bytes(GOOD + BROKEN + b"last\thttp://a/6.jpg")
    return path


def test_the_name_tells_the_part():
    assert {part_of(Path("/x") / name) for name in LISTS.values()} == {"train", "validation"}
    assert part_of(Path("train.tsv")) == "train"
    with pytest.raises(ValueError, match=r"captions\.tsv.*name the part"):
        part_of(Path("captions.tsv"))


def test_a_line_is_a_caption_and_an_address():
    assert read_line(b"a \xc3\xa9\thttp://a\r\n") == ("a é", "http://a")
    for broken in BROKEN.splitlines():
        with pytest.raises(ValueError):
            read_line(broken)


def test_the_folder_is_one_that_the_reader_takes(tmp_path, captions):
    out = tmp_path / "root" / "conceptual_captions"
    validation = tmp_path / "some.tsv"
    validation.write_bytes(GOOD)
    for path, name in ((captions, None), (validation, "validation")):
        with opened(path, out, name) as part:
            assert len(part.record) == path.read_bytes().count(b"\n") + (part.name == "train")
            part.image(1).parent.mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(part.image(1))
            part.unfinished.mkdir()
            (part.unfinished / "00000000").write_bytes(b"half an im")
    assert (out / LISTS["train"]).read_bytes() == GOOD + b"\t\n" * 4 + b"last\thttp://a/6.jpg"
    assert (out / LISTS["validation"]).read_bytes() == GOOD
    splits = formats.task("conceptual_captions").splits(out.parent)
    image = out / "train" / "0000" / "00000001.jpg"
    assert splits["train"] == [("train-1", image, "another é", None)]
    assert [record.id for record in splits["val"]] == ["validation-1"]


def test_a_list_that_lies_in_the_folder_is_left_alone(tmp_path, captions):
    content = captions.read_bytes()
    with opened(captions, tmp_path) as part:
        assert len(part.record) == 7
    assert captions.read_bytes() == content


def test_the_same_list_may_come_again_and_another_may_not(tmp_path, captions):
    for _ in range(2):
        with opened(captions, tmp_path / "out"):
            pass
    content = captions.read_bytes()
    there = tmp_path / "out" / LISTS["train"]
    for other in (content.replace(b"/1.jpg", b"/2.jpg"), content + b"\nmore\thttp://a", content[: len(GOOD)]):
        captions.write_bytes(other)
        with pytest.raises(ValueError, match=re.escape(str(there))), opened(captions, tmp_path / "out"):
            pass


def test_an_empty_list_has_no_lines(tmp_path):
    (tmp_path / "train.tsv").touch()
    with opened(tmp_path / "train.tsv", tmp_path / "out") as part:
        assert len(part.record) == 0


def test_two_at_once_are_refused_and_two_parts_are_not(tmp_path, captions):
    with opened(captions, tmp_path / "out"):
        with pytest.raises(OSError, match="another process"), opened(captions, tmp_path / "out"):
            pass
        with opened(captions, tmp_path / "out", "validation"):
            pass
    with opened(captions, tmp_path / "out"):
        pass


def test_a_missing_list_and_an_unknown_part_are_named(tmp_path, captions):
    with pytest.raises(FileNotFoundError, match=r"train\.tsv"), opened(tmp_path / "train.tsv", tmp_path / "out"):
        pass
    with pytest.raises(ValueError, match="unknown part 'test'"), opened(captions, tmp_path / "out", "test"):
        pass
    assert not (tmp_path / "out").exists()
