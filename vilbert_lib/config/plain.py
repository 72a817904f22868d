"""Configurations as plain JSON values, and back."""

import dataclasses
import json
from typing import get_type_hints

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
