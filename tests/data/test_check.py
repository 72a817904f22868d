"""data check: counts that are right, faults that are found, and an exit status that says so."""

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest
import small_roots
from PIL import Image
from small_roots import picture, write

from vilbert_lib import __main__
from vilbert_lib.data import formats
from vilbert_lib.data.check import check


def findings(root: Path, name: str):
    return check(formats.task(name, root), root)


def rows(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("make", small_roots.ALL, ids=lambda make: make.__name__)
def test_nothing_is_wrong_with_a_good_dataset_of_any_layout(tmp_path, make):
    found = findings(tmp_path, make(tmp_path).name)
    assert found.faults == [] and found.problems == []
    assert (found.sizes.samples > 0).all()


def test_sizes_are_counted(tmp_path):
    small_roots.hateful_memes_2(tmp_path)
    assert rows(findings(tmp_path, "hateful_memes").sizes) == [
        ("train", 2, 2, 0, 0),
        ("val", 1, 1, 0, 0),
        ("test", 1, 1, 1, 0),
        ("dev_unseen", 2, 2, 0, 0),
        ("test_unseen", 1, 1, 0, 0),
    ]
    small_roots.easy_vqa(tmp_path)
    assert rows(findings(tmp_path, "easy_vqa").sizes)[0] == ("train", 36, 18, 0, 0)


def test_a_pair_that_a_split_holds_already_is_counted(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    lines = (folder / "train.jsonl").read_bytes()
    write(folder / "train.jsonl", lines + lines.replace(b"42953.png", b"copy.png"))
    shutil.copy(folder / "img" / "42953.png", folder / "img" / "copy.png")
    assert rows(findings(tmp_path, "hateful_memes").sizes)[0] == ("train", 4, 3, 0, 2)


def test_the_balance_counts_every_label_in_every_split(tmp_path):
    small_roots.hateful_memes(tmp_path)
    balance = findings(tmp_path, "hateful_memes").balance
    assert rows(balance[balance.split != "test"]) == [
        ("train", "benign", 1, 0.5),
        ("train", "hateful", 1, 0.5),
        ("val", "benign", 0, 0.0),
        ("val", "hateful", 1, 1.0),
    ]
    unlabelled = balance[balance.split == "test"]
    assert (unlabelled["count"] == 0).all() and unlabelled.share.isna().all()


def test_of_several_labels_each_has_a_share_of_the_samples(tmp_path):
    small_roots.mm_imdb(tmp_path)
    balance = findings(tmp_path, "mm_imdb").balance.set_index(["split", "label"])
    assert balance.loc[("train", "Drama")].tolist() == [1, 0.5]
    assert balance.loc[("train", "Film-Noir")].tolist() == [1, 0.5]
    assert balance["count"].groupby("split").sum().to_dict() == {"train": 3, "val": 0, "test": 2}


def test_texts_are_measured_in_words(tmp_path):
    folder = small_roots.pets(tmp_path)
    lines = [b'{"img": "a.png", "label": "cat", "text": "%s"}\n' % b" ".join([b"w"] * n) for n in range(1, 22)]
    lines += [b'{"img": "a.png", "label": "dog", "text": "w"}\n']
    write(folder / "train.jsonl", b"".join(lines))
    write(folder / "test.csv", b"img,text,label\ne.png,x,cat\n")
    words = findings(tmp_path, "pets").words.set_index("split").loc["train"]
    lengths = pd.Series([*range(1, 22), 1])
    assert words.tolist() == [lengths.median(), lengths.quantile(0.95), 21]


def test_what_is_left_out_is_counted_and_no_fault(tmp_path):
    small_roots.conceptual_captions(tmp_path)
    found = findings(tmp_path, "conceptual_captions")
    assert rows(found.left_out) == [("train", "no image", 1)] and not found.faults
    assert [path.name for path in found.unused] == ["00000007.jpg"]


def test_documented_overlap_is_reported_and_no_fault(tmp_path):
    small_roots.hateful_memes_2(tmp_path)
    found = findings(tmp_path, "hateful_memes")
    assert rows(found.duplicates) == [
        ("image", "val", "dev_unseen", 1, True, "08291.png and 08291.png"),
        ("image and text", "val", "dev_unseen", 1, True, "08291.png and 08291.png"),
    ]
    assert not found.faults


def test_an_image_that_was_copied_into_another_split_is_a_fault(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    shutil.copy(folder / "img" / "42953.png", folder / "img" / "01726.png")
    found = findings(tmp_path, "hateful_memes")
    assert rows(found.duplicates) == [("image", "train", "test", 1, False, "42953.png and 01726.png")]
    assert found.faults == ["same image in train and test: 1, such as 42953.png and 01726.png"]


def test_broken_and_missing_files_and_lines_are_all_named(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    (folder / "img" / "23058.png").unlink()
    write(folder / "img" / "08291.png", b"no image")
    write(folder / "test.jsonl", (folder / "test.jsonl").read_bytes() + b"{\n")
    found = findings(tmp_path, "hateful_memes")
    assert [(problem.where, problem.cause) for problem in found.problems] == [
        (f"{folder / 'train.jsonl'}:2", "missing image"),
        (f"{folder / 'test.jsonl'}:2", "broken line"),
        (str(folder / "img" / "08291.png"), "broken image"),
    ]
    assert found.faults == [
        "broken image: 1",
        "broken line: 1",
        "missing image: 1",
    ]


def test_every_image_is_read_once(tmp_path, monkeypatch):
    small_roots.easy_vqa(tmp_path)
    read, read_bytes, open_image = [], Path.read_bytes, Image.open
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or read_bytes(path))
    monkeypatch.setattr(Image, "open", lambda source, **options: open_image(held_in_memory(source), **options))
    findings(tmp_path, "easy_vqa")
    images = [path for path in read if path.suffix == ".png"]
    assert len(images) == len(set(images)) == 22


def held_in_memory(source):
    assert isinstance(source, io.BytesIO)
    return source


# The command


def run(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["vilbert_lib", "data", "check", *map(str, arguments)])
    try:
        __main__.main()
        status = 0
    except SystemExit as end:
        status = end.code
    return status, capsys.readouterr().out


def test_the_command_ends_well_where_nothing_is_wrong(tmp_path, monkeypatch, capsys):
    for make in small_roots.ALL:
        make(tmp_path)
    status, said = run(monkeypatch, capsys, tmp_path)
    assert status == 0 and said.endswith("\nnothing is wrong\n")
    assert all(f"\n{name} (" in said for name in formats.names_in(tmp_path))
    assert "label: hateful" in said and "1 (50.0%)" in said


def test_the_command_reports_on_a_synthetic_root(tiny_root, monkeypatch, capsys):
    status, said = run(monkeypatch, capsys, tiny_root)
    assert status == 0 and "synthetic data" in said.splitlines()[0]


def test_the_command_names_what_is_wrong_and_goes_on(tmp_path, monkeypatch, capsys):
    folder = small_roots.hateful_memes(tmp_path)
    write(folder / "train.jsonl", b"{\n" * 5 + (folder / "train.jsonl").read_bytes())
    small_roots.upmc_food(tmp_path)
    (small_roots.mm_imdb(tmp_path) / "split.json").unlink()
    status, said = run(monkeypatch, capsys, tmp_path, "--show", "2")
    assert status == 1 and said.endswith("\nwrong: hateful_memes, mm_imdb\n")
    assert "WRONG: broken line: 5" in said
    assert "  hateful_memes/train.jsonl:1: broken line" in said and "train.jsonl:3" not in said
    assert "broken line: and 3 more" in said
    assert f"cannot be read: {tmp_path / 'mm_imdb' / 'split.json'} is missing" in said
    assert "\nupmc_food (multiclass)" in said


def test_one_task_alone_can_be_checked(tmp_path, monkeypatch, capsys):
    write(small_roots.hateful_memes(tmp_path) / "train.jsonl", b"{\n")
    small_roots.upmc_food(tmp_path)
    status, said = run(monkeypatch, capsys, tmp_path, "--task", "upmc_food")
    assert status == 0 and "hateful_memes" not in said


def test_of_many_classes_the_most_and_least_frequent_are_shown(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "pets"
    rows = [f"{i}.png,text,{label:02d}\n" for i, label in enumerate(n for n in range(40) for _ in range(40 - n))]
    write(folder / "all.csv", ("img,text,label\n" + "".join(rows)).encode())
    same = picture(folder / "0.png").read_bytes()
    for i in range(len(rows)):
        write(folder / f"{i}.png", same)
    shares = {"val": 0.01, "test": 0.01}
    small_roots.write_json(
        folder / "task.json", {"kind": "multiclass", "files": {"train": "all.csv"}, "split_off": shares}
    )
    status, said = run(monkeypatch, capsys, tmp_path)
    assert status == 1  # all images are the same
    shown = [line.split()[3] for line in said.splitlines() if line.startswith("  label, of 40:")]
    assert len(shown) == 6 and shown[0] == "00" and shown[-1] == "39"


def test_a_name_that_no_terminal_can_show_is_escaped(tmp_path, monkeypatch, capsys):
    folder = small_roots.pets(tmp_path)
    write(folder / "test.csv", b"img,text,label\ncaf\xe9.png,x,cat\n")
    status, said = run(monkeypatch, capsys, tmp_path)
    assert status == 1 and "caf\\udce9.png is missing" in said
