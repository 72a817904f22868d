"""Values of a configuration's fields: of the declared type, and within their range."""

import dataclasses
import math
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin


def choose(kind: str, name: str, known) -> Any:
    """Look ``name`` up in ``known`` (a mapping, or names); raise a ValueError that lists them."""
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")
    return known[name] if isinstance(known, dict) else name


def settle(config) -> None:
    """Bring the fields of a frozen dataclass to their declared types; a ValueError names one that cannot be.

    Lists become tuples, and whole numbers in real fields real: 0 and 0.0 are equal, and must hash alike.
    """
    for item in dataclasses.fields(config):
        object.__setattr__(config, item.name, _settled(item.name, getattr(config, item.name), item.type))


def _settled(name: str, value, kind):
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{name} {value!r} must be a list")
        return tuple(_settled(name.removesuffix("s"), part, get_args(kind)[0]) for part in value)
    if get_origin(kind) is Literal:
        return choose(name, value, get_args(kind))
    number = isinstance(value, Real) and not isinstance(value, bool)
    if kind is int:
        if not (number and isinstance(value, Integral)):
            raise ValueError(f"{name} {value!r} must be a whole number")
        return int(value)
    if kind is float:
        if not (number and math.isfinite(value)):
            raise ValueError(f"{name} {value!r} must be a finite number")
        return float(value)
    if not isinstance(value, kind):
        raise ValueError(f"{name} {value!r} must be of type {kind.__name__}")
    return value


def at_least(config, least: int, *names: str) -> None:
    """Raise a ValueError for the first of the fields ``names`` that is smaller than ``least``."""
    _refuse(config, names, lambda value: value >= least, f"at least {least}")


def positive(config, *names: str) -> None:
    """Raise a ValueError for the first of the fields ``names`` that is not above 0."""
    _refuse(config, names, lambda value: value > 0, "positive")


def shares(config, *names: str) -> None:
    """Raise a ValueError for the first of the fields ``names`` that lies outside [0, 1]."""
    _refuse(config, names, lambda value: 0 <= value <= 1, "from 0 to 1")


def _refuse(config, names: tuple[str, ...], right, wanted: str) -> None:
    for name in names:
        if not right(getattr(config, name)):
            raise ValueError(f"{name} {getattr(config, name)} must be {wanted}")


def distinct(kind: str, values: tuple) -> None:
    """Raise a ValueError for the first of ``values`` that is there twice."""
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"{kind} {value!r} is named twice in {list(values)}")
