"""The memory that is refused in advance is what a measurement takes, within a factor of two."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vilbert_lib.metrics import alignment_grid, layers

MEASURED = """
import re, sys
from pathlib import Path
import numpy as np, torch
from vilbert_lib.metrics import alignment_grid

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
name, n, d, count = sys.argv[1], *map(int, sys.argv[2:])
data = [np.random.default_rng(i).standard_normal((n, d)).astype(np.float32) for i in range(count)]
alignment_grid([x[:3000, :3] for x in data], [name], null="exact")  # libraries are loaded, threads are there
Path("/proc/self/clear_refs").write_text("5")  # the largest memory so far is that of now
before = kilobytes("VmRSS")
alignment_grid(data, [name], null="exact")
print(1024 * (kilobytes("VmHWM") - before))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process its peak")
@pytest.mark.parametrize(
    ("name", "n", "d", "count"),
    [
        pytest.param("r2_ols", 12_000, 256, 5, id="covariances"),
        pytest.param("mknn", 12_000, 64, 3, id="neighbours"),
        pytest.param("cka", 2_500, 2_600, 3, id="n x n"),
    ],
)
def test_the_estimate_is_at_least_the_measured_peak_and_at_most_twice_that(name, n, d, count, monkeypatch):
    command = [sys.executable, "-W", "ignore", "-c", MEASURED, name, *map(str, (n, d, count))]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=single_threaded())
    peak = int(answer.stdout)
    monkeypatch.setattr(layers.torch, "get_num_threads", lambda: 1)
    data = [np.random.default_rng(i).standard_normal((n, d)).astype(np.float32) for i in range(count)]
    monkeypatch.setattr(layers, "available_bytes", lambda device: 0.999 * peak)
    with pytest.raises(MemoryError, match="need about"):
        alignment_grid(data, [name], null="exact")
    monkeypatch.setattr(layers, "available_bytes", lambda device: 2 * peak)
    assert len(alignment_grid(data, [name], null="exact")) == count * (count - 1) // 2


def single_threaded() -> dict[str, str]:
    import os

    return os.environ | {"OMP_NUM_THREADS": "1"}
