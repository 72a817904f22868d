"""Products of float32 matrices by the faster library are as exact as those of the other."""

import pytest
import torch

from vilbert_lib.training import products
from vilbert_lib.training.products import fast_products


def error_of(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a @ b - (a.double() @ b.double())).abs().max())


def test_products_are_as_exact_and_the_setting_is_restored():
    a, b = torch.randn(300, 200), torch.randn(200, 300)
    before, usual = torch.backends.mkldnn.matmul.fp32_precision, error_of(a, b)
    with fast_products(768) as changed:
        assert error_of(a, b) < 4 * usual
        if changed:
            assert torch.backends.mkldnn.matmul.fp32_precision != before
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_narrow_layers_and_rounding_processors_are_left_alone(monkeypatch):
    with fast_products(64) as changed:
        assert not changed
    monkeypatch.setattr(products, "_is_exact", lambda: False)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(KeyError), fast_products(768) as changed:
        assert not changed and torch.backends.mkldnn.matmul.fp32_precision == before
        raise KeyError
    assert torch.backends.mkldnn.matmul.fp32_precision == before
