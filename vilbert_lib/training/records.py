"""What is recorded of every epoch: figures in ``metrics.jsonl``, alignments in ``alignment.parquet``."""

from pathlib import Path

import pandas as pd

from vilbert_lib.training import checkpoint


def record_figures(folder: Path, epoch: int, figures: dict[str, float]) -> None:
    """Put ``figures`` (those of ``epoch``) in place of what was known of it and after."""
    rows = [*figures_before(folder, epoch), {"epoch": epoch, **figures}]
    checkpoint.write_json_lines(folder / "metrics.jsonl", rows)


def figures_before(folder: Path, epoch: int) -> list[dict]:
    """What was recorded of the epochs before ``epoch``; a ValueError where one is missing."""
    path = folder / "metrics.jsonl"
    rows = [row for row in checkpoint.read_json_lines(path) if row.get("epoch", epoch) < epoch]
    if [row["epoch"] for row in rows] != list(range(epoch)):
        raise _incomplete(path, epoch)
    return rows


def record_alignment(folder: Path, epoch: int, frame: pd.DataFrame) -> None:
    """Put ``frame`` (the alignments of ``epoch``) in place of what was known of it and after."""
    path = folder / "alignment.parquet"
    if epoch:
        known = checkpoint.read_frame(path)
        known = known[known.epoch < epoch]
        if set(known.epoch) != set(range(epoch)):
            raise _incomplete(path, epoch)
        frame = pd.concat([known, frame], ignore_index=True)
    checkpoint.write_frame(path, frame)


def digests_before(folder: Path, epoch: int) -> dict[str, str]:
    """A digest of what each file has recorded of the epochs before ``epoch``."""
    known = checkpoint.read_frame(folder / "alignment.parquet")
    known = known[known.epoch < epoch]
    kinds = [f"{name} {kind}" for name, kind in known.dtypes.items()]
    rows = pd.util.hash_pandas_object(known, index=False).tolist()
    return {
        "metrics.jsonl": checkpoint.digest_of(figures_before(folder, epoch)),
        "alignment.parquet": checkpoint.digest_of([kinds, rows]),
    }


def _incomplete(path: Path, epoch: int) -> ValueError:
    return checkpoint.damaged(path, f"not all of the epochs 0..{epoch - 1} are in it")
