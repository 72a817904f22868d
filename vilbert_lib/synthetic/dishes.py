"""Dishes of 16 classes: how much each side tells of the label is set by the knobs, in bits.

A dish's label has four bits, and four ingredients. Ingredient i is a word of the recipe and a mark
at place i of the picture, and has two values on each side: one of two groups of words, one of two
groups of colours. How the values go with bit i of the label is the bit's part of the information::

    redundancy    word and mark both show the bit
    unique_text   the word shows the bit; the mark shows a coin of its own
    unique_image  the mark shows the bit; the word shows a coin of its own
    synergy       the word shows a coin; the mark shows whether coin and bit differ

Under all four, word and mark are fair coins by themselves, whatever the bit's part: roots with
other whole bits differ in no distribution of words or of marks, only in what they tell together.

A fraction f of a bit, the rest of which is redundant, is made so::

    unique_text   the mark shows the bit, but is visibly erased (white) with chance f
    unique_image  the word shows the bit, but is visibly erased ("something") with chance f
    synergy       with chance f the bit is told as for synergy, and both sides show that it is: the
                  mark is hollow, and the word is preceded by "maybe"; else both show the bit

Why the bits are what the knobs say (the definition is in truth.py). The four bits are independent,
and what is told of one has nothing to do with another: their decompositions add up (Bertschinger
et al. 2014, additivity). For one bit Y, with word T and mark V:

- Both show Y: T and V are alike, so neither has unique information, and R = 1.
- The mark is erased with chance f: V is T sent through noise, so V has no unique information;
  R = I(Y; V) = 1 - f, and T has the other f. With f = 1, or a coin in V's place, R = 0.
- Synergy with chance f: the pair (Y, T) is distributed as (Y, V), a bit that is erased with
  chance f. So Q may make T and V the same: nothing is unique, R = I(Y; T) = 1 - f. The two
  together tell Y, and what is left, f, is synergy.
- Label noise flips each bit of the label by itself with one chance d. Y is then the true bit sent
  through noise, all the above holds with 1 - h(d) in place of 1, and h(d) bits are noise.
"""

import csv
import io
from math import sqrt
from pathlib import Path

import numpy as np

from vilbert_lib.synthetic import files
from vilbert_lib.synthetic.drawing import COLOURS, SHAPES, SIZES, TEXTURES, WHITE, Boards, pictures
from vilbert_lib.synthetic.draws import Draws
from vilbert_lib.synthetic.knobs import DISH_BITS, Knobs
from vilbert_lib.synthetic.truth import Truth, entropy
from vilbert_lib.synthetic.world import Sizes, World, draw_combinations, splits_of

DISHES = (
    *("burrito", "casserole", "curry", "dumpling", "gratin", "omelette", "paella", "pie"),
    *("pizza", "ramen", "risotto", "salad", "sandwich", "soup", "stew", "taco"),
)
INGREDIENTS = (  # of each bit, the words of value 0 and of value 1
    (("rice", "barley", "quinoa"), ("pasta", "noodles", "spaghetti")),
    (("beef", "pork", "lamb"), ("fish", "salmon", "trout")),
    (("tomato", "pepper", "carrot"), ("spinach", "kale", "leek")),
    (("cheese", "cream", "butter"), ("basil", "parsley", "mint")),
)
INK_GROUPS = np.array(  # the colours of value 0 and of value 1
    [
        [COLOURS.index(name) for name in group]
        for group in (("red", "yellow", "black"), ("blue", "green", "purple"))
    ]
)
ERASED, MIXED = "something", "maybe"
TEMPLATES = (
    "{0} with {1}, {2} and {3}",
    "{1} and {2} on {0} topped with {3}",
    "how to make {2} {0} with {3} and {1}",
    "best {3} {1} recipe with {0} and {2}",
    "easy dinner: {1}, {0}, {3}, {2}",
    "my favourite {0} dish has {2}, {1} and {3}",
)
_BLANK = 2  # the value of an erased word or mark


def flip_chance(label_noise: float) -> float:
    """The chance at which each bit is flipped, so that ``label_noise`` of the labels are wrong."""
    return 1 - sqrt(sqrt(1 - label_noise))  # the fourth root; square roots are exact on every machine


def truth(knobs: Knobs) -> Truth:
    """The knobs' bits less label noise, and the chance to guess all four bits right."""
    flip = flip_chance(knobs.label_noise)
    kept, right = 1 - entropy(flip), 1 - flip
    best = {"text": 1.0, "image": 1.0, "both": 1 - knobs.label_noise}
    for part, share in knobs.slots:
        half_blind = (1 - share) * right + share / 2
        best["text"] *= half_blind if part in ("unique_image", "synergy") else right
        best["image"] *= half_blind if part in ("unique_text", "synergy") else right
    return Truth(
        redundancy=knobs.redundancy * kept,
        unique_text=knobs.unique_text * kept,
        unique_image=knobs.unique_image * kept,
        synergy=knobs.synergy * kept,
        noise=DISH_BITS * (1 - kept),
        best=best,
        label_noise=knobs.label_noise,
    )


def labels_of(n: int, draws: Draws) -> np.ndarray:
    """Classes (n,), all equally frequent: each 16 samples in a row have every one."""
    return draws.orders(-(-n // len(DISHES)), len(DISHES)).ravel()[:n]


def tell(labels: np.ndarray, draws: Draws, knobs: Knobs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What words and marks show of ``labels`` (n,): values 0, 1 or blank, and which are mixed, (n, 4) each."""
    n = len(labels)
    flips = draws.happens(n, *[flip_chance(knobs.label_noise)] * DISH_BITS)
    bits = (labels[:, None] >> np.arange(DISH_BITS) & 1) ^ flips
    coins = draws.below(n, *[2] * DISH_BITS)
    struck = draws.happens(n, *(share for _, share in knobs.slots))
    words, marks, mixed = bits.copy(), bits.copy(), np.zeros_like(struck)
    for i, (part, share) in enumerate(knobs.slots):
        whole = share == 1
        if part == "unique_text":
            marks[:, i] = coins[:, i] if whole else np.where(struck[:, i], _BLANK, bits[:, i])
        elif part == "unique_image":
            words[:, i] = coins[:, i] if whole else np.where(struck[:, i], _BLANK, bits[:, i])
        elif part == "synergy":
            words[:, i] = np.where(struck[:, i], coins[:, i], bits[:, i])
            marks[:, i] = np.where(struck[:, i], coins[:, i] ^ bits[:, i], bits[:, i])
            mixed[:, i] = struck[:, i] & (not whole)
    return words, marks, mixed


def recipes(words: np.ndarray, mixed: np.ndarray, templates: np.ndarray, draws: Draws, ways: int) -> list[str]:
    """Texts with a word for each of the values ``words`` (n, 4)."""
    n = len(words)
    chosen = draws.below(n, *[ways] * DISH_BITS).tolist()

    def word(i: int, value: int, is_mixed: bool, way: int) -> str:
        shown = ERASED if value == _BLANK else INGREDIENTS[i][value][way]
        return f"{MIXED} {shown}" if is_mixed else shown

    rows = zip(templates.tolist(), words.tolist(), mixed.tolist(), chosen, strict=True)
    return [TEMPLATES[t].format(*map(word, range(DISH_BITS), *row)) for t, *row in rows]


def plates(marks: np.ndarray, mixed: np.ndarray, styles: np.ndarray, draws: Draws, ways: int) -> Boards:
    """Boards with a mark for each of the values ``marks`` (n, 4)."""
    inks = INK_GROUPS[marks % _BLANK, draws.below(len(marks), *[ways] * DISH_BITS)]
    shapes, sizes, textures, _ = styles.T
    return Boards(2, np.where(marks == _BLANK, WHITE, inks), shapes, textures, sizes, hollow=mixed)


def write(folder: Path, parts: dict[str, int], seed: int, knobs: Knobs) -> None:
    """Write UPMC Food-101's layout into ``folder``; images are numbered through each part."""
    (folder / "texts").mkdir(parents=True)
    for part, n in parts.items():
        images = folder / "images" / part
        for dish in DISHES:
            (images / dish).mkdir(parents=True)
        draws = Draws(seed, WORLD.name, part)
        labels = labels_of(n, draws)
        words, marks, mixed = tell(labels, draws, knobs)
        styles = draw_combinations(
            *(len(SHAPES), len(SIZES), len(TEXTURES), len(TEMPLATES)),
            splits=splits_of(part, n, tenth=True),
            draws=draws,
        )
        texts = recipes(words, mixed, styles[:, 3], draws, knobs.heterogeneity)
        boards = plates(marks, mixed, styles, draws, knobs.heterogeneity)
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        drawn = pictures(boards, Draws(seed, WORLD.name, part, "pixels"))
        for i, (pixels, text, label) in enumerate(zip(drawn, texts, labels.tolist(), strict=True)):
            dish = DISHES[label]
            rows.writerow((f"{dish}_{i}.jpg", text, dish))
            files.write(f"{images}/{dish}/{dish}_{i}.jpg", files.jpeg(pixels))
        files.write_text(folder / "texts" / f"{part}_titles.csv", table.getvalue())


def _parts(sizes: Sizes) -> dict[str, int]:
    classes = len(DISHES)  # each must be there, or two roots would number them in two ways
    return {"train": max(sizes.train_and_tenth, classes), "test": max(sizes.test, classes)}


WORLD = World("upmc_food", _parts, write, truth)
