"""Wordpieces: trained on a data root's own texts, or the ones that published weights expect."""

import hashlib
import json
import shutil
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer as WordPieces
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from vilbert_lib import paths, weights
from vilbert_lib.config import OnError
from vilbert_lib.data.formats import TASKS, Reading, Task, tasks_in
from vilbert_lib.files import locked

if TYPE_CHECKING:  # transformers takes seconds to import, and a study of archived runs does not need it
    from transformers import PreTrainedTokenizerFast

DIGESTS = "digests.json"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Tokenizer:
    """The BERT-like wordpiece tokenizer of a folder, read when it is used, and a name of its vocabulary."""

    def __init__(self, folder: Path, name: str):
        self.folder = folder
        self.name = name

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerFast":
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder)

    @cached_property
    def vocab_size(self) -> int:
        """Number of wordpieces, special ones included."""
        whole = self.folder / "tokenizer.json"
        return WordPieces.from_file(str(whole)).get_vocab_size() if whole.is_file() else len(self._tokenizer)

    @cached_property
    def mask_id(self) -> int:
        """Id of the mask."""
        return self._tokenizer.mask_token_id

    @cached_property
    def special_ids(self) -> np.ndarray:
        """Ids of all special wordpieces."""
        return np.array(self._tokenizer.all_special_ids)

    def encode(self, texts: list[str], max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids (n, T) int64, padded with the padding id, and lengths (n,); T is at most ``max_tokens``."""
        encoded = self._encoded(texts, max_tokens)
        return encoded["input_ids"].astype(np.int64), encoded["attention_mask"].sum(1).astype(np.int64)

    def lengths(self, texts: list[str]) -> np.ndarray:
        """Wordpieces of whole texts, special ones included, (n,) int64."""
        return np.array([len(ids) for ids in self._tokenizer(texts, verbose=False)["input_ids"]], dtype=np.int64)

    def covering(self, texts: list[str], spans: list[list[tuple[int, int]]], max_tokens: int) -> np.ndarray:
        """Which wordpieces hold letters of the ``spans`` (first, one past the last): (n, T) bool as ``encode``."""
        encoded = self._encoded(texts, max_tokens, return_offsets_mapping=True)
        first, end = np.moveaxis(encoded["offset_mapping"], -1, 0)
        found = np.zeros(first.shape, bool)
        for row, places in enumerate(spans):
            for start, stop in places:
                found[row] |= (first[row] < stop) & (end[row] > start)
        return found

    def _encoded(self, texts: list[str], max_tokens: int, **also):
        settings = {"truncation": True, "max_length": max_tokens, "padding": "longest", "return_tensors": "np"}
        return self._tokenizer(texts, **settings, **also)

    def tokens(self, ids) -> list[str]:
        """The wordpieces of a row of ids."""
        return self._tokenizer.convert_ids_to_tokens(list(map(int, ids)))


def train_wordpieces(texts: list[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """A lower-case wordpiece vocabulary of at most ``vocab_size`` entries, the same at every call.

    The library's trainer numbers the pieces that continue a word in the order in which a hash map
    yields them, and breaks ties between merges by these numbers: two calls gave two vocabularies.
    Here letters and their continuations are numbered beforehand.
    """
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    letters = sorted({c for text in texts for c in normalizer.normalize_str(text) if not c.isspace()})
    first = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    pieces = WordPieces(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizer, splitter
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=first, show_progress=False)
    pieces.train_from_iterator(texts, trainer)
    # A tokenizer anew, in which the letters are no special tokens.
    vocabulary = pieces.get_vocab()
    pieces = WordPieces(models.WordPiece(vocabulary, unk_token="[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizer, splitter
    pieces.decoder = decoders.WordPiece()
    pieces.post_processor = processors.BertProcessing(
        ("[SEP]", SPECIAL.index("[SEP]")), ("[CLS]", SPECIAL.index("[CLS]"))
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=pieces, **names)


def of_weights(name: str) -> Tokenizer:
    """The tokenizer of published weights, named as :func:`vilbert_lib.weights.identify` names them."""
    folder = weights.folder(name)
    try:
        tokenizer = Tokenizer(folder, name)
        _ = tokenizer.mask_id  # an error, if it is one, before anything else
        return tokenizer
    except (OSError, ValueError) as error:
        raise OSError(f"weights {name}: no tokenizer of theirs lies in {folder} ({error})") from error


def of_root(data_root: Path, vocab_size: int = 2000, on_error: OnError = "raise") -> Tokenizer:
    """The tokenizer of a data root, trained once on the training texts of all its tasks.

    With ``on_error`` ``skip`` broken samples are left out of it. Files of it that were changed since
    are made anew, with a warning.
    """
    present = tasks_in(data_root)
    if not present:
        raise FileNotFoundError(
            f"data root {data_root} holds none of {', '.join(sorted(TASKS))}, and no folder with a task.json"
        )
    prints = _prints(present, data_root, on_error)
    name = "wordpiece-" + hashlib.sha256(f"{prints} {vocab_size}".encode()).hexdigest()[:8]
    folder = paths.cache() / "tokenizers" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), f"training the tokenizer of {data_root}"):
        if damage := _damage(folder):
            if (folder / DIGESTS).exists():  # tokenizers of earlier versions have none
                warnings.warn(f"{folder}: the tokenizer is trained again: {damage}", stacklevel=2)
            shutil.rmtree(folder, ignore_errors=True)
            texts = _texts([task.read(data_root, on_error) for task in present])
            if _prints(present, data_root, on_error) != prints:
                raise ValueError(
                    f"{data_root}: lists changed while they were read; start again when nothing writes there"
                )
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            train_wordpieces(texts, vocab_size).save_pretrained(unfinished)
            digests = {"name": name, "sha256": _digests(unfinished)}
            (unfinished / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
            unfinished.rename(folder)
    return Tokenizer(folder, name)


def _prints(tasks: list[Task], data_root: Path, on_error: OnError) -> list[str]:
    """What the training texts of ``tasks`` depend on."""
    prints = [task.fingerprint(data_root) for task in tasks]
    if on_error == "skip":
        readings = [task.read(data_root, on_error) for task in tasks]
        # Which samples are left out is not in the annotations alone: an image may be missing.
        prints += _texts(readings) if any(reading.problems for reading in readings) else []
    return prints


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != DIGESTS)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _damage(folder: Path) -> str:
    """Why the tokenizer in ``folder`` cannot be used; empty where it is as it was written."""
    try:
        known = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{DIGESTS} is not readable ({error})"
    if known == {"name": folder.name, "sha256": _digests(folder)}:
        return ""
    return "its files are not those that were written"


def _texts(readings: list[Reading]) -> list[str]:
    return sorted({record.text for reading in readings for record in reading.splits["train"]})
