"""Fields of foreign JSON objects: a value of the wrong type, or beyond its bound, counts as absent."""

from __future__ import annotations

from typing import Any

MAX_ID = 2**32 - 1
_MAX_NUMBER = 1e15


def text_of(plain: dict[str, Any], key: str, max_chars: int) -> str:
    """A text; empty when absent, of another type, or too long to be meant."""
    value = plain.get(key)
    return clean(value) if isinstance(value, str) and len(value) <= max_chars else ""


def clean(text: str) -> str:
    """Without lone surrogates, which cannot be sent on."""
    return text.encode("utf-8", "replace").decode()


def id_of(plain: dict[str, Any], key: str) -> int | None:
    """An unsigned 32-bit number."""
    value = plain.get(key)
    return value if type(value) is int and 0 <= value <= MAX_ID else None


def size_of(plain: dict[str, Any], key: str, maximum: int) -> int:
    """A whole number of 0..maximum, also when written as 20.0; else 0."""
    number = number_of(plain, key)
    return int(number) if number is not None and number.is_integer() and 0 <= number <= maximum else 0


def number_of(plain: dict[str, Any], key: str) -> float | None:
    """A finite number of a bearable size."""
    value = plain.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MAX_NUMBER else None
