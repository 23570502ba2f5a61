"""Websocket frames without I/O: building those we share, and metering those that come in."""

from __future__ import annotations

import os
import struct

from msgspec import Struct
from wsproto.frame_protocol import FrameProtocol

_TEXT = 0x81
_BINARY = 0x82
_MASKED = 0x80
_OPCODE = 0x0F
_CONTINUATION = 0x0
_CLOSE = 0x8
_EXTENDED_BYTES = {126: 2, 127: 8}

PING = b"\x89\x00"


def text_frame(payload: bytes) -> bytes:
    """An unmasked, final text frame around UTF-8 bytes: built once per event, shared by all clients.

    Source: RFC 6455, section 5.2.
    """
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """An unmasked, final binary frame."""
    return _frame(_BINARY, payload)


def close_frame(code: int, reason: str, *, empty: bool = False, masked: bool = False) -> bytes:
    """A CLOSE; the reason is cut to the 123 bytes it may have. empty: without code and reason."""
    frames = FrameProtocol(masked, [])
    return bytes(frames.close() if empty else frames.close(code, reason))


def masked_ping() -> bytes:
    """An empty PING as a client sends it."""
    return b"\x89\x80" + os.urandom(4)


def is_close(frame: bytes) -> bool:
    """Whether a whole frame, as built here or by wsproto, is a CLOSE."""
    return frame[0] & _OPCODE == _CLOSE


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack(">BBH", first, 126, size) + payload
    return struct.pack(">BBQ", first, 127, size) + payload


class Excess(Struct, frozen=True):
    """A frame that goes over a limit: where in the fed bytes it begins, and what to say to the peer."""

    offset: int
    code: int
    reason: str


class FrameMeter:
    """Follows frame headers in a byte stream, so that an oversized message is refused by its first header.

    Whether frames are legal is not judged here; bytes after a CLOSE are not looked at.
    """

    __slots__ = (
        "_fragments",
        "_head",
        "_max_fragments",
        "_message_bytes",
        "_need",
        "_skip",
        "close_seen",
        "max_message_bytes",
    )

    def __init__(self, *, max_message_bytes: int, max_fragments: int) -> None:
        self.max_message_bytes = max_message_bytes
        self._max_fragments = max_fragments
        self._head = b""
        self._need = 2
        self._skip = 0
        self._message_bytes = 0
        self._fragments = 0
        self.close_seen = False

    def feed(self, data: bytes) -> Excess | None:
        """Follow the next bytes; an Excess ends the use of this meter."""
        position = 0
        while position < len(data) and not self.close_seen:
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
                continue
            taken = data[position : position + self._need - len(self._head)]
            self._head += taken
            position += len(taken)
            if len(self._head) < self._need:
                break
            if self._need == 2:
                second = self._head[1]
                self._need += _EXTENDED_BYTES.get(second & 0x7F, 0) + (4 if second & _MASKED else 0)
                if len(self._head) < self._need:
                    continue
            if (reason := self._count(self._head)) is not None:
                return Excess(offset=max(0, position - len(self._head)), code=1009, reason=reason)
            self._head = b""
            self._need = 2
        return None

    def _count(self, head: bytes) -> str | None:
        opcode = head[0] & _OPCODE
        extended = _EXTENDED_BYTES.get(head[1] & 0x7F, 0)
        size = int.from_bytes(head[2 : 2 + extended], "big") if extended else head[1] & 0x7F
        self._skip = size
        if opcode == _CLOSE:
            self.close_seen = True
        if opcode & 0x8:
            return None
        if opcode == _CONTINUATION:
            self._message_bytes += size
            self._fragments += 1
        else:
            self._message_bytes = size
            self._fragments = 1
        if self._message_bytes > self.max_message_bytes:
            return f"message larger than {self.max_message_bytes} bytes"
        if self._fragments > self._max_fragments:
            return f"message in more than {self._max_fragments} fragments"
        return None
