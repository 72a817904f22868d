"""Which library multiplies float32 matrices on a CPU: MKL, or oneDNN where it is as exact."""

import contextlib
from collections.abc import Iterator
from functools import cache

import torch

#: Narrower layers gain nothing: oneDNN sets up each of their many small products anew.
LEAST_WIDTH = 256


@contextlib.contextmanager
def fast_products(width: int) -> Iterator[bool]:
    """Multiply by oneDNN in here, if layers of ``width`` gain from it and float32 results stay as exact.

    PyTorch hands float32 products to MKL, which does not use the wide registers of processors by AMD. It hands
    them to oneDNN when bfloat16 products are allowed; without matrix units (AMX) oneDNN computes them in float32
    all the same. Whether it does is tried by a product, not concluded from the processor's name.
    """
    allowed = width >= LEAST_WIDTH and _is_exact()
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    try:
        if allowed:
            matmul.fp32_precision = "bf16"
        yield allowed
    finally:
        matmul.fp32_precision = before


@cache
def _is_exact() -> bool:
    """Whether a product of float32 matrices has float32's precision when bfloat16 is allowed."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "bf16"
        error = (a @ b - exact).abs().max()
    finally:
        matmul.fp32_precision = before
    return bool(error < 1e-3)  # about 3e-5 in float32, 0.2 in bfloat16
