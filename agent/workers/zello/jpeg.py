"""The size of a JPEG, read from its markers, and smaller copies of it.

Source: ITU-T T.81, annex B (markers) and B.2.2 (frame header).
"""

from __future__ import annotations

import io
import struct
from typing import Final

from agent.model.errors import MalformedMessage

MAX_PIXELS: Final = 40_000_000  # beyond, a few kilobytes could cost hundreds of megabytes to unpack
MAX_STEPS: Final = 4096
_SOI: Final = b"\xff\xd8"
_EOI: Final = b"\xff\xd9"
# C4, C8 and CC stand between the frame headers and are none.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_END: Final = 0xD9
_SCAN: Final = 0xDA
_QUALITIES: Final = (80, 65, 50, 35, 20)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises: MalformedMessage when it is not the beginning of a JPEG."""
    if data[:2] != _SOI:
        raise MalformedMessage("jpeg", "does not begin like one")
    at = 2
    for _ in range(MAX_STEPS):
        if at + 2 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in (0, _END, _SCAN):
            break
        else:
            if at + 4 > len(data):
                break
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                break
            if marker in _FRAMES:
                return _frame_size(data[at + 4 : at + 2 + length])
            at += 2 + length
    raise MalformedMessage("jpeg", "no frame header")


def _frame_size(header: bytes) -> tuple[int, int]:
    """From precision, height, width, number of components."""
    if len(header) < 6:
        raise MalformedMessage("jpeg", "frame header cut short")
    _, height, width, _ = struct.unpack_from(">BHHB", header)
    if not (width and height):
        raise MalformedMessage("jpeg", "no width or height")
    return width, height


def is_whole(data: bytes) -> bool:
    """False for a picture whose end is missing."""
    return data.rfind(_EOI) > 2


def shrink(data: bytes, *, side_px: int, max_bytes: int) -> bytes:
    """A copy that fits, by Pillow; takes tens of milliseconds, so call it in a thread.

    Raises: ImportError without Pillow; MalformedMessage when it cannot read the picture, or make it so small.
    """
    from PIL import Image

    width, height = jpeg_size(data)
    if width * height > MAX_PIXELS:
        raise MalformedMessage("jpeg", f"more than {MAX_PIXELS} pixels")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
            if opened.size != (width, height):
                raise MalformedMessage("jpeg", "tells two sizes")
            opened.draft("RGB", (side_px, side_px))
            picture = opened.convert("RGB")
        picture.thumbnail((side_px, side_px))
        for quality in _QUALITIES:
            copy = io.BytesIO()
            picture.save(copy, "JPEG", quality=quality)
            if copy.tell() <= max_bytes:
                return copy.getvalue()
    except (
        OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, struct.error,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise MalformedMessage("jpeg", f"cannot be read: {type(error).__name__}") from error
    raise MalformedMessage("jpeg", f"cannot be made to fit {max_bytes} bytes")
