"""The settings of a download, each with what it means; the command shows them as they stand here."""

import os
from dataclasses import dataclass, field, fields


def _option(default, meaning: str, least: float):
    return field(default=default, metadata={"meaning": meaning, "least": least})


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How the web is asked and how images are kept. Raises ValueError for what cannot be."""

    workers: int = _option(128, "downloads at once", 1)
    per_host: int = _option(4, "downloads at once from one host", 1)
    timeout: float = _option(30.0, "seconds of a request; a third to connect, or between two pieces", 0.01)
    tries: int = _option(3, "tries of what may pass, such as a time-out", 1)
    backoff: float = _option(1.0, "seconds before the second try, about; then twice that, and so on", 0)
    patience: float = _option(30.0, "most seconds between two tries, even if the server wants more", 0)
    redirects: int = _option(5, "redirects that are followed", 0)
    max_bytes: int = _option(20_000_000, "most bytes of an original", 1)
    max_pixels: int = _option(64_000_000, "most pixels of an original", 1)
    size: int = _option(256, "most pixels of the shorter side of what is kept", 1)
    decoders: int = _option(min(4, os.cpu_count() or 1), "processes that decode", 1)
    decode_timeout: float = _option(60.0, "seconds after which a decoder that is not done is replaced", 0.01)
    seed: int = _option(0, "seed of the random part of the pauses between tries", 0)
    user_agent: str = field(
        default="vilbert_lib/0.1 (research; fetches the images of Conceptual Captions)",
        metadata={"meaning": "how servers are told who asks; best with an address to write to"},
    )

    def __post_init__(self):
        for item in fields(self):
            value, least = getattr(self, item.name), item.metadata.get("least")
            if least is not None and not least <= value < float("inf"):
                raise ValueError(f"{item.name} {value} must be finite and at least {least}")
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            raise ValueError(f"user_agent {self.user_agent!r} must be printable ASCII")
