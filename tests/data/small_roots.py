"""A small folder in the real layout of every dataset, written byte for byte, oddities included."""

import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN_TSV, VAL_TSV = "Train_GCC-training.tsv", "Validation_GCC-1.1.0-Validation.tsv"


def picture(path: Path, **options) -> Path:
    """A noisy image of 12 by 8 pixels unlike any other; JPEG or PNG by its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = hashlib.sha256("/".join(path.parts[-3:]).encode()).digest()
    pixels = np.random.default_rng(list(seed)).integers(0, 256, size=(8, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_json(path: Path, content) -> Path:
    return write(path, json.dumps(content).encode())


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, RGB from (h, w, 3): Pillow reads such files and writes none."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def hateful_memes(root: Path) -> Path:
    """Phase 1; the test part has no labels, as the published one."""
    folder = root / "hateful_memes"
    for number in ("42953", "23058", "08291", "01726"):
        picture(folder / "img" / f"{number}.png")
    write(
        folder / "train.jsonl",
        b'{"id":42953,"img":"img/42953.png","label":0,"text":"its their character not their color that matters"}\n'
        b'{"id":23058,"img":"img/23058.png","label":1,"text":"don\'t be afraid to love \\u2764 again"}\n',
    )
    write(folder / "dev.jsonl", b'{"id":8291,"img":"img/08291.png","label":1,"text":"white people is this"}\n')
    write(folder / "test.jsonl", b'{"id":1726,"img":"img/01726.png","text":"a\xc3\xa9 b"}\n')
    return folder


def hateful_memes_2(root: Path) -> Path:
    """Phase 2; one of the two memes of dev_unseen is in dev_seen as well."""
    folder = hateful_memes(root)
    (folder / "dev.jsonl").rename(folder / "dev_seen.jsonl")
    (folder / "test.jsonl").rename(folder / "test_seen.jsonl")
    for number in ("03745", "05629"):
        picture(folder / "img" / f"{number}.png")
    write(
        folder / "dev_unseen.jsonl",
        (folder / "dev_seen.jsonl").read_bytes()
        + b'{"id": "03745", "img": "img/03745.png", "label": 0, "text": "a dev meme"}\n',
    )
    write(folder / "test_unseen.jsonl", b'{"id":5629,"img":"img/05629.png","label":1,"text":"unseen"}\r\n')
    return folder


def mm_imdb(root: Path) -> Path:
    """Five movies: several plots, a dropped genre, no genre that is kept, no plot."""
    folder = root / "mm_imdb"
    movies = {
        "0012345": {"plot": ["Short.", "A much longer plot.", "Not so long."], "genres": ["Drama", "Comedy"]},
        "0023456": {"plot": ["Only one."], "genres": ["Talk-Show", "Film-Noir"], "year": 1950},
        "0034567": {"plot": ["A quiet evening."], "genres": ["News"]},
        "0045678": {"genres": ["Drama"], "title": "nobody wrote a plot"},
        "0056789": {"plot": ["The last one."], "genres": ["Western", "Western", "Action"]},
    }
    for movie, content in movies.items():
        write_json(folder / "dataset" / f"{movie}.json", content)
        picture(folder / "dataset" / f"{movie}.jpeg")
    write_json(
        folder / "split.json",
        {"train": ["0012345", "0023456", "0045678"], "dev": ["0034567"], "test": ["0056789"]},
    )
    return folder


def upmc_food(root: Path) -> Path:
    """Two dishes; an image number that ends in 9, a title with commas, one with quotes, one without words."""
    folder = root / "upmc_food"
    write(
        folder / "texts" / "train_titles.csv",
        b'apple_pie_0.jpg,"Apple pie, the best",apple_pie\n'
        b'pho_19.jpg,"Pho ""at home"", in an hour",pho\n'
        b"pho_2.jpg,  ,pho\n"
        b"pho_3.jpg,caf\xc3\xa9 pho,pho\n",
    )
    write(folder / "texts" / "test_titles.csv", b"apple_pie_9.jpg,Pie again,apple_pie\r\n")
    for name in ("apple_pie_0", "pho_19", "pho_2", "pho_3"):
        picture(folder / "images" / "train" / name.rsplit("_", 1)[0] / f"{name}.jpg")
    picture(folder / "images" / "test" / "apple_pie" / "apple_pie_9.jpg")
    return folder


def easy_vqa(root: Path) -> Path:
    """20 training and 2 test images, two questions an image."""
    folder = root / "easy_vqa"
    write(folder / "data" / "answers.txt", b"circle\nyes\nno\n")
    for part, images in (("train", 20), ("test", 2)):
        questions = []
        for image in range(images):
            picture(folder / "data" / part / "images" / f"{image}.png")
            questions += [["what shape?", "circle", image], ["is it red?", "yes" if image % 2 else "no", image]]
        write_json(folder / "data" / part / "questions.json", questions)
    return folder


def vqa(root: Path) -> Path:
    """Three training photographs, one to hold out, and one of the validation part; ten answers a question."""
    folder = root / "vqa"
    asked = {
        "train2014": [
            (9, 90, "What is it?", ["cat"] * 6 + ["dog"] * 4),
            (25, 250, "Red?", ["no"] * 5 + ["yes"] * 5),
            (30, 300, "How many?", ["2"] * 10),
            (30, 301, "What color?", ["red"] * 4 + ["cat"] * 6),
        ],
        "val2014": [
            (42, 420, "Is it a cat?", ["yes"] * 9 + ["no"]),
            (42, 421, "Who?", ["my uncle"] * 10),
        ],
    }
    for part, questions in asked.items():
        write_json(
            folder / f"v2_OpenEnded_mscoco_{part}_questions.json",
            {
                "info": {"version": "2.0"},
                "questions": [{"image_id": i, "question": text, "question_id": q} for i, q, text, _ in questions],
            },
        )
        write_json(
            folder / f"v2_mscoco_{part}_annotations.json",
            {
                "info": {"version": "2.0"},
                "annotations": [vqa_annotation(i, q, answers) for i, q, _, answers in questions],
            },
        )
        for image in {image for image, *_ in questions}:
            picture(folder / part / f"COCO_{part}_{image:012d}.jpg")
    return folder


def vqa_annotation(image: int, question: int, answers: list[str], named: str = "yes") -> dict:
    return {
        "question_type": "what is",
        "multiple_choice_answer": named,
        "answers": [
            {"answer": answer, "answer_confidence": "yes", "answer_id": i} for i, answer in enumerate(answers, 1)
        ],
        "image_id": image,
        "answer_type": "other",
        "question_id": question,
    }


def conceptual_captions(root: Path) -> Path:
    """Three training captions, of which the second has lost its image, and an image without a caption."""
    folder = root / "conceptual_captions"
    write(
        folder / TRAIN_TSV,
        b'a "quoted" word , alone\thttp://a.invalid/1.jpg\n'
        b"lost\thttp://a.invalid/2.jpg\n"
        b"caf\xc3\xa9 at night\thttp://a.invalid/3.jpg\n",
    )
    write(folder / VAL_TSV, b"a dog\thttp://a.invalid/4.jpg\n")
    for name in ("train/0000/00000000.png", "train/0000/00000002.jpg", "train/0000/00000007.jpg"):
        picture(folder / name)
    picture(folder / "validation" / "0000" / "00000000.jpeg")
    return folder


def pets(root: Path) -> Path:
    """Data of one's own: lists of both forms, classes by name, images in a folder of their own."""
    folder = root / "pets"
    write(
        folder / "train.jsonl",
        b'{"img": "a.png", "text": "purrs", "label": "cat"}\n'
        b'{"img": "b.png", "text": "barks", "label": "dog"}\n'
        b'{"img": "b.png", "text": "barks again", "label": "dog"}\n'
        b'{"img": "c.png", "text": "sings", "label": "bird"}\n',
    )
    write(folder / "val.csv", b"id,img,text,label\nv1,d.png,purrs,cat\n")
    write(folder / "test.csv", b'img,label,text\ne.png,dog,"barks, at night"\n')
    for name in "abcde":
        picture(folder / "photos" / f"{name}.png")
    write_json(
        folder / "task.json",
        {
            "kind": "multiclass",
            "files": {"train": "train.jsonl", "val": "val.csv", "test": "test.csv"},
            "images": "photos",
        },
    )
    return folder


ALL = (hateful_memes_2, mm_imdb, upmc_food, easy_vqa, vqa, conceptual_captions, pets)
