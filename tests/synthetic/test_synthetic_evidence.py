"""The boxes are where the pictures have colour, and the deciding words are those that decide."""

import numpy as np
import pytest

from vilbert_lib import synthetic
from vilbert_lib.data import formats
from vilbert_lib.data.images import decode
from vilbert_lib.data.tokenizer import of_root
from vilbert_lib.synthetic import evidence
from vilbert_lib.synthetic.memes import ANIMALS


@pytest.mark.parametrize("task", evidence.TASKS)
def test_all_that_is_drawn_lies_in_the_box_and_the_box_is_tight(tiny_root, task):
    boxes = evidence.boxes(tiny_root, task)
    records = [r for split in formats.task(task, tiny_root).splits(tiny_root).values() for r in split]
    assert {record.img for record in records} == set(boxes)
    for path, box in boxes.items():
        top, left, bottom, right = (round(edge * 64) for edge in box)
        pixels = decode(path, 64).astype(int)
        # The ground is grey but for 31 steps between channels, and no darker or lighter than 110 - 16 to 141 + 15.
        drawn = (np.ptp(pixels, axis=-1) > 31) | (pixels < 94).any(-1) | (pixels > 156).any(-1)
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        assert (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) == (top, left, bottom, right), path


def test_the_deciding_word_of_a_meme_is_its_animal_in_wordpieces_too(tiny_root):
    records = formats.task("hateful_memes", tiny_root).splits(tiny_root)["test"]
    texts = [record.text for record in records]
    spans = [evidence.deciding_words("hateful_memes", text) for text in texts]
    assert all(len(s) == 1 and t[s[0][0] : s[0][1]] in ANIMALS for s, t in zip(spans, texts, strict=True))
    words = of_root(tiny_root)
    ids, lengths = words.encode(texts, 32)
    found = words.covering(texts, spans, 32)
    assert found.shape == ids.shape and found.any(1).all()
    for row, (text, [(start, stop)]) in enumerate(zip(texts, spans, strict=True)):
        pieces = [piece.removeprefix("##") for piece in words.tokens(ids[row][found[row]])]
        assert "".join(pieces) == text[start:stop]
        assert not found[row, lengths[row] :].any()


def test_a_question_is_decided_by_what_it_names_and_by_not():
    def said(text):
        return [text[start:stop] for start, stop in evidence.deciding_words("easy_vqa", text)]

    assert said("is there not a blue shape in the image?") == ["not", "blue"]
    assert said("does the image contain a circle?") == ["circle"]
    assert said("what color is the circle?") == []


def test_where_no_evidence_is_known_it_is_said(tiny_root, tmp_path):
    with pytest.raises(ValueError, match="one drawn thing 'mm_imdb'"):
        evidence.boxes(tiny_root, "mm_imdb")
    with pytest.raises(ValueError, match="no box is known"):
        evidence.boxes(tmp_path, "hateful_memes")
    other = synthetic.make_root(tmp_path / "other", n_train=8, seed=3, tasks=("easy_vqa",))
    assert evidence.boxes(other, "easy_vqa")
