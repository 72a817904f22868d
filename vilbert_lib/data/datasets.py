"""Torch datasets over records: whole batches at a time, decoded and tokenized once."""

import copy
from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vilbert_lib.config import Interpolation, OnError, choose
from vilbert_lib.data import augmentation
from vilbert_lib.data.cache import decoded_images
from vilbert_lib.data.formats import Problem, Record
from vilbert_lib.data.masking import IGNORED, Purpose, Swaps, draws, mask_patches, mask_words
from vilbert_lib.data.tokenizer import Tokenizer

Batch = dict[str, Tensor]

#: The seed of what must not differ between runs: how validation samples are corrupted.
FIXED_SEED = 2**31


class PairDataset(Dataset):
    """Image-text pairs with labels.

    A batch holds ``input_ids`` (B, T) int64, ``attention_mask`` (B, T) bool, ``pixel_values``
    (B, 3, H, W) float32, standardised with ``mean`` and ``std``, ``label``, and ``text`` (B,) int64,
    equal where texts are. T is the longest text of the batch. Labels are (B,) int64, or, where samples
    have any number of ``classes``, (B, classes) float32 with ones for those that apply; -1 where a
    sample has none.

    With a ``policy`` the images are augmented, anew in every :attr:`epoch`: set it before each pass.
    With ``on_error="skip"`` records whose image is broken are left out and listed in ``problems``.
    """

    epoch = 0

    def __init__(
        self,
        records: list[Record],
        tokenizer: Tokenizer,
        image_size: int,
        max_tokens: int,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
        *,
        classes: int = 0,
        policy: augmentation.Policy | None = None,
        seed: int = 0,
        on_error: OnError = "raise",
        interpolation: Interpolation = "bicubic",
    ):
        if not records:
            raise ValueError("a dataset needs at least one record")
        # Several questions may be asked of one image: decode each image once.
        files = sorted({r.img for r in records})
        self.images = decoded_images(files, image_size, on_error, interpolation)
        self.broken = broken = self.images.broken
        self.problems = [Problem(str(r.img), "broken image", broken[r.img]) for r in records if r.img in broken]
        self.records = [r for r in records if r.img not in broken]
        if not self.records:
            raise ValueError(f"each of the {len(files)} images is broken, the first is {files[0]}")
        position = {path: i for i, path in enumerate(files)}
        self.image_of = np.array([position[r.img] for r in self.records])
        self.tokenizer = tokenizer
        self.ids, self.lengths = tokenizer.encode([r.text for r in self.records], max_tokens)
        self.text_of = np.unique(self.ids, axis=0, return_inverse=True)[1].ravel()
        self.labels = label_rows(self.records, classes)
        self.policy, self.seed = policy, seed
        self.scale = torch.tensor([1 / (255 * s) for s in std]).view(3, 1, 1)
        self.shift = torch.tensor([m / s for m, s in zip(mean, std, strict=True)]).view(3, 1, 1)

    @property
    def pixels(self) -> np.ndarray:
        """The decoded images, (images, size, size, 3) uint8; sample i shows image ``image_of[i]``."""
        return self.images.pixels

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Batch:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: list[int]) -> Batch:
        """The whole batch of ``indices`` at once."""
        return self.finish(self.fetch(np.asarray(indices)))

    def plain(self) -> Self:
        """The same samples never augmented; where they are corrupted, in one way for all runs and epochs."""
        view = copy.copy(self)
        view.policy, view.seed, view.epoch = None, FIXED_SEED, 0
        return view

    def fetch(self, indices: np.ndarray) -> Batch:
        """A batch with its images as bytes, ``pixels`` (B, H, W, 3): small to send from a worker."""
        return self._batch(indices, indices, self.ids[indices])

    def finish(self, batch: Batch) -> Batch:
        """The batch of :meth:`fetch` as models take it: ``pixels`` become ``pixel_values``."""
        pixels = batch.pop("pixels").permute(0, 3, 1, 2)
        # Arithmetic on the permuted layout takes several times as long as this copy.
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        batch["pixel_values"] = pixels.mul_(self.scale).sub_(self.shift)
        return batch

    def _batch(self, indices: np.ndarray, texts: np.ndarray, ids: np.ndarray) -> Batch:
        """Images and labels of the samples ``indices``; of the samples ``texts`` the texts, shown as ``ids``."""
        lengths = self.lengths[texts]
        longest = int(lengths.max())
        return {
            "text": torch.from_numpy(self.text_of[texts]),
            "input_ids": torch.from_numpy(ids[:, :longest]),
            "attention_mask": torch.from_numpy(np.arange(longest) < lengths[:, None]),
            "pixels": self._images(indices),
            "label": torch.from_numpy(self.labels[indices]),
        }

    def _images(self, indices: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(self.pixels[self.image_of[indices]])
        if self.policy is None:
            return pixels
        numbers = draws(self.seed, self.epoch, indices, augmentation.DRAWS, Purpose.AUGMENTATION)
        return augmentation.augment(pixels.permute(0, 3, 1, 2), self.policy, numbers).permute(0, 2, 3, 1)


class PretrainingDataset(PairDataset):
    """Pairs corrupted for the ``objectives``, anew in every :attr:`epoch`.

    Beside the keys of :class:`PairDataset` a batch holds ``aligned`` (B,) int64, 0 where the text is
    another sample's (``ap``); ``mlm_targets`` (B, T) int64, -100 where nothing is asked; and with
    ``mim``

    - ``patch_mask`` (B, P) bool: the chosen patches, row by row from the upper left. Most of them
      are zeros in ``pixel_values``;
    - ``whole_pixel_values`` (B, 3, H, W): the images before patches were hidden, whose states
      are the targets.

    Where something is asked is given by indices (M, 2) int64 as well, row and place, with which a
    training step on a GPU needs not wait to learn how many there are: ``mlm_index``; ``mim_index``, the
    chosen patches, and ``mim_unmasked_index``, the others (with a class token first, the state of a
    patch is number patch + 1); and ``aligned_index`` (M,), the aligned rows. A single item has none of these.

    Words and patches are hidden in every pair, or a mask would give away that the pair is aligned,
    but asked for on aligned pairs only: the other sample's side cannot help.
    """

    def __init__(self, *args, objectives: tuple[str, ...], patch_size: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        for objective in objectives:
            choose("objective", objective, ("mlm", "ap", "mim"))
        self.objectives = objectives
        self.texts = [r.text for r in self.records]
        self.special = np.zeros(self.tokenizer.vocab_size, dtype=bool)
        self.special[self.tokenizer.special_ids] = True
        self.words = np.flatnonzero(~self.special)
        if "mlm" in objectives and self.special[self.ids].all():
            raise ValueError(f"none of the {len(self.ids)} texts has a word that could be masked")
        self.swaps = Swaps(self.text_of) if "ap" in objectives else None
        size = self.pixels.shape[1]
        if "mim" in objectives and (patch_size < 1 or size % patch_size):
            raise ValueError(f"patch_size {patch_size} does not divide images of {size} pixels")
        self.patch_size = patch_size

    def __getitem__(self, index: int) -> Batch:
        batch = self.__getitems__([index])
        return {name: values[0] for name, values in batch.items() if not name.endswith("_index")}

    def fetch(self, indices: np.ndarray) -> Batch:
        """Collect the samples ``indices`` (B,) of the current epoch, corrupted as the objectives need it."""
        text_of, aligned = indices, np.ones(len(indices), dtype=bool)
        if self.swaps:
            text_of, swapped = self.swaps.draw(indices, self._draws(indices, 2, Purpose.SWAPS))
            aligned = ~swapped
        ids = self.ids[text_of, : self.lengths[text_of].max()]
        targets = np.full_like(ids, IGNORED)
        if "mlm" in self.objectives:
            numbers = self._draws(indices, 3 * ids.shape[1], Purpose.WORDS).reshape(*ids.shape, 3)
            ids, targets = mask_words(ids, ~self.special[ids], numbers, self.tokenizer.mask_id, self.words)
            targets[~aligned] = IGNORED
        batch = self._batch(indices, text_of, ids)
        batch["mlm_targets"] = torch.from_numpy(targets)
        batch["mlm_index"] = torch.from_numpy(np.argwhere(targets != IGNORED))
        batch["aligned"] = torch.from_numpy(aligned.astype(np.int64))
        batch["aligned_index"] = torch.from_numpy(np.flatnonzero(aligned))
        if "mim" in self.objectives:
            patches = (self.pixels.shape[1] // self.patch_size) ** 2
            numbers = self._draws(indices, 2 * patches, Purpose.PATCHES).reshape(-1, patches, 2)
            chosen, hidden = mask_patches(numbers)
            batch["patch_mask"], batch["hidden_patches"] = torch.from_numpy(chosen), torch.from_numpy(hidden)
            batch["mim_index"] = torch.from_numpy(np.argwhere(chosen & aligned[:, None]))
            batch["mim_unmasked_index"] = torch.from_numpy(np.argwhere(~chosen & aligned[:, None]))
        return batch

    def finish(self, batch: Batch) -> Batch:
        """Complete a batch on its device: hide the masked patches, keep the whole images."""
        batch = super().finish(batch)
        if (hidden := batch.pop("hidden_patches", None)) is not None:
            whole = batch["whole_pixel_values"] = batch["pixel_values"]
            grid = whole.shape[2] // self.patch_size
            hidden = hidden.view(-1, 1, grid, grid)
            for dim in (2, 3):
                hidden = hidden.repeat_interleave(self.patch_size, dim)
            batch["pixel_values"] = whole.masked_fill(hidden, 0.0)
        return batch

    def _draws(self, indices: np.ndarray, count: int, purpose: Purpose) -> np.ndarray:
        return draws(self.seed, self.epoch, indices, count, purpose)


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


class _Fetch:
    """Numbers of samples to a batch as workers send it."""

    def __init__(self, dataset: PairDataset):
        self.dataset = dataset

    def __call__(self, indices: list[int]) -> Batch:
        return self.dataset.fetch(np.asarray(indices))


def batches(dataset: PairDataset, order: np.ndarray, batch_size: int, workers: int = 0) -> Iterator[Batch]:
    """Batches of ``dataset`` in ``order``; the last may be smaller."""
    chunks = [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]
    # Without a generator of its own the loader draws from torch's, and a resumed run would differ.
    loader = DataLoader(
        range(len(dataset)),  # workers collect the whole batch, with its images as bytes: small to send
        batch_sampler=chunks,
        collate_fn=_Fetch(dataset),
        num_workers=workers,
        generator=torch.Generator().manual_seed(0),
    )
    return map(dataset.finish, loader)
