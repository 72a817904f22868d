"""Every test works in folders of its own, on a synthetic root of a few samples."""

import pytest
import torch

from vilbert_lib import synthetic
from vilbert_lib.config import AlignmentConfig, ModelConfig, Profile, TrainConfig


@pytest.fixture(scope="module", autouse=True)
def own_folders(tmp_path_factory):
    """Point data, runs and book to temporary folders; the notebooks, tested after, use the real ones."""
    base = tmp_path_factory.mktemp("places")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RUNS", "BOOK", "ARCHIVE"):
            patch.setenv(f"VILBERT_{name}", str(base / name.lower()))
        yield base


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A run store of the test's own; the archive is its own, too."""
    monkeypatch.setenv("VILBERT_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("VILBERT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def elsewhere(store, monkeypatch):
    """A function after which nothing has been trained, as on another machine."""
    return lambda name="other": monkeypatch.setenv("VILBERT_RUNS", str(store.with_name(name)))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small sums gain nothing from threads, and lose much where other work goes on beside."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory):
    """A synthetic data root with 32 training samples a task."""
    return synthetic.make_root(tmp_path_factory.mktemp("roots") / "synthetic", n_train=32)


@pytest.fixture(scope="session")
def tiny_profile():
    """A scale at which a run takes a second."""
    train = TrainConfig(epochs=3, batch_size=8, lr=1e-3)
    return Profile(
        name="tiny",
        model=ModelConfig(
            width=16, heads=2, coattention_width=16, coattention_heads=2, pooled_width=16, patch_size=32
        ),
        pretrain=train,
        finetune=train,
        alignment=AlignmentConfig(n_samples=12, k=3),
    )
