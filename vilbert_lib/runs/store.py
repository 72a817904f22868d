"""The store of runs: a run's folder and what is read from it, its model, tables of many runs."""

import difflib
import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from vilbert_lib import paths
from vilbert_lib.config import AlignmentConfig, Profile, RunConfig, choose, from_dict, to_dict
from vilbert_lib.data import formats
from vilbert_lib.metrics import MEASURES
from vilbert_lib.model.heads import Classifier, PretrainingModel
from vilbert_lib.representations import is_paired, measure_alignment
from vilbert_lib.runs import archive
from vilbert_lib.runs.inputs import check_data, data_root_of, dataset, samples_in
from vilbert_lib.training import checkpoint, processes

FILES = ("config.json", "env.json", "metrics.jsonl", "alignment.parquet", "model.safetensors")  # of a finished run


@dataclass(frozen=True)
class Run:
    """A run, read from its directory, or where it was never trained here from the archive of figures."""

    config: RunConfig

    @property
    def folder(self) -> Path:
        """Where the run's files are."""
        return paths.runs() / self.config.id

    @property
    def trained(self) -> bool:
        """The summary is written last: without it the run's directory is not finished."""
        return (self.folder / "summary.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether its figures are to be had, here or from the archive."""
        return self.trained or archive.find(self.config.id) is not None

    @property
    def lock(self) -> Path:
        """The file that is locked by whoever writes in the run's folder."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    @cached_property
    def _kept(self) -> dict | None:
        return None if self.trained else archive.find(self.config.id)

    @cached_property
    def _summary(self) -> tuple[dict, dict[str, str]]:
        """The summary of a run that was trained here, and the digests of its files."""
        if not self.trained:
            raise ValueError(f"run {self.config.id} is not finished: train it first")
        return checkpoint.read_summary(self.folder / "summary.json", self.config.id)

    def _read(self, name: str, read: Callable):
        """What ``read`` gives of a file of the run's folder, verified by the digest in the summary."""
        return read(self.folder / name, sha256=self._summary[1][name])

    @property
    def summary(self) -> dict:
        """The best epoch, its metrics, numbers of samples and seconds."""
        return self._kept["summary"] if self._kept else self._summary[0]

    @cached_property
    def env(self) -> dict:
        """What it was trained by, see :func:`vilbert_lib.runs.machine.environment`."""
        return self._kept["env"] if self._kept else self._read("env.json", checkpoint.read_json)

    @cached_property
    def epochs(self) -> list[dict]:
        """The metrics of every epoch, from 0, the untrained model, on; of an unfinished run those so far."""
        if self._kept:
            return self._kept["metrics"]
        if not self.trained:
            return checkpoint.read_json_lines(self.folder / "metrics.jsonl")
        return self._read("metrics.jsonl", checkpoint.read_json_lines)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row an epoch; epoch 0 is the untrained model."""
        return pd.DataFrame(self.epochs)

    @cached_property
    def training_alignment(self) -> pd.DataFrame:
        """Alignment of layers at the same relative depth after every epoch, logged while the run was trained.

        Columns of :func:`vilbert_lib.representations.log_alignment`; epoch 0 is the untrained model.
        """
        if self._kept:
            return archive.table(self.config.id, "training_alignment")
        return self._read("alignment.parquet", checkpoint.read_frame)

    def alignment(
        self,
        measures: Sequence[str] | None = None,
        *,
        n_samples: int | None = None,
        k: int | None = None,
        split: str = "",
        pooling: str | None = None,
        data_root: Path | None = None,
        epoch: str = "best",
    ) -> pd.DataFrame:
        """Alignment of every pair of layers, measured on the run's weights once and kept with the run.

        Parameters
        ----------
        measures, n_samples, k, pooling, split
            Fields of :class:`vilbert_lib.config.AlignmentConfig`, by default as there.
        data_root : Path, optional
            Where the samples lie, by default the run's own data. Other samples of the same task may be named.
        epoch : {"best", "untrained"}
            The weights of the best epoch, or those before training: random ones, or those of the run's start.

        Returns
        -------
        pandas.DataFrame
            The columns of :func:`vilbert_lib.representations.measure_alignment`, a row a pair of layers and
            measure. What was measured before is read; only measures that are lacking are computed. Where the
            run's weights are not here it is read from the archive.

        Raises
        ------
        FileNotFoundError
            Where something is lacking and the run's weights are not here.
        ValueError
            For a setting that cannot be used, an unknown measure, or data of another task.
        """
        given = {"measures": measures and tuple(measures), "n_samples": n_samples, "k": k, "pooling": pooling}
        split = split or ("val" if self.config.objectives else "test")
        settings = AlignmentConfig(split=split, **{name: v for name, v in given.items() if v is not None})
        choose("epoch", epoch, ("best", "untrained"))
        for name in settings.measures:
            choose("measure", name, MEASURES)
        key = self._alignment_key(settings, epoch, data_root)
        known = self._found_table(key)
        lacking = tuple(m for m in settings.measures if known is None or m not in set(known.measure))
        if lacking:
            if self._kept:
                raise self._without_weights(f"the alignment by {', '.join(lacking)} ({split}, {epoch} epoch)")
            made = self._measured(replace(settings, measures=lacking), epoch, data_root)
            known = made if known is None else pd.concat([known, made], ignore_index=True)
            checkpoint.write_table(self.folder, self.config.id, key, known)
        return known[known.measure.isin(settings.measures)].reset_index(drop=True)

    def _alignment_key(self, settings: AlignmentConfig, epoch: str, data_root: Path | None) -> str:
        values = {"n": settings.n_samples, "k": settings.k, "pooling": settings.pooling, "split": settings.split}
        if data_root is not None:
            samples = samples_in(self.config, Path(data_root))
            values |= {} if self.config.data.startswith(f"{samples}+") else {"samples": samples}
        return table_key("alignment", values | {"epoch": epoch})

    def _measured(self, settings: AlignmentConfig, epoch: str, data_root: Path | None) -> pd.DataFrame:
        own = data_root_of(self.config, data_root)
        model = self.model(own) if epoch == "best" else build_model(self.config, own)
        other = None if data_root is None or own == Path(data_root).expanduser().resolve() else Path(data_root)
        data = dataset(self.config, own, settings.split, analysis=True, samples_of=other)
        number = self.summary["best_epoch"] if epoch == "best" else 0
        streams = model.vilbert.to(processes.device())
        return measure_alignment(streams, data, settings, epoch=number, split=settings.split)

    def _without_weights(self, what: str) -> FileNotFoundError:
        return FileNotFoundError(
            f"run {self.config.id}: {what} needs its weights, and the archive keeps its results only; to train it"
            f" here: python -m vilbert_lib train --run {self.config.id}"
        )

    def _found_table(self, key: str) -> pd.DataFrame | None:
        if self._kept:
            return archive.table(self.config.id, key)
        return checkpoint.read_tables(self.folder, self.config.id, key).get(key)

    def model(self, data_root: Path) -> Classifier | PretrainingModel:
        """The model with the weights of its best epoch, in evaluation mode.

        Raises FileNotFoundError where only the run's results are here, ValueError where the weights are damaged
        or ``data_root`` holds other data than the run's.
        """
        if self._kept:
            raise self._without_weights("its model")
        self._read("model.safetensors", checkpoint.verify)
        model = new_model(self.config, data_root)
        checkpoint.read_weights(self.folder / "model.safetensors", model)
        return model.eval()

    def table(self, name: str, make: Callable[[], pd.DataFrame], **settings) -> pd.DataFrame:
        """What ``make`` measures on the run's model, made once and kept with the run.

        ``name`` and ``settings``, plain values, say what the table depends on beside the run. Where only
        figures are here it is read from them; one that was not kept is made, if ``make`` can do without weights.
        """
        key = table_key(name, settings)
        if self._kept:
            return make() if (found := archive.table(self.config.id, key)) is None else found
        if key not in (found := checkpoint.read_tables(self.folder, self.config.id, key)):
            checkpoint.write_table(self.folder, self.config.id, key, make())
            found = checkpoint.read_tables(self.folder, self.config.id, key)
        return found[key]

    def tables(self) -> dict[str, pd.DataFrame]:
        """All that :meth:`table` has of the run, by key."""
        if self._kept:
            return archive.tables(self.config.id)
        return checkpoint.read_tables(self.folder, self.config.id)

    def describe(self) -> dict:
        """The columns by which a table names this run."""
        config = self.config
        return {
            "run": config.id,
            "task": config.task,
            "architecture": config.architecture,
            "seed": config.seed,
            "start": "pretrained" if config.start_from else "scratch",
        }


def table_key(name: str, settings: dict) -> str:
    """``<name>-<hash of the settings>``: what a run's table is called among its files."""
    if not name.isidentifier():
        raise ValueError(f"table {name!r}: a name of letters, digits and _ is needed")
    return f"{name}-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]}"


def open_run(run_id: str) -> Run:
    """The finished run with this id; an error names a run that is missing or unfinished."""
    path = paths.runs() / run_id / "config.json"
    if path.is_file():
        values, place = checkpoint.read_json(path), path.parent
    elif kept := archive.find(run_id):
        values, place = kept["config"], paths.archive()
    else:
        raise FileNotFoundError(f"run {run_id} does not exist below {paths.runs()}")
    try:
        run = Run(from_dict(RunConfig, values))
    except (ValueError, TypeError) as error:
        raise checkpoint.damaged(place / "config.json", error) from error
    if run.config.id != run_id:
        raise ValueError(f"{place} holds the run {run.config.id}, not {run_id}")
    if not run.finished:
        raise ValueError(f"run {run_id} is not finished")
    return run


def matching(patterns: Iterable[str]) -> list[Run]:
    """The finished runs whose ids are, or match, one of ``patterns``, such as ``hateful_memes/*-s0-*``, in order.

    A ValueError names a pattern that matches none.
    """
    here = {path.parent.relative_to(paths.runs()).as_posix() for path in paths.runs().glob("*/*/summary.json")}
    known = sorted(here | set(archive.every_id()))
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = fnmatch.filter(known, pattern)
        if not matched:
            near = difflib.get_close_matches(pattern, known, n=3)
            raise ValueError(f"no finished run matches {pattern!r}; near it: {', '.join(near) or 'none'}")
        found |= dict.fromkeys(matched)
    return [open_run(run_id) for run_id in found]


#: Fields of a :class:`ModelConfig` in which a run may differ from the one that it starts from.
FREE_AFTER_START = {
    "streams",  # of two streams one may be read alone
    "fusion",
    "dropout",
    "pooling",
    "frozen_layers",
    "frozen_stream",
    "pixel_mean",
    "pixel_std",
    "interpolation",
}


IMPORTED = "import:"  # before the digest of a file of weights, in ``start_from`` of a run that was not trained


def start_of(config: RunConfig) -> Run:
    """The finished pretraining run that ``config`` starts from; a ValueError where its weights do not fit."""
    if config.start_from.startswith(IMPORTED):
        raise ValueError(f"run {config.id} was imported: what its model was before training is not known")
    start = open_run(config.start_from)
    if not start.config.objectives:
        raise ValueError(
            f"start_from {config.start_from}: this run was fine-tuned on {start.config.task};"
            " name a pretraining run, one with objectives"
        )
    own, found = to_dict(config.model), to_dict(start.config.model)
    differing = [name for name in own if name not in FREE_AFTER_START and own[name] != found[name]]
    if (own["streams"] == "single") != (found["streams"] == "single"):
        differing.append("streams")
    if config.data.split("+")[-1] != start.config.data.split("+")[-1]:
        differing.append("tokenizer")
    if differing:
        raise ValueError(f"start_from {config.start_from}: {', '.join(differing)} differ from those of this run")
    return start


def new_model(config: RunConfig, data_root: Path) -> Classifier | PretrainingModel:
    """The model of a run with the weights that its seed and its published weights give."""
    torch.manual_seed(config.seed)
    if config.objectives:
        return PretrainingModel(config.model)
    check_data(config, data_root)
    task = formats.task(config.task, data_root)
    return Classifier(config.model, len(task.labels(task.folder(data_root))))


def build_model(config: RunConfig, data_root: Path) -> Classifier | PretrainingModel:
    """The untrained model of a run, or the one that its pretraining run left."""
    model = new_model(config, data_root)
    if config.start_from:
        model.vilbert.load_state_dict(start_of(config).model(data_root).vilbert.state_dict())
    return model


def summaries(runs: list[Run]) -> pd.DataFrame:
    """One row a run: what names it, then its summary."""
    return pd.DataFrame([run.describe() | run.summary for run in runs])


def histories(runs: list[Run]) -> pd.DataFrame:
    """The metrics of all epochs of all runs."""
    return pd.concat([run.metrics.assign(**run.describe()) for run in runs], ignore_index=True)


def alignments(
    runs: list[Run],
    settings: AlignmentConfig | None = None,
    data_root: Path | None = None,
    *,
    epochs: Sequence[str] = ("untrained", "best"),
) -> pd.DataFrame:
    """The alignments of all runs at some moments, see :meth:`Run.alignment`.

    Parameters
    ----------
    runs : list of Run
        Finished runs.
    settings : AlignmentConfig, optional
        What is measured, by default the defaults.
    data_root : Path, optional
        Whose samples are used; needed where a run's own data are not below the project's folder of datasets.
    epochs : sequence of str
        ``untrained``, ``best``, or both.

    Returns
    -------
    pandas.DataFrame
        The rows of :meth:`Run.alignment`, the columns of :meth:`Run.describe`, ``best_epoch``, and ``paired``:
        whether the layers are at the same relative depth (:func:`vilbert_lib.representations.paired_layers`).
    """
    settings = settings or AlignmentConfig()
    options = {name: getattr(settings, name) for name in ("n_samples", "k", "split", "pooling")}
    frames = []
    for run in runs:
        for epoch in epochs:
            frame = run.alignment(settings.measures, data_root=data_root, epoch=epoch, **options)
            columns = {"best_epoch": run.summary["best_epoch"], "paired": is_paired(frame)}
            frames.append(frame.assign(**run.describe(), **columns))
    return pd.concat(frames, ignore_index=True)


def training_alignments(runs: list[Run]) -> pd.DataFrame:
    """What was logged of the alignment of all runs while they were trained, see :attr:`Run.training_alignment`."""
    frames = [run.training_alignment.assign(**run.describe(), paired=True) for run in runs]
    return pd.concat(frames, ignore_index=True)


def keep(profile: Profile) -> list[Path]:
    """Archive the results of all runs that were trained here at the scale of ``profile``; returns the files.

    What the archive has of other runs of the profile stays. A ValueError where there is nothing to keep.
    """
    runs = [Run(from_dict(RunConfig, archive.find(run_id)["config"])) for run_id in archive.ids(profile.name)]
    here = sorted(path.parent.relative_to(paths.runs()) for path in paths.runs().glob("*/*/summary.json"))
    runs += [run for run in map(open_run, map(str, here)) if profile.trained(run.config)]
    runs = {run.config.id: run for run in runs}
    if not runs:
        raise ValueError(f"no run of profile {profile.name} is finished below {paths.runs()}")
    entries, tables = {}, {"training_alignment": {}}
    for run_id, run in runs.items():
        values = {"config": to_dict(run.config), "env": run.env, "summary": run.summary, "metrics": run.epochs}
        entries[run_id] = values if run.trained else archive.find(run_id)
        for key, table in ({"training_alignment": run.training_alignment} | run.tables()).items():
            tables.setdefault(key, {})[run_id] = table
    return archive.write(profile.name, entries, tables)
