"""JSON from strangers: bounded in size and depth, and with one error."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from agent.model.errors import MalformedMessage

MAX_DEPTH = 16
_OPEN = (0x7B, 0x5B)
_CLOSE = (0x7D, 0x5D)
_QUOTE = 0x22
_BACKSLASH = 0x5C

T = TypeVar("T")
_any_decoder = msgspec.json.Decoder()


def check_limits(data: bytes, where: str, max_bytes: int, max_depth: int = MAX_DEPTH) -> None:
    """Refuse data that is larger or deeper than its protocol ever needs.

    Raises: MalformedMessage.
    """
    if len(data) > max_bytes:
        raise MalformedMessage(where, f"expected at most {max_bytes} bytes, got {len(data)}")
    # Fewer openings than the limit cannot nest deeper: the exact scan is for the rare long message.
    if data.count(b"{") + data.count(b"[") <= max_depth:
        return
    depth = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            if escaped:
                escaped = False
            elif byte == _BACKSLASH:
                escaped = True
            elif byte == _QUOTE:
                in_string = False
        elif byte == _QUOTE:
            in_string = True
        elif byte in _OPEN:
            depth += 1
            if depth > max_depth:
                raise MalformedMessage(where, f"nested deeper than {max_depth}")
        elif byte in _CLOSE:
            depth -= 1


def decode_any(data: bytes, where: str, *, max_bytes: int) -> Any:
    """Any JSON value as Python builtins; duplicate keys: the last one wins.

    Raises: MalformedMessage.
    """
    check_limits(data, where, max_bytes)
    try:
        return _any_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(where, _short(error)) from error


def decode_as(decoder: msgspec.json.Decoder[T], data: bytes, where: str, *, max_bytes: int) -> T:
    """A typed value by a decoder that was built once at import.

    Raises: MalformedMessage.
    """
    check_limits(data, where, max_bytes)
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(where, _short(error)) from error


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= 200 else text[:200] + "…"
