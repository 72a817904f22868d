"""Files with the same bytes on every machine."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray) -> bytes:
    """A PNG of ``pixels`` (h, w, 3) uint8, of at most 65 535 bytes with one more for each row.

    The pixels are stored as they are: what deflate makes of them depends on its implementation.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)
    raw = rows.tobytes()
    stored = b"\x78\x01" + struct.pack("<BHH", 1, len(raw), len(raw) ^ 0xFFFF) + raw
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", stored + struct.pack(">I", zlib.adler32(raw)))
        + _chunk(b"IEND", b"")
    )


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG of ``pixels`` (h, w, 3) uint8, with everything set that an encoder may choose."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, subsampling=0, optimize=False, progressive=False)
    return file.getvalue()


def write(path: Path | str, content: bytes) -> None:
    """Write ``content`` to the file ``path``, whose folder exists."""
    with open(path, "wb") as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with the line ends that it has."""
    write(path, text.encode())
