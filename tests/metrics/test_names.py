"""Measures can be imported by name, whatever module of the package is imported as well."""

import importlib
import pkgutil

import pytest

from vilbert_lib import metrics
from vilbert_lib.metrics import MEASURES, Measure, cca, cknna, procrustes, rsa


def test_an_imported_measure_is_callable():
    X = [[0.0, 1.0, 3.0], [2.0, 0.0, 1.0], [5.0, 2.0, 2.0], [1.0, 7.0, 0.0]]
    for measure in (cca, cknna, procrustes, rsa):
        assert isinstance(measure, Measure)
        assert measure(X, X, k=3) == pytest.approx(1)


def test_no_module_takes_the_name_of_a_measure():
    """Importing a submodule sets an attribute of the package: it would replace the measure."""
    for module in pkgutil.iter_modules(metrics.__path__):
        importlib.import_module(f"vilbert_lib.metrics.{module.name}")
    assert {name: getattr(metrics, name) for name in MEASURES} == MEASURES
