"""All bad input that is tried, in one list: the tests run it, and the book's table is made from it.

``python tests/data/bad_data.py`` writes the table anew.
"""

import contextlib
import csv
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import small_roots
from PIL import Image
from small_roots import TRAIN_TSV, VAL_TSV, vqa_annotation, write, write_json

from vilbert_lib import __main__
from vilbert_lib.data import check, formats
from vilbert_lib.data.datasets import PairDataset
from vilbert_lib.data.formats import own
from vilbert_lib.data.tokenizer import of_root
from vilbert_lib.paths import REPOSITORY

TABLE = REPOSITORY / "book" / "reference" / "bad_input.csv"
SAME = "the same error"

# What is tried on a damaged root: each returns what was left out in words, or raises.


def reading(task: str) -> Callable[[Path, str], str]:
    def attempt(root: Path, on_error: str) -> str:
        found = formats.task(task, root).read(root, on_error)
        left_out = [f"{n} left out: {cause}" for counts in found.left_out.values() for cause, n in counts.items()]
        skipped = [f"1 skipped: {problem.cause}" for problems in found.problems.values() for problem in problems]
        return "; ".join(left_out + skipped)

    return attempt


def batches(root: Path, on_error: str) -> str:
    records = formats.task("hateful_memes").splits(root, on_error)["train"]
    pairs = PairDataset(records, of_root(root), 8, 8, on_error=on_error)
    return "; ".join(f"1 skipped: {problem.cause}" for problem in pairs.problems)


def checking(task: str) -> Callable[[Path, str], str]:
    return lambda root, on_error: "; ".join(check.check(formats.task(task, root), root).faults)


def first_test_title(root: Path, on_error: str) -> str:
    return f"the title {formats.task('upmc_food').splits(root, on_error)['test'][0].text}"


def registering(**description) -> Callable[[Path, str], str]:
    def attempt(root: Path, on_error: str) -> str:
        own.register(
            root / description.get("name", "pets"), **{k: v for k, v in description.items() if k != "name"}
        )
        return ""

    return attempt


def command(*arguments: str) -> Callable[[Path, str], str]:
    """The command line in this process, ``ROOT`` for the data root; the last line that it says is the error."""

    def attempt(root: Path, on_error: str) -> str:
        sys.argv = ["vilbert_lib", *(argument.replace("ROOT", str(root)) for argument in arguments)]
        output = io.StringIO()
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            try:
                __main__.main()
            except SystemExit as end:
                assert end.code
                said = end.code if isinstance(end.code, str) else output.getvalue().strip().splitlines()[-1]
                raise ValueError(said) from end
        return ""

    return attempt


# How a good root is damaged.


def line(file: str, content: bytes, number: int = 2) -> Callable[[Path], object]:
    """Put ``content`` in place of a line."""

    def damage(folder: Path):
        lines = (folder / file).read_bytes().splitlines(keepends=True)
        lines[number - 1 : number] = [content + b"\n"]
        write(folder / file, b"".join(lines))

    return damage


def content(file: str, new) -> Callable[[Path], object]:
    """Put ``new`` in place of a file's content: bytes as they are, anything else as JSON."""
    return lambda folder: write(folder / file, new) if isinstance(new, bytes) else write_json(folder / file, new)


def instead(file: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Put what ``make`` makes in place of a file."""

    def damage(folder: Path):
        (folder / file).unlink()
        make(folder / file)

    return damage


def gone(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def nothing(folder: Path) -> None:
    pass


def picture(image: Image.Image, **options) -> Callable[[Path], object]:
    return lambda folder: image.save(folder / "img" / "23058.png", **options)


def cut_in_half(file: str) -> Callable[[Path], object]:
    def damage(folder: Path):
        whole = (folder / file).read_bytes()
        write(folder / file, whole[: len(whole) // 2])

    return damage


def described(**changes) -> Callable[[Path], object]:
    """Change fields of the ``task.json``; None takes one out."""
    good = {
        "kind": "multiclass",
        "files": {"train": "train.jsonl", "val": "val.csv", "test": "test.csv"},
        "images": "photos",
    }
    wanted = {name: value for name, value in (good | changes).items() if value is not None}
    return content("task.json", wanted)


class Row(NamedTuple):
    """What is tried, and what comes back; ``…`` stands for any text, paths are relative to the data root."""

    make: Callable[[Path], Path]
    tried: str
    damage: Callable[[Path], object]
    error: str
    skip: str = SAME
    attempt: Callable[[Path, str], str] | None = None

    @property
    def task(self) -> str:
        return self.make.__name__


memes, imdb, food = small_roots.hateful_memes, small_roots.mm_imdb, small_roots.upmc_food
easy, vqa, captions, pets = (
    small_roots.easy_vqa,
    small_roots.vqa,
    small_roots.conceptual_captions,
    small_roots.pets,
)

LINE, IMAGE, LABEL = "1 skipped: broken line", "1 skipped: missing image", "1 skipped: unknown label"
REPEATED = "1 skipped: repeated id"
BROKEN, TEXT, FILE = "1 skipped: broken image", "1 skipped: no text", "1 skipped: missing file"


def meme(fields: bytes) -> Callable[[Path], object]:
    return line("train.jsonl", b'{"id":1,"img":"img/42953.png","label":0,"text":"x",%s}' % fields)


def latin_1_name(listed: bytes) -> Callable[[Path], object]:
    """Give an image a name in Latin-1, and list it under ``listed``."""

    def damage(folder: Path):
        photos = os.fsencode(folder / "photos")
        shutil.copy(photos + b"/e.png", photos + b"/caf\xe9.png")
        write(folder / "test.csv", b"img,text,label\n%s.png,x,cat\n" % listed)

    return damage


def with_group(file: str, attempt: Callable[[Path, str], str]) -> Callable[[Path, str], str]:
    """``attempt`` with a row of group g at the end of a list of pets."""

    def grouped(root: Path, on_error: str) -> str:
        with open(root / "pets" / file, "a") as lines:
            lines.write('{"img": "a.png", "text": "y", "label": "cat", "group": "g"}\n')
        return attempt(root, on_error)

    return grouped


def answered(entry) -> Callable[[Path], object]:
    """The questions of Easy-VQA's test part, the second put in place."""
    return content("data/test/questions.json", [["what shape?", "circle", 0], entry])


_JPEG = io.BytesIO()
Image.effect_noise((256, 256), 50).save(_JPEG, "JPEG")
JPEG = _JPEG.getvalue()

DIM = np.full((8, 8, 3), 4095)  # white where 12 bits are used

HERE, THERE = "hateful_memes/train.jsonl:2: ", "easy_vqa/data/test/questions.json: entry 1: "
QUESTIONS, ANSWERS = "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"

# fmt: off
GROUPS = {
    "any dataset": [
        Row(memes, "a data root that is not there", nothing, "data root nowhere does not exist", SAME,
            lambda root, on_error: reading("hateful_memes")(root / "nowhere", on_error)),
        Row(memes, "a task whose folder is not there", nothing,
            "data root … holds no folder mm_imdb/ for task 'mm_imdb'", SAME, reading("mm_imdb")),
        Row(memes, "a mistyped task", nothing, "unknown task 'hateful_meme'; known: …, hateful_memes, …", SAME,
            reading("hateful_meme")),
        Row(memes, "on_error with a third value", nothing, "unknown on_error 'ignore'; known: raise, skip", "—",
            lambda root, on_error: reading("hateful_memes")(root, "ignore")),
    ],
    "Hateful Memes": [
        Row(memes, "a line that is cut off", line("train.jsonl", b'{"id":1,"img":"img/4'),
            HERE + "broken line (Unterminated string …)", LINE),
        Row(memes, "a line that is a list", line("train.jsonl", b'["id", 1]'),
            HERE + 'broken line (an object is needed, not ["id", 1])', LINE),
        Row(memes, "lists in lists, a hundred thousand deep", line("train.jsonl", b"[" * 100_000),
            HERE + "broken line (…)", LINE),
        Row(memes, "a line without image", line("train.jsonl", b'{"id":1,"label":0,"text":"x"}'),
            HERE + "broken line (img is missing)", LINE),
        Row(memes, "a line without text", line("train.jsonl", b'{"id":1,"img":"img/42953.png","label":0}'),
            HERE + "broken line (text is missing)", LINE),
        Row(memes, "a line without id", line("train.jsonl", b'{"img":"img/42953.png","label":0,"text":"x"}'),
            HERE + "broken line (id is missing)", LINE),
        Row(memes, "an image that is a number", meme(b'"img":7'), HERE + "broken line (img 7 is not a string)",
            LINE),
        Row(memes, "a text that is null", meme(b'"text":null'), HERE + "broken line (text None is not a string)",
            LINE),
        Row(memes, "a text of blanks", meme(b'"text":"  \\n"'), HERE + "the text is empty", TEXT),
        Row(memes, "half of a surrogate pair in the text", meme(b'"text":"\\ud83d"'),
            HERE + r"text '\ud83d' is not UTF-8", LINE),
        Row(memes, "a byte that is not UTF-8", meme(b'"text":"caf\xe9"'),
            HERE + "broken line ('utf-8' codec can't decode byte 0xe9 …)", LINE),
        Row(memes, "the label 2", meme(b'"label":2'), HERE + "label 2 is neither 0 nor 1", LABEL),
        Row(memes, "a label that is a string", meme(b'"label":"1"'), HERE + "label '1' is neither 0 nor 1", LABEL),
        Row(memes, "a label that is true", meme(b'"label":true'), HERE + "label True is neither 0 nor 1", LABEL),
        Row(memes, "a label that is a fraction", meme(b'"label":0.0'), HERE + "label 0.0 is neither 0 nor 1",
            LABEL),
        Row(memes, "a label that is no number", meme(b'"label":NaN'), HERE + "label nan is neither 0 nor 1",
            LABEL),
        Row(memes, "an image that is not there", gone("img/23058.png"),
            HERE + "image hateful_memes/img/23058.png is missing", IMAGE),
        Row(memes, "an image that is a folder", meme(b'"img":"img"'), HERE + "image hateful_memes/img is missing",
            IMAGE),
        Row(memes, "an image's name with a null character", meme(b'"img":"img/\\u0000.png"'),
            HERE + "image hateful_memes/img/… is missing", IMAGE),
        Row(memes, "an image's name of 5 000 letters", meme(b'"img":"%s"' % (b"x" * 5000)),
            HERE + "image hateful_memes/… is missing", IMAGE),
        Row(memes, "a list that is not there", gone("dev.jsonl"), "hateful_memes/dev.jsonl is missing"),
        Row(memes, "a training list without lines, checked", content("train.jsonl", b"\n"),
            "train holds no samples", "—", checking("hateful_memes")),
        Row(memes, "an id that stands for two samples", line("train.jsonl",
            b'{"id":42953,"img":"img/23058.png","label":0,"text":"x"}'),
            HERE + "id '42953' is that of another sample in hateful_memes/train.jsonl:1: give each sample an id …",
            REPEATED),
        Row(memes, "one image and text with two labels, checked",
            line("train.jsonl", b'{"id":1,"img":"img/42953.png","label":1,"text":"its their character not their '
                 b'color that matters"}'),
            "same image and text with different labels: 1, such as 42953.png, train 42953: 'benign' and train 1: "
            "'hateful'", "—", checking("hateful_memes")),
        Row(memes, "an image outside the data root", meme(b'"img":"../../x.png"'),
            HERE + "broken line ('../../x.png' lies outside the data root … and the images' folder …)", LINE),
        Row(memes, "an image's absolute path outside the data root", meme(b'"img":"/etc/hostname"'),
            HERE + "broken line ('/etc/hostname' lies outside the data root … and the images' folder …)", LINE),
        Row(memes, "an image that is a link to itself",
            instead("img/23058.png", lambda path: path.symlink_to(path)),
            HERE + "image hateful_memes/img/23058.png is missing", IMAGE),
        Row(memes, "an image that is a pipe", instead("img/23058.png", os.mkfifo),
            HERE + "image hateful_memes/img/23058.png is missing", IMAGE),
        Row(memes, "a list in UTF-16", content("test.jsonl", "{}".encode("utf-16")),
            "hateful_memes/test.jsonl:1: broken line (the encoding is UTF-16, not UTF-8: save the file as UTF-8)",
            LINE),
        Row(memes, "a damaged MANIFEST.json of the generator",
            content("../MANIFEST.json", b'{"generator": "vilbert_lib.data.synthetic", '),
            "data: MANIFEST.json: not readable as JSON: …; remove the root and make it anew", "—",
            command("data", "check", "ROOT")),
    ],
    "images": [
        Row(memes, "an image file without content", content("img/23058.png", b""),
            "hateful_memes/img/23058.png: broken image (of no known format)", BROKEN, batches),
        Row(memes, "a web page that is called .png", content("img/23058.png", b"<html>not found</html>"),
            "hateful_memes/img/23058.png: broken image (of no known format)", BROKEN, batches),
        Row(memes, "PostScript that is called .png", content("img/23058.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
            "hateful_memes/img/23058.png: broken image (of no known format)", BROKEN, batches),
        Row(memes, "a PNG that is cut off", cut_in_half("img/23058.png"),
            "hateful_memes/img/23058.png: broken image (image file is truncated…)", BROKEN, batches),
        Row(memes, "a JPEG that is cut off and called .png", content("img/23058.png", JPEG[: len(JPEG) // 2]),
            "hateful_memes/img/23058.png: broken image (image file is truncated…)", BROKEN, batches),
        Row(memes, "400 million pixels in 50 kilobytes", picture(Image.new("1", (20_000, 20_000))),
            "hateful_memes/img/23058.png: broken image (Image size (400000000 pixels) exceeds …)", BROKEN,
            batches),
        Row(memes, "floating-point pixels",
            picture(Image.fromarray(np.zeros((4, 4), dtype=np.float32)), format="TIFF"),
            "hateful_memes/img/23058.png: broken image (32 bits a channel (mode F), …)", BROKEN, batches),
        Row(memes, "colour with 12 bits in 16", content("img/23058.png", small_roots.deep_png(DIM)),
            "hateful_memes/img/23058.png: broken image (16 bits a channel of which only 12 are used, …)", BROKEN,
            batches),
    ],
    "MM-IMDb": [
        Row(imdb, "a split.json that is cut off", cut_in_half("split.json"),
            "mm_imdb/split.json: not readable as JSON: …"),
        Row(imdb, "a split.json without the part dev", content("split.json", {"train": [], "test": []}),
            "mm_imdb/split.json: no list of movies under 'dev'"),
        Row(imdb, "a movie whose file is not there", gone("dataset/0023456.json"),
            "mm_imdb/split.json: train entry 1: mm_imdb/dataset/0023456.json is missing", FILE),
        Row(imdb, "a movie whose file is cut off", cut_in_half("dataset/0023456.json"),
            "mm_imdb/split.json: train entry 1: mm_imdb/dataset/0023456.json: not readable as JSON: …", LINE),
        Row(imdb, "a movie without a list of genres", content("dataset/0023456.json", {"plot": ["x"]}),
            "mm_imdb/dataset/0023456.json: broken line (genres is missing)", LINE),
        Row(imdb, "a plot that is a number", content("dataset/0023456.json", {"plot": [7], "genres": []}),
            "mm_imdb/dataset/0023456.json: broken line (plot [7] is not a list of strings)", LINE),
        Row(imdb, "a genre that is not of the 27",
            content("dataset/0023456.json", {"plot": ["x"], "genres": ["Noir"]}),
            "mm_imdb/dataset/0023456.json: genre 'Noir' is none of the 27", LABEL),
        Row(imdb, "a poster that is not there", gone("dataset/0023456.jpeg"),
            "mm_imdb/dataset/0023456.json: image mm_imdb/dataset/0023456.jpeg is missing", IMAGE),
        Row(imdb, "a movie without plot", content("dataset/0023456.json", {"plot": [], "genres": ["Drama"]}), "",
            "2 left out: no text"),
    ],
    "UPMC Food-101": [
        Row(food, "a row of two columns", line("texts/train_titles.csv", b"pho_3.jpg,pho", 4),
            "upmc_food/texts/train_titles.csv:4: broken line (2 columns instead of image, title and class)", LINE),
        Row(food, "a quote that is never closed",
            line("texts/test_titles.csv", b'apple_pie_9.jpg,"Pie,apple_pie', 1),
            'the title "Pie', "—", first_test_title),
        Row(food, "an image outside the data root",
            line("texts/test_titles.csv", b"../../../../../x.jpg,Pie,apple_pie", 1),
            "upmc_food/texts/test_titles.csv:1: broken line ('../../../../../x.jpg' lies outside …)", LINE),
        Row(food, "a class that training does not have",
            line("texts/test_titles.csv", b"apple_pie_9.jpg,Pie,pies", 1),
            "upmc_food/texts/test_titles.csv:1: class 'pies' is not in the training list", LABEL),
        Row(food, "a title that is not UTF-8",
            line("texts/train_titles.csv", b"apple_pie_0.jpg,caf\xe9,apple_pie", 1),
            r"upmc_food/texts/train_titles.csv:1: text 'caf\udce9' is not UTF-8: save the list as UTF-8", LINE),
        Row(food, "a photograph that is not there", gone("images/test/apple_pie/apple_pie_9.jpg"),
            "upmc_food/texts/test_titles.csv:1: image upmc_food/images/test/apple_pie/apple_pie_9.jpg is missing",
            IMAGE),
        Row(food, "a list that is not there", gone("texts/test_titles.csv"),
            "upmc_food/texts/test_titles.csv is missing"),
        Row(food, "a title of blanks", nothing, "", "1 left out: no text"),
    ],
    "Easy-VQA": [
        Row(easy, "questions.json, cut off", cut_in_half("data/test/questions.json"),
            "easy_vqa/data/test/questions.json: not readable as JSON: …"),
        Row(easy, "questions.json that holds a number", content("data/test/questions.json", 7),
            "easy_vqa/data/test/questions.json: a list is needed, not 7"),
        Row(easy, "a question without image", answered(["red?", "yes"]),
            THERE + "broken line (['red?', 'yes'] is not [question, answer, image id])", LINE),
        Row(easy, "an image id that is a fraction", answered(["red?", "yes", 1.7]),
            THERE + "broken line (['red?', 'yes', 1.7] is not [question, answer, image id])", LINE),
        Row(easy, "a question without words", answered(["", "yes", 1]), THERE + "the text is empty", TEXT),
        Row(easy, "an answer that is not in answers.txt", answered(["red?", "maybe", 1]),
            THERE + "answer 'maybe' is not in answers.txt", LABEL),
        Row(easy, "an image id without image", answered(["red?", "yes", 77]),
            THERE + "image easy_vqa/data/test/images/77.png is missing", IMAGE),
        Row(easy, "an image that is a pipe",
            lambda folder: [answered(["red?", "yes", 9])(folder), os.mkfifo(folder / "data/test/images/9.png")],
            THERE + "image easy_vqa/data/test/images/9.png is missing", IMAGE),
        Row(easy, "answers.txt that is not UTF-8", content("data/answers.txt", b"caf\xe9\n"),
            "easy_vqa/data/answers.txt: not UTF-8 (…)"),
        Row(easy, "no answers.txt", gone("data/answers.txt"), "easy_vqa/data/answers.txt is missing"),
    ],
    "VQA v2": [
        Row(vqa, "a list of questions that has another name inside", content(QUESTIONS, {"question": []}),
            f"vqa/{QUESTIONS}: no list under 'questions'"),
        Row(vqa, "annotations without a list", content(ANSWERS, {"info": {}}),
            f"vqa/{ANSWERS}: annotations is missing"),
        Row(vqa, "a question whose id is a word",
            content(QUESTIONS, {"questions": [{"question_id": "q", "question": "Red?", "image_id": 42}]}),
            f"vqa/{QUESTIONS}: entry 0: broken line (question_id 'q' is not a whole number)", LINE),
        Row(vqa, "a question without annotation",
            content(ANSWERS, {"annotations": [vqa_annotation(42, 420, ["yes"])]}),
            f"vqa/{QUESTIONS}: entry 1: question 421 has no answers in {ANSWERS}", LABEL),
        Row(vqa, "an annotation without answers",
            content(ANSWERS, {"annotations": [vqa_annotation(42, 420, ["yes"]), vqa_annotation(42, 421, [])]}),
            f"vqa/{QUESTIONS}: entry 1: question 421 has no answers in {ANSWERS}", LABEL),
        Row(vqa, "a photograph that is not there", gone("val2014/COCO_val2014_000000000042.jpg"),
            f"vqa/{QUESTIONS}: entry 0: image vqa/val2014/COCO_val2014_000000000042.jpg is missing", IMAGE),
        Row(vqa, "an answer that is rare in training", nothing, "",
            "1 left out: answer not among the 3129 most frequent"),
    ],
    "Conceptual Captions": [
        Row(captions, "a caption without address", line(TRAIN_TSV, b"lost"),
            f"conceptual_captions/{TRAIN_TSV}:2: broken line (1 columns instead of caption and address)", LINE),
        Row(captions, "a line of three columns", line(TRAIN_TSV, b"a\tb\tc"),
            f"conceptual_captions/{TRAIN_TSV}:2: broken line (3 columns instead of caption and address)", LINE),
        Row(captions, "a caption that is not UTF-8", line(VAL_TSV, b"caf\xe9\thttp://a.invalid/", 1),
            f"conceptual_captions/{VAL_TSV}:1: broken line ('utf-8' codec can't decode byte 0xe9 …)", LINE),
        Row(captions, "a caption without words", line(VAL_TSV, b"\thttp://a.invalid/", 1),
            f"conceptual_captions/{VAL_TSV}:1: the text is empty", TEXT),
        Row(captions, "a list that is not there", gone(VAL_TSV), f"conceptual_captions/{VAL_TSV} is missing"),
        Row(captions, "a caption whose image was not to be had", nothing, "", "1 left out: no image"),
    ],
    "own data": [
        Row(pets, "a task.json that is cut off", cut_in_half("task.json"),
            "pets/task.json: not readable as JSON: …"),
        Row(pets, "a field that no task.json has", described(lables=["cat"]),
            "pets/task.json: Description has no field lables; known: kind, files, …"),
        Row(pets, "a task.json without kind", described(kind=None), "pets/task.json: Description needs kind"),
        Row(pets, "an unknown kind", described(kind="regression"),
            "pets/task.json: unknown kind 'regression'; known: binary, captions, multiclass, multilabel"),
        Row(pets, "no test split", described(files={"train": "train.jsonl", "val": "val.csv"}),
            "pets/task.json: test needs either a list in files or a share in split_off"),
        Row(pets, "a list and a share for one split", described(split_off={"val": 0.1}),
            "pets/task.json: val needs either a list in files or a share in split_off"),
        Row(pets, "shares that leave nothing to train on",
            described(files={"train": "train.jsonl"}, split_off={"val": 0.5, "test": 0.5}),
            "pets/task.json: split_off {'val': 0.5, 'test': 0.5}: each share lies in (0, 1), …"),
        Row(pets, "a share of less than an image",
            described(files={"train": "train.jsonl", "val": "val.csv"}, split_off={"test": 0.1}),
            "pets/train.jsonl: split_off test 0.1: that share of 3 images is none"),
        Row(pets, "a spreadsheet", described(files={"train": "train.xlsx", "val": "val.csv", "test": "test.csv"}),
            "pets/task.json: files: train 'train.xlsx' is neither .jsonl nor .csv"),
        Row(pets, "a label named twice", described(labels=["cat", "dog", "cat"]),
            "pets/task.json: labels ['cat', 'dog', 'cat']: a name stands there twice"),
        Row(pets, "a binary task with three labels", described(kind="binary"),
            "pets: 3 labels are not those of a binary task: bird, cat, dog"),
        Row(pets, "a list that is not there", gone("test.csv"), "pets/test.csv is missing"),
        Row(pets, "a CSV with other columns", content("test.csv", b"image,text\na.png,x\n"),
            "pets/test.csv:1: the header ['image', 'text'] has no column img; known are img, text, …"),
        Row(pets, "a CSV with columns in other letters", content("test.csv", b"Img,Text,Label\na.png,x,cat\n"),
            "pets/test.csv:1: the header ['Img', 'Text', 'Label'] has no column img and no column text; "
            "'Img' is not 'img': names are in lower case and without blanks"),
        Row(pets, "JSON lines with fields in other letters",
            content("train.jsonl", b'{"img": "a.png", "text": "x", "Label": "cat"}\n'),
            "pets: 0 labels are not those of a multiclass task: no row of train.jsonl has a value in 'label'; "
            "the first broken row is pets/train.jsonl:1: broken line ('Label' is not 'label': …)"),
        Row(pets, "a CSV in UTF-16", content("test.csv", "img,text,label\ne.png,x,cat\n".encode("utf-16")),
            "pets/test.csv:1: the encoding is UTF-16, not UTF-8: save the file as UTF-8"),
        Row(pets, "a label in Latin-1", content("test.csv", b"img,text,label\ne.png,x,caf\xe9\n"),
            r"pets/test.csv:2: broken line (label 'caf\udce9' is not UTF-8: save the list as UTF-8)", LINE),
        Row(pets, "an image whose file's name is Latin-1", latin_1_name("café".encode()),
            r"pets/test.csv:2: image pets/photos/café.png is missing; there is 'caf\udce9.png', …: rename …",
            IMAGE),
        Row(pets, "a list and a file's name in Latin-1", latin_1_name(b"caf\xe9"),
            "pets/test.csv:2: id 'test.csv:2', image …: a name is not UTF-8: save the list as UTF-8 and rename …",
            LINE),
        Row(pets, "a quote that is never closed", content("test.csv", b'img,text,label\ne.png,"x,dog\n'),
            "pets/test.csv:2: broken line (unexpected end of data: put a text with quotes into quotes, …)", LINE),
        Row(pets, "a quote that is closed in a later row",
            content("test.csv", b'img,text,label\ne.png,"x,dog\nd.png,y",dog\n'),
            "pets/test.csv:2: broken line (a field runs on to the row of 'd.png', further rows in it: 1; …)",
            LINE),
        Row(pets, "an id that stands for two samples",
            content("test.csv", b"id,img,text,label\n1,e.png,x,dog\n1,e.png,y,dog\n"),
            "pets/test.csv:3: id '1' is that of another sample in pets/test.csv:2: give each sample …",
            REPEATED),
        Row(pets, "an image outside the data root", content("test.csv", b"img,text,label\n/etc/hostname,x,dog\n"),
            "pets/test.csv:2: broken line ('/etc/hostname' lies outside the data root …)", LINE),
        Row(pets, "a group that is a list",
            line("train.jsonl", b'{"img": "a.png", "text": "x", "label": "cat", "group": [1]}'),
            "pets/train.jsonl:2: broken line (group [1] is neither a name nor a whole number)", LINE),
        Row(pets, "a group in the lists of two splits, checked",
            content("test.csv", b"img,text,label,group\ne.png,x,dog,g\n"),
            "groups in the lists of train and test: 1, such as 'g'", "—",
            with_group("train.jsonl", checking("pets"))),
        Row(pets, "labels that differ in case, checked",
            line("train.jsonl", b'{"img": "a.png", "text": "x", "label": "Cat"}'),
            "labels 'Cat' and 'cat' differ in case, blanks or Unicode form only", "—", checking("pets")),
        Row(pets, "a label that reads nan, checked",
            line("train.jsonl", b'{"img": "a.png", "text": "x", "label": "nan"}'),
            "label 'nan' reads like a missing value: leave the label empty", "—", checking("pets")),
        Row(pets, "a split with one label, checked",
            content("test.csv", b"img,text,label\ne.png,x,dog\ne.png,y,dog\n"),
            "test has one label only, 'dog': nothing can be learned or measured", "—", checking("pets")),
        Row(pets, "a row with a column too many", content("test.csv", b"img,text,label\na.png,x,cat,y\n"),
            "pets/test.csv:2: broken line (4 columns, 3 in the header)", LINE),
        Row(pets, "a label that is a fraction",
            line("train.jsonl", b'{"img": "a.png", "text": "x", "label": 0.5}'),
            "pets/train.jsonl:2: broken line (label 0.5 is neither a name nor a whole number)", LINE),
        Row(pets, "a label that training does not have", content("test.csv", b"img,text,label\ne.png,x,fish\n"),
            "pets/test.csv:2: label 'fish' is none of bird, cat, dog", LABEL),
        Row(pets, "sets of labels where one is asked for",
            line("train.jsonl", b'{"img": "a.png", "text": "x", "label": ["cat"]}'),
            "pets/train.jsonl:2: broken line (label ['cat'] is neither a name nor a whole number)", LINE),
        Row(pets, "an image that is not there", gone("photos/e.png"),
            "pets/test.csv:2: image pets/photos/e.png is missing", IMAGE),
        Row(pets, "register over another task.json", nothing,
            "pets/task.json describes another task: remove it, or change it by hand", "—",
            registering(kind="captions", files={"train": "train.jsonl", "val": "val.csv", "test": "test.csv"})),
        Row(pets, "register under the name of a known dataset", nothing,
            "mm_imdb: 'mm_imdb' is a dataset that the library knows: name the folder otherwise", "—",
            registering(name="mm_imdb", kind="multilabel", files={"train": "train.jsonl"})),
        Row(pets, "register a list that is not there", gone("task.json"), "pets/all.csv is missing", "—",
            registering(kind="multiclass", files={"train": "all.csv"}, split_off={"val": 0.2, "test": 0.2})),
    ],
    "the command line": [
        Row(memes, "data check without a folder", nothing, "… error: the following arguments are required: root",
            "—", command("data", "check")),
        Row(memes, "data check of a folder that is not there", nothing, "data: data root nowhere does not exist",
            "—", command("data", "check", "ROOT/nowhere")),
        Row(memes, "data check of a folder without datasets", nothing,
            "data: data root hateful_memes holds none of conceptual_captions, …, and no folder with a task.json",
            "—", command("data", "check", "ROOT/hateful_memes")),
        Row(memes, "--task with a mistyped name", nothing, "data: unknown task 'memes'; known: …", "—",
            command("data", "check", "ROOT", "--task", "memes")),
        Row(memes, "--task with a dataset that is not there", nothing,
            "data: data root … holds no folder vqa/ for task 'vqa'", "—",
            command("data", "check", "ROOT", "--task", "vqa")),
        Row(memes, "--show with a negative number", nothing, "data: --show -1 must not be negative", "—",
            command("data", "check", "ROOT", "--show", "-1")),
        Row(memes, "--show with a word", nothing, "… argument --show: invalid int value: 'all'", "—",
            command("data", "check", "ROOT", "--show", "all")),
        Row(memes, "data without a sub-command", nothing,
            "… error: the following arguments are required: data_command", "—", command("data")),
        Row(memes, "data check of a root with a broken line", line("train.jsonl", b"{"), "wrong: hateful_memes",
            "—", command("data", "check", "ROOT")),
    ],
}
# fmt: on
ROWS = [row for rows in GROUPS.values() for row in rows]


def table() -> str:
    """The list as the book shows it, CSV with a header."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(("what is read", "what is tried", "what comes back", "with `skip`"))
    for group, rows in GROUPS.items():
        for row in rows:
            error = f"`{row.error}`" if row.error else row.skip
            writer.writerow((group, row.tried, error, row.skip if row.error else "the same"))
    return output.getvalue()


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
