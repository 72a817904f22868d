"""The command ``explain``: one image and one sentence in, a picture of what a run's answer depends on out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vilbert_lib import figures, runs
from vilbert_lib.attribution import METHODS, Relevance, attribute
from vilbert_lib.config import RunConfig, choose
from vilbert_lib.data import formats
from vilbert_lib.runs.inputs import check_data, data_root_of, pair, tokenizer_of

OF_PRETRAINING = ("swapped", "aligned")  # what a pretraining run tells apart


@dataclass(frozen=True)
class Answer:
    """What a run says of a pair, and what that depends on.

    ``explained`` is the class that is explained; ``shares`` are the probabilities of all.
    """

    explained: str
    shares: dict[str, float]
    image: np.ndarray
    tokens: list[str]
    relevance: Relevance


def explain(
    run: runs.Run, data_root: Path, image: Path, text: str, *, method: str = "chefer", target: str = ""
) -> Answer:
    """Ask ``run`` for ``image`` and ``text``, in its own wordpieces and with its own transform.

    ``method`` is one of ``METHODS``; ``target`` names the class to explain, by default the likeliest. A
    ValueError for one that does not exist, a text without words, an image that is broken.
    """
    check_question(run.config, data_root, image, text, method, target)
    names = labels(run.config, data_root)
    several = formats.task(run.config.task, data_root).kind == "multilabel"
    batch, pixels = pair(run.config, data_root, image, text)
    model = run.model(data_root)
    with torch.no_grad():
        logits, _ = model(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])
    chosen = names.index(target) if target else int(logits.argmax(1))
    shares = (logits.sigmoid() if several else logits.softmax(1))[0].tolist()
    words = tokenizer_of(run.config.model.text_weights, data_root, run.config.on_error)
    found = attribute(model, batch, words.mask_id, chosen, (method,), several=several)[method]
    tokens = words.tokens(batch["input_ids"][0])
    return Answer(names[chosen], dict(zip(names, shares, strict=True)), pixels, tokens, found)


def check_question(
    config: RunConfig, data_root: Path, image: Path, text: str, method: str = "chefer", target: str = ""
) -> None:
    """Raise an error for what :func:`explain` cannot be asked, which needs no trained run to be found."""
    choose("method", method, METHODS)
    if target:
        choose("label", target, labels(config, data_root))
    if not text.strip():
        raise ValueError("the text is empty")
    if not image.is_file():
        raise FileNotFoundError(f"image {image} does not exist")


def labels(config: RunConfig, data_root: Path) -> tuple[str, ...]:
    """The names of the classes of a run, in the order of its logits."""
    if config.objectives:
        return OF_PRETRAINING
    task = formats.task(config.task, data_root)
    return tuple(map(str, task.labels(task.folder(data_root))))


def root_of(config: RunConfig, named: str = "") -> Path:
    """The data root of a run: the one ``named``, or that of the project's own whose samples are the run's.

    The synthetic root of the run's profile is drawn where it is missing. A ValueError where the root holds other
    data, a FileNotFoundError where there is none.
    """
    if named:
        check_data(config, Path(named).expanduser().resolve())
    return data_root_of(config, named)


def picture(answer: Answer, run: runs.Run, method: str):
    """The answer as a figure."""
    share = answer.shares[answer.explained]
    title = f"{answer.explained} ({share:.0%}) by {METHODS[method]}\n{run.config.id}"
    relevance = answer.relevance
    return figures.explanation(
        answer.image, relevance.patches[0], answer.tokens, relevance.text[0, : len(answer.tokens)], title
    )
