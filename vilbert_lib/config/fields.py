"""Values of a configuration's fields: of the declared type, within their range, and as plain JSON values."""

import dataclasses
import json
import math
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints


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


#: Metadata of a field that was added when there were runs: at its default it is left out of the plain values,
#: so that these runs keep their ids. With ``before``, a value other than the default, it is left out at that
#: value, with which the earlier runs were trained, and values without the field get it.
LATER = {"left_out_at_default": True}


def to_dict(config) -> dict:
    """Plain JSON values of a configuration; tuples become lists."""
    return json.loads(json.dumps(_plain(config)))


def _plain(value):
    if not dataclasses.is_dataclass(value):
        return value
    return {
        item.name: _plain(getattr(value, item.name))
        for item in dataclasses.fields(value)
        if not (
            item.metadata.get("left_out_at_default")
            and getattr(value, item.name) == item.metadata.get("before", item.default)
        )
    }


def from_dict(cls, values: dict):
    """Rebuild a configuration from :func:`to_dict`; unknown or missing names are a ValueError."""
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}; known: {', '.join(hints)}")
    required = [f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{cls.__name__} needs {', '.join(missing)}")
    kwargs = {f.name: f.metadata["before"] for f in dataclasses.fields(cls) if "before" in f.metadata}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            value = from_dict(hints[name], value)
        elif isinstance(value, list):
            value = tuple(value)
        kwargs[name] = value
    return cls(**kwargs)
