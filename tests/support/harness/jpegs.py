"""Pictures for tests: real ones by Pillow, and the bare bones of one without it."""

from __future__ import annotations

import io
import random
import struct


def real_jpeg(width: int = 64, height: int = 48, *, noise: bool = False, quality: int = 75) -> bytes:
    """A picture that any viewer opens. noise: one that hardly shrinks."""
    from PIL import Image

    picture = Image.new("RGB", (width, height), (90, 120, 150))
    if noise:
        picture = Image.frombytes("RGB", (width, height), random.Random(1).randbytes(3 * width * height))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return data.getvalue()


def bare_jpeg(width: int = 64, height: int = 48, *, total_bytes: int = 0) -> bytes:
    """Markers without a picture: enough for whoever asks for the size alone."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    data = (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\0")
        + segment(0xC0, frame)
        + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    )
    return data + b"\x55" * max(1, total_bytes - len(data) - 2) + b"\xff\xd9"


def segment(marker: int, payload: bytes) -> bytes:
    """One marker segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload
