"""Wordpieces: one vocabulary for one root, texts in, padded ids out."""

import shutil

import numpy as np
import pytest

from vilbert_lib import paths
from vilbert_lib.data import formats, tokenizer
from vilbert_lib.data.tokenizer import SPECIAL, of_root, train_wordpieces

TEXTS = ["a dog on the grass", "a cat on the mat", "the dogs and the cats", "mats, grass and dogs!"]


@pytest.fixture(scope="module")
def words(tiny_root):
    return of_root(tiny_root)


def test_training_is_deterministic():
    vocabularies = [train_wordpieces(TEXTS, 100).get_vocab() for _ in range(3)]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


def test_a_deleted_cache_comes_back_the_same(tiny_root, tmp_path, monkeypatch):
    """Weights of finished runs read the ids of the tokenizer that they were trained with."""
    vocabularies = []
    for name in ("first", "second"):
        monkeypatch.setenv("VILBERT_DATA", str(tmp_path / name))
        made = of_root(tiny_root)
        vocabularies.append(made.tokens(range(made.vocab_size)))
    assert vocabularies[0] == vocabularies[1]


def test_lists_that_change_while_a_tokenizer_is_trained_leave_none(tiny_root, tmp_path, monkeypatch):
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))
    root = shutil.copytree(tiny_root, tmp_path / "root")
    before, path = formats.Task.read, root / "hateful_memes" / "train.jsonl"

    def read_late(*arguments):
        path.write_text(path.read_text().replace("fox", "elk"))
        return before(*arguments)

    monkeypatch.setattr(formats.Task, "read", read_late)
    with pytest.raises(ValueError, match=r"root: lists changed while they were read"):
        of_root(root)
    assert not [path for path in (paths.cache() / "tokenizers").iterdir() if path.is_dir()]


def test_special_tokens_come_first(words):
    assert words.tokens(range(5)) == list(SPECIAL)
    assert sorted(words.special_ids) == [0, 1, 2, 3, 4]
    assert words.mask_id == SPECIAL.index("[MASK]")


def test_a_text_stands_between_cls_and_sep(words):
    ids, lengths = words.encode(["A lion walks into an OFFICE"], 32)
    pieces = words.tokens(ids[0])
    assert (pieces[0], pieces[-1]) == ("[CLS]", "[SEP]")
    assert "".join(piece.removeprefix("##") for piece in pieces[1:-1]) == "alionwalksintoanoffice"
    assert lengths.tolist() == [len(pieces)]


def test_characters_that_were_never_seen_are_unknown(words):
    ids, _ = words.encode(["\u4e2d"], 32)
    assert words.tokens(ids[0]) == ["[CLS]", "[UNK]", "[SEP]"]


def test_shorter_texts_are_padded(words):
    ids, lengths = words.encode(["a lion", "what color is the shape?"], 32)
    assert ids.dtype == lengths.dtype == np.int64
    assert ids.shape == (2, lengths[1]) and lengths[0] < lengths[1]
    assert words.tokens(ids[0, lengths[0] - 1 :]) == ["[SEP]"] + ["[PAD]"] * int(lengths[1] - lengths[0])


def test_longer_texts_are_truncated_and_keep_their_end_token(words):
    ids, lengths = words.encode(["a lion walks into an office " * 5, "a lion"], 8)
    assert ids.shape == (2, 8) and lengths[0] == 8
    assert words.tokens(ids[0])[-1] == "[SEP]"
    whole, _ = words.encode(["a lion walks into an office " * 5], 64)
    assert (ids[0, :7] == whole[0, :7]).all()


def test_training_texts_hold_no_unknown_word(words, tiny_root):
    for task in formats.tasks_in(tiny_root):
        ids, _ = words.encode([r.text for r in task.splits(tiny_root)["train"]], 64)
        assert not (ids == SPECIAL.index("[UNK]")).any()


def test_the_name_follows_the_data_not_the_place(words, tiny_root, tmp_path):
    moved = shutil.copytree(tiny_root, tmp_path / "moved")
    assert of_root(moved).name == words.name
    with open(moved / "hateful_memes" / "train.jsonl", "a") as file:
        file.write("\n")
    assert of_root(moved).name != words.name
    assert of_root(tiny_root, vocab_size=50).name != words.name


def test_a_root_without_any_task_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds none of conceptual_captions"):
        of_root(tmp_path)


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_files_that_were_cut_or_swapped_are_made_anew(tiny_root, tmp_path, monkeypatch, file):
    monkeypatch.setenv("VILBERT_DATA", str(tmp_path / "data"))
    small, made = of_root(tiny_root, vocab_size=60), of_root(tiny_root)
    pieces = made.tokens(range(made.vocab_size))
    folder = paths.cache() / "tokenizers" / made.name
    whole = (folder / file).read_bytes()
    for damage in (whole[: len(whole) // 2], b"{}", whole.replace(b"[MASK]", b"[WORD]", 1)):
        (folder / file).write_bytes(damage)
        with pytest.warns(UserWarning, match=f"{made.name}: the tokenizer is trained again: its files are not"):
            again = of_root(tiny_root)
        assert again.tokens(range(again.vocab_size)) == pieces and (folder / file).read_bytes() == whole
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name(small.name), folder)
    with pytest.warns(UserWarning, match="trained again"):
        assert of_root(tiny_root).vocab_size == made.vocab_size > small.vocab_size


def test_training_happens_once(words, tiny_root, monkeypatch):
    assert (paths.cache() / "tokenizers" / words.name / "tokenizer.json").is_file()
    monkeypatch.setattr(tokenizer, "train_wordpieces", lambda *_: 1 / 0)
    assert of_root(tiny_root).tokens(range(words.vocab_size)) == words.tokens(range(words.vocab_size))
