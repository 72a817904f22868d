"""Configurations as plain JSON values, and back."""

import dataclasses
import json
from typing import get_type_hints


def to_dict(config) -> dict:
    """Plain JSON values of a configuration; tuples become lists."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(cls, values: dict):
    """Rebuild a configuration from :func:`to_dict`; unknown or missing names are a ValueError."""
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}; known: {', '.join(hints)}")
    required = [f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{cls.__name__} needs {', '.join(missing)}")
    kwargs = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            value = from_dict(hints[name], value)
        elif isinstance(value, list):
            value = tuple(value)
        kwargs[name] = value
    return cls(**kwargs)
