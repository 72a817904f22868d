"""data check: counts that are right, faults that are found, and an exit status that says so."""

import io
import json
import os
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

REAL = os.environ.get("VILBERT_REAL_DATA", "")


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
    assert words.tolist()[:3] == [lengths.median(), lengths.quantile(0.95), 21]


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


CONTRARY = b"""{"id": 1, "img": "img/1.png", "text": "a quiet street", "label": 0}
{"id": 1, "img": "img/2.png", "text": "another picture", "label": 1}
{"id": 2, "img": "img/3.png", "text": "same picture same text", "label": 0}
{"id": 3, "img": "img/3.png", "text": "same picture same text", "label": 1}
{"id": 4, "img": "img/4.png", "text": "fine", "label": 1}
"""


def test_repeated_ids_and_contrary_labels_are_faults(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    write(folder / "train.jsonl", CONTRARY)
    for number in range(1, 5):
        picture(folder / "img" / f"{number}.png")
    found = findings(tmp_path, "hateful_memes")
    assert [(problem.where, problem.cause) for problem in found.problems] == [
        (f"{folder / 'train.jsonl'}:2", "repeated id")
    ]
    assert found.faults == [
        "repeated id: 1",
        "same image and text with different labels: 1, such as 3.png, train 2: 'benign' and train 3: 'hateful'",
    ]


def test_contrary_labels_are_found_across_copies_and_splits(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    shutil.copy(folder / "img" / "42953.png", folder / "img" / "copy.png")
    line = (folder / "train.jsonl").read_bytes().splitlines()[0].replace(b"42953", b"copy", 1)
    write(folder / "dev.jsonl", line.replace(b"42953.png", b"copy.png").replace(b'"label":0', b'"label":1'))
    write(folder / "dev.jsonl", (folder / "dev.jsonl").read_bytes().replace(b'"id":copy', b'"id":"copy"'))
    faults = findings(tmp_path, "hateful_memes").faults
    assert (
        "same image and text with different labels: 1, such as copy.png, train 42953: 'benign' and "
        "val copy: 'hateful'"
    ) in faults


def test_texts_in_two_unicode_forms_are_one_text_of_contrary_labels(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    line = '{"id": %d, "img": "img/42953.png", "text": "%s", "label": %d}\n'
    write(folder / "dev.jsonl", (line % (1, "caf\u00e9 noir", 0) + line % (2, " cafe\u0301  noir", 1)).encode())
    faults = findings(tmp_path, "hateful_memes").faults
    assert any(
        fault.startswith("same image and text with different labels: 1, such as 42953.png") for fault in faults
    )


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ("Cat", r"labels 'Cat' and 'cat' differ in case, blanks or Unicode form only"),
        ("house\u00a0cat", r"labels 'house cat' and 'house\xa0cat' differ in case, blanks or Unicode form only"),
        ("house  cat", r"labels 'house  cat' and 'house cat' differ in case, blanks or Unicode form only"),
        ("cafe\u0301", r"labels 'cafe\u0301' and 'caf\xe9' differ in case, blanks or Unicode form only"),
        ("NaN", "label 'NaN' reads like a missing value: leave the label empty"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*labels 'c:UserWarning")
def test_labels_that_read_alike_are_a_fault(tmp_path, label, fault):
    folder = small_roots.pets(tmp_path)
    rows = "".join(f"a.png,text {i},{name}\n" for i, name in enumerate(["cat", "house cat", "caf\u00e9", label]))
    write(folder / "train.csv", ("img,text,label\n" + rows).encode())
    description = json.loads((folder / "task.json").read_bytes())
    description["files"] |= {"train": "train.csv", "test": "val.csv"}
    small_roots.write_json(folder / "task.json", description)
    assert fault in findings(tmp_path, "pets").faults
    small_roots.write_json(
        folder / "task.json", description | {"labels": ["cat", "house cat", "caf\u00e9", label]}
    )
    assert fault not in findings(tmp_path, "pets").faults


def test_what_fine_tuning_and_pretraining_refuse_is_noted(tmp_path):
    folder = small_roots.hateful_memes(tmp_path)
    line = (folder / "dev.jsonl").read_bytes()
    write(folder / "dev.jsonl", line + line.replace(b"8291", b"42953").replace(b"042953.png", b"42953.png"))
    notes = findings(tmp_path, "hateful_memes").notes
    assert "test: 1 samples have no label: fine-tuning refuses them" in notes
    assert "all 2 texts of val read the same: alignment prediction refuses them" in notes
    assert "val lacks 1 of 2 labels, such as 'benign'" in notes


def test_texts_of_two_splits_are_counted_and_groups_advised(tmp_path):
    small_roots.pets(tmp_path)
    found = findings(tmp_path, "pets")
    assert rows(found.shared_texts) == [("train", "val", 1, 1.0, "purrs")] and not found.faults
    assert found.notes[-2:] == [
        "texts of train in val: 1 samples (100%), such as 'purrs'",
        "many texts are shared: a column 'group' in the list keeps rows of one group in one split",
    ]
    path = tmp_path / "pets" / "task.json"
    train = path.parent / json.loads(path.read_bytes())["files"]["train"]
    write(train, train.read_bytes().replace(b'{"img', b'{"group": "a", "img'))
    assert findings(tmp_path, "pets").notes == found.notes[:-1]  # the list has groups already
    small_roots.easy_vqa(tmp_path)  # of which nobody can write the list anew
    notes = findings(tmp_path, "easy_vqa").notes
    assert "texts of train in test: 4 samples (100%), such as 'what shape?'" in notes
    assert not any("group" in note for note in notes)


def test_groups_that_read_alike_or_like_a_missing_value_are_noted(tmp_path):
    path = small_roots.pets(tmp_path) / "train.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    groups = (b"Zoo", b"zoo", b"nan", b"nan")
    write(path, b"".join(b'{"group": "%s", ' % g + line[1:] for g, line in zip(groups, lines, strict=True)))
    notes = findings(tmp_path, "pets").notes
    assert "groups 'Zoo' and 'zoo' differ in case, blanks or Unicode form only" in notes
    assert "group 'nan' reads like a missing value: leave the group empty" in notes


def test_images_that_a_link_takes_from_elsewhere_are_noted(tmp_path):
    root = tmp_path / "root"
    folder = small_roots.pets(root)
    store = (folder / "photos").rename(tmp_path / "store")
    (folder / "photos").mkdir()
    for path in store.iterdir():
        shutil.copy(path, folder / "photos")
    (folder / "photos" / "e.png").unlink()
    (folder / "photos" / "e.png").symlink_to(store / "e.png")
    found = findings(root, "pets")
    assert found.notes[-1] == f"images outside the data root, by a link: 1, such as {folder / 'photos' / 'e.png'}"
    shutil.rmtree(folder / "photos")
    (folder / "photos").symlink_to(store)  # the folder that the description names
    assert not any("outside" in note for note in findings(root, "pets").notes) and not found.faults


@pytest.mark.skipif(
    not (Path(REAL) / "easy_vqa").is_dir() or not REAL,
    reason="VILBERT_REAL_DATA does not name a folder that holds easy_vqa/",
)
def test_nothing_is_wrong_with_the_real_easy_vqa():
    found = findings(Path(REAL), "easy_vqa")
    assert found.faults == []
    shared = found.shared_texts.set_index(["split", "other"]).share
    assert shared["train", "test"] == 1  # few questions, asked of all images


def test_a_list_of_another_length_than_the_published_one_is_noted(tmp_path, monkeypatch, capsys):
    folder = small_roots.hateful_memes(tmp_path)
    assert "val: 1 rows, 500 in the list as it is published" in findings(tmp_path, "hateful_memes").other_sizes
    assert "note: val: 1 rows, 500 in the list" in run(monkeypatch, capsys, tmp_path)[1]
    line = '{"id": %d, "img": "img/42953.png", "text": "text %d", "label": 1}\n'
    rows = [line % (i, i) for i in range(499)] + ["{\n"]  # a broken row is one of the list
    write(folder / "dev.jsonl", "".join(rows).encode())
    assert not any(note.startswith("val: ") for note in findings(tmp_path, "hateful_memes").other_sizes)


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
    assert status == 0 and "synthetic data" in said.splitlines()[0] and "as it is published" not in said


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


def test_the_share_of_the_texts_that_are_cut_is_counted(tmp_path, monkeypatch, capsys):
    folder = small_roots.pets(tmp_path)
    rows = [{"img": "a.png", "label": "cat" if n < 9 else "dog", "text": " ".join("w" * n)} for n in (2, 3, 4, 9)]
    lines = [json.dumps(row) + "\n" for row in rows]
    write(folder / "train.jsonl", "".join(lines).encode())
    write(folder / "test.csv", b"img,text,label\ne.png,w,cat\n")
    _, said = run(monkeypatch, capsys, tmp_path, "--max-tokens", "5")  # of which two begin and end the text
    [line] = (line for line in said.splitlines() if "texts that are cut" in line)
    assert line.split()[-3:-2] == ["50.0%"]
    assert "cut" not in run(monkeypatch, capsys, tmp_path)[1]


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
