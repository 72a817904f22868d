"""What is said of the tasks: counted by hand on a few records, and read from a manifest."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from studies import tasks
from vilbert_lib import figures, synthetic
from vilbert_lib.data.cache import decode
from vilbert_lib.data.formats import Record, task

NAMES = ("cat", "dog", "fox")


def records(*labels):
    return [Record(str(i), Path(f"{i // 2}.png"), "a b c", label) for i, label in enumerate(labels)]


def test_shares_of_classes_and_of_sets_of_labels():
    splits = {"train": records(0, 0, 1, 2), "test": records((), (0, 2), (2,), None)}
    table = tasks.label_shares(splits, NAMES)
    assert table.train.tolist() == [0.5, 0.25, 0.25]
    assert table.test.tolist() == pytest.approx([1 / 3, 0, 2 / 3])
    assert list(table.index) == list(NAMES)


@pytest.mark.parametrize(
    ("label", "said"),
    [(1, "a b c\n\u2192 dog"), ((0, 2), "a b c\n\u2192 cat, fox"), ((), "a b c"), (None, "a b c")],
)
def test_a_sample_is_described_by_its_text_and_its_label(label, said):
    assert tasks.described(records(label)[0], NAMES) == said


def test_the_label_that_differs_most_is_named_in_standard_errors():
    splits = {"train": records(*[0] * 60, *[1] * 40), "test": records(*[0] * 40, *[1] * 60)}
    found = tasks.furthest(tasks.label_shares(splits, NAMES), splits)
    assert (found.label, found.train, found.test) == ("cat", 0.6, 0.4)
    assert found.errors == pytest.approx(0.2 / (0.25 * 2 / 100) ** 0.5)


def test_what_is_knowable_is_what_the_manifest_says(tiny_root):
    table = tasks.knowable(synthetic.read_manifest(tiny_root))
    assert tuple(table.index) == synthetic.TASKS and not table.isna().any(axis=None)
    memes = table.loc["hateful_memes"]
    assert memes[["best: text", "best: image", "best: both", "wrong labels"]].tolist() == [0.64, 0.64, 0.95, 0.05]
    assert memes["synergy (bits)"] + memes["noise (bits)"] == pytest.approx(0.9427, abs=1e-4)
    assert table.loc["easy_vqa", "unique text (bits)"] > 1


def test_a_grid_of_samples_shows_every_image_with_its_whole_text(tiny_root):
    some = task("hateful_memes").splits(tiny_root)["train"][:5]
    figure = figures.sample_grid([decode(r.img, 64) for r in some], [r.text + "\nlabel" for r in some], columns=4)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert len(shown) == 5 and not any(axis.axison for axis in shown)
    assert [axis.get_title().replace("\n", " ") for axis in shown] == [f"{r.text} label" for r in some]
    plt.close(figure)


def test_sizes_count_samples_images_and_texts():
    assert tasks.sizes({"train": records(0, 0, 1)}).loc["train"].tolist() == [3, 2, 1, 3]


def test_no_label_differs_where_the_test_part_has_none():
    splits = {"train": records(0, 1), "test": records(None, None)}
    assert tasks.furthest(tasks.label_shares(splits, NAMES), splits) is None
