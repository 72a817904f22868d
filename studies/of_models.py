"""What studies measure on the models of runs: made once a run, and kept beside it.

Each of these is a :meth:`vilbert_lib.runs.Run.table`, so a study whose tables were kept needs no weights.
"""

from functools import lru_cache
from pathlib import Path

import pandas as pd
from torch import Tensor

from studies import gradients, minibatch, sample_size
from studies import model_questions as questions
from vilbert_lib import representations, runs
from vilbert_lib.config import AlignmentConfig
from vilbert_lib.model import pretrained

POOLINGS = ("cls", "mean", "full_seq")


def pulls(run: runs.Run, data_root: Path, *, trained: bool) -> pd.DataFrame:
    """:func:`gradients.signal_to_noise` of a pretraining run, before anything was learned or at its best epoch."""

    def make() -> pd.DataFrame:
        model = run.model(data_root) if trained else runs.build_model(run.config, data_root)
        data = runs.dataset(run.config, data_root, "train")
        return gradients.signal_to_noise(model, data, batch_size=run.config.train.batch_size)

    return run.table("gradients", make, trained=trained)


def poolings(run: runs.Run, data_root: Path, measure: str, settings: AlignmentConfig) -> dict[str, pd.DataFrame]:
    """The tables of :mod:`studies.model_questions` for a run, on its test samples.

    ``tokens``, ``origins``, ``first``, ``within``, ``across`` and ``readable``.
    """
    n, k = settings.n_samples, settings.k

    @lru_cache
    def pooled() -> dict[str, dict[str, Tensor]]:
        data, model = runs.dataset(run.config, data_root, "test"), run.model(data_root).vilbert
        rows = representations.sample_rows(data, n)
        return {how: representations.layer_features(model, data, rows, how, embeddings=True) for how in POOLINGS}

    def labels():
        data = runs.dataset(run.config, data_root, "test")
        return data.labels[representations.sample_rows(data, n)]

    widths = tuple(width for width, _ in pretrained.stream_sizes(run.config.model))
    makers = {
        "tokens": lambda: questions.tokens_of(pooled()["full_seq"], widths),
        "origins": lambda: questions.origins(pooled()["full_seq"], measure, k),
        "first": lambda: questions.first_tokens(pooled()["cls"]),
        "within": lambda: questions.within_streams(pooled(), measure, k),
        "across": lambda: questions.across_streams(pooled(), measure, k),
        "readable": lambda: questions.readable(pooled(), labels()),
    }
    return {name: run.table(name, make, measure=measure, n=n, k=k) for name, make in makers.items()}


def batches(run: runs.Run, data_root: Path, layers: list[int], sizes: list[int]) -> pd.DataFrame:
    """:func:`minibatch.bias` of pairs of a run's text and vision layers, on its test samples.

    ``layers`` are those of the deeper stream, each with the layer of the other at the same relative depth.
    Column ``pair`` names the layers.
    """

    def make() -> pd.DataFrame:
        data = runs.dataset(run.config, data_root, "test")
        rows = representations.sample_rows(data, len(data))
        features = representations.layer_features(run.model(data_root).vilbert, data, rows)
        frames = []
        for i in layers:
            text, vision = representations.paired_names(features)[i]
            name = f"layers {i}" if text[1:] == vision[1:] else f"text layer {text[1:]}, vision layer {vision[1:]}"
            frames.append(minibatch.bias(features[text], features[vision], sizes).assign(pair=name))
        return pd.concat(frames, ignore_index=True)

    return run.table("batches", make, layers=list(layers), sizes=list(sizes))


def profiles_over_n(
    run: runs.Run,
    data_root: Path,
    unseen: Path,
    rows: int,
    measures: list[str],
    sizes: list[int],
    k: int,
    draws: int,
) -> pd.DataFrame:
    """:func:`sample_size.profiles_over_n` of a run on ``rows`` test samples of the root ``unseen``."""
    samples = runs.samples_in(run.config, unseen)
    settings = {"rows": rows, "measures": list(measures), "sizes": list(sizes), "k": k, "draws": draws}
    return run.table(
        "profiles_over_n",
        lambda: sample_size.profiles_over_n(
            _features(run, data_root, unseen, samples, rows), measures, sizes, k=k, draws=draws
        ),
        samples=samples,
        **settings,
    ).assign(model=run.config.id, architecture=run.config.architecture)


def profiles_over_k(
    run: runs.Run, data_root: Path, unseen: Path, rows: int, measures: list[str], ks: list[int]
) -> pd.DataFrame:
    """:func:`sample_size.profiles_over_k` of a run on the first ``rows`` test samples of the root ``unseen``."""
    samples = runs.samples_in(run.config, unseen)
    return run.table(
        "profiles_over_k",
        lambda: sample_size.profiles_over_k(_features(run, data_root, unseen, samples, rows), measures, ks),
        samples=samples,
        rows=rows,
        measures=list(measures),
        ks=list(ks),
    ).assign(model=run.config.id, architecture=run.config.architecture)


@lru_cache(maxsize=64)
def _features(run: runs.Run, data_root: Path, unseen: Path, samples: str, n: int) -> dict[str, Tensor]:
    """The features of ``n`` test samples of the root ``unseen``, whose data are called ``samples``."""
    data = runs.dataset(run.config, data_root, "test", samples_of=unseen)
    if runs.samples_in(run.config, unseen) != samples:
        raise ValueError(f"{unseen}: samples changed while they were read; start again when nothing writes there")
    rows = representations.sample_rows(data, n)
    return representations.layer_features(run.model(data_root).vilbert, data, rows)
