"""Torch datasets over records: whole batches at a time, decoded and tokenized once."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vilbert_lib.config import OnError
from vilbert_lib.data import images
from vilbert_lib.data.cache import decoded_images
from vilbert_lib.data.formats import Problem, Record
from vilbert_lib.data.masking import IGNORED, generator, mask_tokens, swap_partner
from vilbert_lib.data.tokenizer import Tokenizer

Batch = dict[str, Tensor]


class PairDataset(Dataset):
    """Image-text pairs with labels.

    A batch holds ``input_ids`` (B, T) int64, ``attention_mask`` (B, T) bool, ``pixel_values``
    (B, 3, H, W) float32, standardised with ``mean`` and ``std``, and ``label``. T is the longest
    text of the batch. Labels are (B,) int64, or, where samples have any number of ``classes``,
    (B, classes) float32 with ones for those that apply; -1 where a sample has none.

    An image that does not decode is an error, or its samples are left out and listed in
    ``problems``.
    """

    def __init__(
        self,
        records: list[Record],
        tokenizer: Tokenizer,
        image_size: int,
        max_tokens: int,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
        classes: int = 0,
        on_error: OnError = "raise",
    ):
        if not records:
            raise ValueError("a dataset needs at least one record")
        broken = images.broken({r.img for r in records}) if on_error == "skip" else {}
        self.problems = [Problem(str(r.img), "broken image", broken[r.img]) for r in records if r.img in broken]
        records = [r for r in records if r.img not in broken]
        if not records:
            raise ValueError(f"each of the {len(broken)} images is broken, the first is {min(broken)}")
        self.records = records
        self.tokenizer = tokenizer
        self.ids, self.lengths = tokenizer.encode([r.text for r in records], max_tokens)
        self.labels = label_rows(records, classes)
        # Several questions may be asked of one image: decode each image once.
        files = sorted({r.img for r in records})
        position = {path: i for i, path in enumerate(files)}
        self.image_of = np.array([position[r.img] for r in records])
        self.pixels = decoded_images(files, image_size)
        self.scale = torch.tensor([1 / (255 * s) for s in std]).view(3, 1, 1)
        self.shift = torch.tensor([m / s for m, s in zip(mean, std, strict=True)]).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Batch:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: list[int]) -> Batch:
        """The whole batch of ``indices`` at once."""
        indices = np.asarray(indices)
        return self._batch(indices, self.ids[indices], self.lengths[indices])

    def _batch(self, indices: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> Batch:
        longest = int(lengths.max())
        pixels = torch.from_numpy(self.pixels[self.image_of[indices]])
        return {
            "input_ids": torch.from_numpy(ids[:, :longest]),
            "attention_mask": torch.from_numpy(np.arange(longest) < lengths[:, None]),
            "pixel_values": pixels.permute(0, 3, 1, 2) * self.scale - self.shift,
            "label": torch.from_numpy(self.labels[indices]),
        }


class PretrainingDataset(PairDataset):
    """Pairs corrupted for masked language modelling and alignment prediction.

    Beside the keys of :class:`PairDataset` a batch holds ``mlm_targets`` (B, T), -100 where
    nothing is asked, and ``aligned`` (B,), 0 where the text is another sample's. Words are hidden
    in every text, or a mask would give away that the pair is aligned, but asked for on aligned
    pairs only: the image of another sample cannot help. Set :attr:`epoch` before each pass.
    """

    epoch = 0

    def __init__(self, *args, objectives: tuple[str, ...], seed: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.objectives = objectives
        self.seed = seed
        self.texts = [r.text for r in self.records]

    def __getitems__(self, indices: list[int]) -> Batch:
        indices = np.asarray(indices)
        text_of, aligned = indices.copy(), np.ones(len(indices), dtype=np.int64)
        ids = np.empty((len(indices), self.ids.shape[1]), dtype=np.int64)
        targets = np.full_like(ids, IGNORED)
        for row, index in enumerate(indices):
            rng = generator(self.seed, self.epoch, int(index))
            if "ap" in self.objectives and (partner := swap_partner(self.texts, index, rng)) is not None:
                text_of[row], aligned[row] = partner, 0
            ids[row] = self.ids[text_of[row]]
            if "mlm" in self.objectives:
                special = np.isin(ids[row], self.tokenizer.special_ids)
                ids[row], words = mask_tokens(
                    ids[row], special, self.tokenizer.mask_id, self.tokenizer.vocab_size, rng
                )
                if aligned[row]:
                    targets[row] = words
        batch = self._batch(indices, ids, self.lengths[text_of])
        batch["mlm_targets"] = torch.from_numpy(targets[:, : batch["input_ids"].shape[1]])
        batch["aligned"] = torch.from_numpy(aligned)
        return batch


def label_rows(records: list[Record], classes: int = 0) -> np.ndarray:
    """Labels (n,) int64, or with ``classes`` (n, classes) float32 of zeros and ones; -1 where there is none."""
    if not classes:
        return np.array([-1 if r.label is None else r.label for r in records], dtype=np.int64)
    rows = np.zeros((len(records), classes), dtype=np.float32)
    for row, record in zip(rows, records, strict=True):
        row[slice(None) if record.label is None else list(record.label)] = -1 if record.label is None else 1
    return rows


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which epoch ``epoch`` visits n samples: depends on nothing else."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def batches(dataset: PairDataset, order: np.ndarray, batch_size: int, workers: int = 0) -> Iterator[Batch]:
    """Batches of ``dataset`` in ``order``; the last may be smaller."""
    chunks = [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]
    # Without a generator of its own the loader draws from torch's, and a resumed run would differ.
    return iter(
        DataLoader(
            dataset,
            batch_sampler=chunks,
            collate_fn=lambda batch: batch,
            num_workers=workers,
            generator=torch.Generator().manual_seed(0),
        )
    )
