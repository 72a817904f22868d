"""The manifest against the files: what they show is read back, and the best guess is counted."""

import hashlib
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
import synthetic_reader as reader
from broja import decompose
from picture_reader import INKS, SHAPES

from vilbert_lib import synthetic
from vilbert_lib.synthetic import Knobs, captions, dishes, genres, levels, memes, questions

TASKS = synthetic.TASKS


def guessing(keys: list, labels: list) -> float:
    """Accuracy of the most frequent label of each key: of either half in the other."""
    right = 0
    for half in (0, 1):
        seen = defaultdict(Counter)
        for key, label in zip(keys[half::2], labels[half::2], strict=True):
            seen[key][label] += 1
        anything = Counter(labels[half::2]).most_common(1)[0][0]
        guess = {key: counts.most_common(1)[0][0] for key, counts in seen.items()}
        other = zip(keys[1 - half :: 2], labels[1 - half :: 2], strict=True)
        right += sum(guess.get(key, anything) == label for key, label in other)
    return right / len(labels)


def near(share: float, n: int):
    """Equal to ``share`` as a share of n draws can be: within four standard errors."""
    return pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5 + 3 / n)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return synthetic.make_root(tmp_path_factory.mktemp("truth") / "root", n_train=800)


@pytest.fixture(scope="module")
def manifest(root):
    return synthetic.read_manifest(root)


@pytest.fixture(scope="module")
def read(root):
    return {task: reader.samples(root, task) for task in TASKS}


# No split shows what another does


@pytest.mark.parametrize("task", TASKS)
def test_no_pair_of_scene_and_text_is_in_two_splits(read, task):
    s, found = read[task], defaultdict(set)
    for i, (split, text) in enumerate(zip(s.splits, s.texts, strict=True)):
        found[s.scene(i), text].add(split)
    assert max(map(len, found.values())) == 1


def test_no_two_images_are_alike(root):
    images = [path for path in root.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg")]
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in images}) == len(images) > 5000


def nuisances(task: str, s) -> list[tuple[int, ...]]:
    """What of each sample does not bear on its label, or, of captions, all that is shown."""
    shapes, textures, sizes = s.seen.styles.T.tolist()
    if task in ("mm_imdb", "upmc_food"):
        templates = (reader.plot_words if task == "mm_imdb" else reader.recipe_values)(s)[0].tolist()
        return list(zip(shapes, textures, sizes, templates, strict=True))
    places, inks = (values.tolist() for values in reader.one_ink(s.seen))
    if task == "hateful_memes":
        return list(zip(places, textures, sizes, reader.animals(s)[0].tolist(), strict=True))
    if task == "easy_vqa":
        return list(zip(places, textures, sizes, strict=True))
    return list(zip(places, textures, sizes, inks, shapes, strict=True))


@pytest.mark.parametrize("task", TASKS)
def test_validation_and_test_show_combinations_that_training_never_does(read, task):
    s, shown = read[task], defaultdict(set)
    for split, combination in zip(s.splits, nuisances(task, s), strict=True):
        shown[split].add(combination)
    held_out = set.union(*(shown[split] for split in shown if split != "train"))
    assert held_out and not held_out & shown["train"]
    if task != "conceptual_captions":
        assert not shown["val"] & shown["test"]
    for values, trained in zip(zip(*held_out, strict=True), zip(*shown["train"], strict=True), strict=True):
        assert set(values) <= set(trained), "each value by itself is trained on"


@pytest.mark.parametrize("task", ["hateful_memes", "easy_vqa", "upmc_food"])
def test_what_bears_on_the_label_is_trained_and_tested_alike(read, task):
    s = read[task]
    if task == "upmc_food":
        bears = s.labels
    else:
        other = reader.animals(s)[1].tolist() if task == "hateful_memes" else s.seen.styles[:, 0].tolist()
        bears = list(zip(reader.one_ink(s.seen)[1].tolist(), other, strict=True))
    for split in ("train", "test"):
        assert {b for b, which in zip(bears, s.splits, strict=True) if which == split} == set(bears)


# Memes


def test_memes_are_as_knowable_as_the_manifest_says(read, manifest):
    s, best = read["hateful_memes"], manifest["best_possible_accuracy"]["hateful_memes"]
    templates, animals = (values.tolist() for values in reader.animals(s))
    places, inks = (values.tolist() for values in reader.one_ink(s.seen))
    n = len(s.labels)
    assert best == {"text": 0.64, "image": 0.64, "both": 0.95}
    assert np.mean([label == "hateful" for label in s.labels]) == near(0.36, n)
    for keys in (animals, templates):
        assert guessing(keys, s.labels) == near(best["text"], n)
    for keys in (inks, places, *s.seen.styles.T.tolist()):
        assert guessing(keys, s.labels) == near(best["image"], n)
    assert guessing(list(zip(inks, animals, strict=True)), s.labels) == near(best["both"], n)
    paired = [ink == animal for ink, animal in zip(inks, animals, strict=True)]
    assert np.mean(paired) == near((0.36 - 0.05) / 0.9, n)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_the_decomposition_of_memes(noise):
    matching = (0.36 - noise) / (1 - 2 * noise)
    pairs = np.where(np.eye(6), matching / 6, (1 - matching) / 30)
    hateful = np.where(np.eye(6), 1 - noise, noise)
    joint = np.stack([pairs * (1 - hateful), pairs * hateful])
    assert joint[1].sum() == pytest.approx(0.36)
    assert memes.truth(Knobs(label_noise=noise)).bits == pytest.approx(decompose(joint), abs=1e-3)


# Questions


def answer(question: str, shape: str, colour: str) -> str:
    """What is true of a picture with one ``colour`` ``shape``."""
    if question.startswith(("what shape", "what is the", "which shape")):
        return shape
    if question.startswith(("what color", "which color")):
        return colour
    named = next(word for word in question.rstrip("?").split() if word in (*SHAPES, *INKS))
    return "yes" if (named in (shape, colour)) != (" not " in question) else "no"


def test_questions_are_as_knowable_as_the_manifest_says(read, manifest):
    s, best = read["easy_vqa"], manifest["best_possible_accuracy"]["easy_vqa"]
    inks = reader.one_ink(s.seen)[1]
    shown = [(SHAPES[shape], INKS[ink]) for shape, ink in zip(s.seen.styles[:, 0], inks, strict=True)]
    assert s.labels == [answer(text, *pair) for text, pair in zip(s.texts, shown, strict=True)]
    n = len(s.labels)
    kinds = [label if label in ("yes", "no") else "" for label in s.labels]
    assert guessing(s.texts, s.labels) == near(best["text"], n)
    assert guessing(shown, s.labels) == near(best["image"], n)
    assert Counter(kinds)[""] / n == near(0.4, n)
    assert best["both"] == 1


def test_the_decomposition_of_questions():
    rows = []  # chance, answer, question, picture
    for shape, colour in product(range(4), range(6)):
        for other, share in ((None, 1 / 3), (colour, 2 / 3)):
            rows.append((0.2 * share, shape, ("shape", other), (shape, colour)))
        for other, share in ((None, 1 / 3), (shape, 2 / 3)):
            rows.append((0.2 * share, 4 + colour, ("colour", other), (shape, colour)))
        for kind, real, count in (("s", shape, 4), ("c", colour, 6)):
            for thing, negated in product(range(count), (False, True)):
                chance = 0.6 / 8 if thing == real else 0.6 / 8 / (count - 1)
                yes = (thing == real) != negated
                rows.append((chance, 10 + yes, (kind, thing, negated), (shape, colour)))
    texts, images = ({key: i for i, key in enumerate(dict.fromkeys(row[side] for row in rows))} for side in (2, 3))
    joint = np.zeros((12, len(texts), len(images)))
    for chance, label, text, image in rows:
        joint[label, texts[text], images[image]] += chance / 24
    assert joint.sum() == pytest.approx(1)
    assert questions.truth(Knobs()).bits == pytest.approx(decompose(joint, rounds=100), abs=1e-3)


# Captions


def test_a_caption_is_true_of_its_picture_and_of_no_other_scene(read):
    s = read["conceptual_captions"]
    places, inks = reader.one_ink(s.seen)
    told = {}
    for text, place, ink, (shape, texture, size) in zip(s.texts, places, inks, s.seen.styles, strict=True):
        words = {
            *("upper", "lower")[place // 2 :][:1],
            *("left", "right")[place % 2 :][:1],
            *(INKS[ink], SHAPES[shape], ("plain", "striped", "dotted")[texture], ("small", "large")[size]),
        }
        assert words <= set(text.replace(",", " ").replace(":", " ").split())
        assert told.setdefault(text, words) == words
    assert len(told) == len(set(map(frozenset, told.values()))) > 400


def test_the_decomposition_of_alignment_prediction():
    scenes = 5
    aligned = np.eye(scenes) / scenes
    swapped = (1 - np.eye(scenes)) / (scenes * (scenes - 1))
    assert captions.truth(Knobs()).bits == pytest.approx(decompose(np.stack([swapped, aligned]) / 2), abs=1e-3)


# Genres


def test_films_are_as_knowable_as_the_manifest_says(read, manifest):
    s, best, of_genre = read["mm_imdb"], manifest["best_possible_accuracy"]["mm_imdb"], manifest["genres"]
    labels, marks, words = reader.genre_labels(s), reader.poster_marks(s), reader.plot_words(s)[1]
    n = len(labels)
    assert labels.any(axis=1).all(), "a film has a genre"
    assert list(labels.mean(0)) == [near(entry["share"], n) for entry in of_genre.values()]
    together = []
    for side, cues in (("text", words), ("image", marks)):
        accuracy = []
        for i, entry in enumerate(of_genre.values()):
            told = cues[:, i] if entry["part"] in ("redundancy", f"unique_{side}") else np.zeros(n, bool)
            accuracy.append(guessing(told.tolist(), labels[:, i].tolist()))
            if entry["part"] != "redundancy":  # these depend on one another: there is one at least
                others = np.delete(cues, i, axis=1) if told.any() else cues
                worth = np.corrcoef(others[:, others.any(0)].T, labels[:, i])[-1, :-1]
                assert abs(worth).max() < 5 / n**0.5, "no other word or mark tells anything"
        assert np.mean(accuracy) == pytest.approx(best[side], abs=0.01)
        together.append(accuracy)
    assert best["both"] == 1
    mixed = np.array([entry["part"] == "synergy" for entry in of_genre.values()])
    assert (labels == np.where(mixed, marks ^ words, marks | words)).all()


@pytest.mark.parametrize("part", ["redundancy", "unique_text", "unique_image", "synergy"])
def test_the_decomposition_of_a_genre(part):
    share = 0.1875
    joint = np.zeros((2, 2, 2))
    for there, coin in product((0, 1), (0, 1)):
        text = {"redundancy": there, "unique_text": there, "unique_image": 0, "synergy": coin}[part]
        image = {"redundancy": there, "unique_text": 0, "unique_image": there, "synergy": coin ^ there}[part]
        joint[there, text, image] += (share if there else 1 - share) / 2
    found = decompose(joint)
    [action] = (entry for name, entry in genres.by_genre().items() if name == "Action")
    assert (action["share"], action["bits"]) == pytest.approx((share, found.pop(part)), abs=1e-3)
    assert list(found.values()) == pytest.approx([0] * 4, abs=1e-3)


def test_the_genres_bits_add_up_but_for_the_redundant_ones_that_depend_on_one_another():
    of_part, bits = Counter(), genres.truth(Knobs()).bits
    for entry in genres.by_genre().values():
        of_part[entry["part"]] += entry["bits"]
    for part in ("unique_text", "unique_image", "synergy"):
        assert bits[part] == pytest.approx(of_part[part])
    rates = [genre.sixteenths / 16 for genre in genres.GENRES if genre.part == "redundancy"]
    chances = [
        np.prod([r if there else 1 - r for r, there in zip(rates, group, strict=True)])
        for group in product((0, 1), repeat=len(rates))
        if any(group)
    ]
    chances = np.array(chances) / sum(chances)
    assert bits["redundancy"] == pytest.approx(-(chances * np.log2(chances)).sum())
    assert of_part["redundancy"] - 0.5 < bits["redundancy"] < of_part["redundancy"]


# Dishes

TURNED = {
    "usual": Knobs(),
    "fractions": Knobs(redundancy=2.5, unique_text=0.4, unique_image=0.6, synergy=0.5, heterogeneity=3),
    "half synergy": levels("synergy", label_noise=0.0, heterogeneity=1)[2],
    "all unique": levels("unique_text", "unique_image", label_noise=0.1)[4],
}


def law(part: str, share: float, flip: float) -> np.ndarray:
    """Joint distribution of one bit of a label, its word and its mark, (2, 5, 5), as the book describes it."""
    joint = np.zeros((2, 5, 5))
    for label, bit, coin, struck in product((0, 1), repeat=4):
        chance = (1 - flip if label == bit else flip) / 4 * (share if struck else 1 - share)
        word = mark = bit
        if struck and part == "unique_text":
            mark = coin if share == 1 else reader.BLANK
        elif struck and part == "unique_image":
            word = coin if share == 1 else reader.BLANK
        elif struck and part == "synergy":
            shown = 0 if share == 1 else reader.MIXED
            word, mark = coin + shown, (coin ^ bit) + shown
        joint[label, word, mark] += chance
    return joint


def bits_right(keys: np.ndarray, bits: np.ndarray) -> float:
    """Accuracy of labels whose bits are guessed one by one, each from its own key, (n, 4) both."""
    right = np.ones(len(bits), bool)
    for i in range(bits.shape[1]):
        for half in (0, 1):
            counts = np.zeros((keys.max() + 1, 2))
            np.add.at(counts, (keys[half::2, i], bits[half::2, i]), 1)
            right[1 - half :: 2] &= counts.argmax(1)[keys[1 - half :: 2, i]] == bits[1 - half :: 2, i]
    return float(right.mean())


@pytest.fixture(scope="module", params=TURNED)
def plates(request, read, tmp_path_factory):
    """Knobs, samples, words, marks and label bits."""
    knobs = TURNED[request.param]
    if request.param == "usual":
        s = read["upmc_food"]
    else:
        base = tmp_path_factory.mktemp("knobs")
        made = synthetic.make_root(base / "root", n_train=800, knobs=knobs, tasks=["upmc_food"])
        s = reader.samples(made, "upmc_food")
    return knobs, s, reader.recipe_values(s)[1], reader.plate_values(s), reader.dish_bits(s)


def test_dishes_are_as_knowable_as_the_manifest_says(plates):
    knobs, s, words, marks, bits = plates
    best, n = dishes.truth(knobs).best, len(bits)
    assert bits_right(words, bits) == near(best["text"], n)
    assert bits_right(marks, bits) == near(best["image"], n)
    assert bits_right(5 * words + marks, bits) == near(best["both"], n)
    # The whole text, or image, tells no more than bit by bit; there are more keys to learn from fewer samples.
    for side, values in (("text", words), ("image", marks)):
        assert guessing(list(map(tuple, values.tolist())), s.labels) < best[side] + 4 * (0.25 / n) ** 0.5


def test_words_and_marks_follow_their_law(plates):
    knobs, _, words, marks, bits = plates
    flip = 1 - (1 - knobs.label_noise) ** 0.25
    for i, (part, share) in enumerate(knobs.slots):
        counts = np.zeros((2, 5, 5))
        np.add.at(counts, (bits[:, i], words[:, i], marks[:, i]), 1)
        for count, chance in zip(counts.ravel(), law(part, share, flip).ravel(), strict=True):
            assert count / len(bits) == (near(chance, len(bits)) if chance else 0)


def test_the_bits_of_a_label_have_nothing_to_do_with_one_another(plates):
    _, _, words, marks, bits = plates
    for i, j in product(range(4), repeat=2):
        if i != j:
            for values in (words, marks):
                table = np.zeros((2, 5))
                np.add.at(table, (bits[:, i], values[:, j]), 1)
                rows = table.sum(1, keepdims=True)
                assert abs(table / rows - table.sum(0) / len(bits)).max() < 2 / len(bits) ** 0.5


def test_all_classes_are_equally_frequent(plates):
    _, s, *_ = plates
    counts = Counter(s.labels)
    assert len(counts) == 16 and max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("knobs", TURNED.values(), ids=TURNED)
def test_the_decomposition_of_dishes(knobs):
    """Bit by bit: the four are independent, and the measures of Bertschinger et al. add up."""
    flip = 1 - (1 - knobs.label_noise) ** 0.25
    total = Counter()
    for part, share in knobs.slots:
        total.update(decompose(law(part, share, flip)))
    assert dishes.truth(knobs).bits == pytest.approx(dict(total), abs=3e-3)


def test_two_bits_together_decompose_into_the_sum_of_both():
    one, two = law("unique_image", 0.3, 0.02), law("synergy", 0.5, 0.02)
    together = np.einsum("abc,def->adbecf", one, two).reshape(4, 25, 25)
    apart = Counter(decompose(one))
    apart.update(decompose(two))
    assert decompose(together) == pytest.approx(dict(apart), abs=3e-3)


def test_levels_of_whole_bits_differ_in_nothing_that_one_side_shows():
    for part in ("unique_text", "unique_image", "synergy"):
        for knobs in levels(part):
            for kind, share in knobs.slots:
                joint = law(kind, share, 0.0)
                for side in (1, 2):
                    assert joint.sum((0, 3 - side)).tolist() == [0.5, 0.5, 0, 0, 0]


@pytest.mark.parametrize("ways", [1, 2, 3])
def test_heterogeneity_is_the_number_of_words_and_colours_for_one_thing(ways, tmp_path):
    knobs = levels("synergy", heterogeneity=ways)[0]
    made = synthetic.make_root(tmp_path / "root", n_train=400, knobs=knobs, tasks=["mm_imdb", "upmc_food"])
    s = reader.samples(made, "upmc_food")
    said = Counter(word for text in s.texts for word in text.replace(",", "").split())
    for pair in dishes.INGREDIENTS:
        for group in pair:
            assert sum(word in said for word in group) == ways
    values = reader.plate_values(s)
    for place, value in product(range(4), (0, 1)):
        assert len(set(s.seen.inks[values[:, place] == value, place])) == ways
    films = reader.samples(made, "mm_imdb")
    said = Counter(word for text in films.texts for word in text.split())
    for genre in genres.GENRES:
        assert sum(word in said for word in genre.words) == (ways if genre.words else 0)
    for place in range(16):
        assert len(set(films.seen.inks[:, place]) - {INKS.index("nothing")}) == ways


# The measure itself


@pytest.mark.parametrize(
    ("name", "joint", "expected"),
    [
        ("and", {(0, 0, 0): 0.25, (0, 0, 1): 0.25, (0, 1, 0): 0.25, (1, 1, 1): 0.25}, (0.3113, 0, 0, 0.5)),
        ("xor", {(0, 0, 0): 0.25, (1, 0, 1): 0.25, (1, 1, 0): 0.25, (0, 1, 1): 0.25}, (0, 0, 0, 1)),
        ("copy", {(0, 0, 0): 0.25, (1, 0, 1): 0.25, (2, 1, 0): 0.25, (3, 1, 1): 0.25}, (0, 1, 1, 0)),
        (
            "one side or the other",
            {(0, 0, 2): 0.25, (0, 2, 0): 0.25, (1, 1, 2): 0.25, (1, 2, 1): 0.25},
            (0.5, 0, 0, 0.5),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_measure_gives_published_values(name, joint, expected):
    table = np.zeros((4, 3, 3))
    for place, chance in joint.items():
        table[place] = chance
    found = decompose(table)
    assert list(found.values())[:4] == pytest.approx(expected, abs=2e-3)
