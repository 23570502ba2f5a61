"""Values out of a cloud's JSON, which is missing, null or of another type at times: never an error. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Scalar = bool | int | float | str

MAX_TEXT = 512
MAX_ID = 128
MAX_URL = 2048
_MOST = 1 << 53
_TAG = re.compile(r"<[^<>]{0,200}>")


def text(value: object, most: int = MAX_TEXT) -> str:
    """A string without control characters, at most so long; a number as it is written; else empty."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int):
        return str(value) if abs(value) < _MOST else ""
    cut = value[: most + 1]
    if len(cut) > most:
        cut = cut[: most - 1] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)


def identity(value: object) -> str:
    """An id, opaque: empty when it is none. One that is too long would no longer be itself."""
    found = text(value, MAX_ID + 1).strip()
    return found if len(found) <= MAX_ID else ""


def plain(value: object) -> str:
    """A text for people, without markup."""
    return _TAG.sub("", text(value)).strip()


def url(value: object) -> str:
    """A web address, empty for anything else."""
    if not isinstance(value, str) or len(value) > MAX_URL or not value.isprintable() or " " in value:
        return ""
    return value if value.startswith(("https://", "http://")) else ""


def whole(value: object) -> int | None:
    """A whole number that fits; numbers in text count, as some clients send them."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= 16 and value.lstrip("-").isdecimal() and value.isascii():
        value = int(value) if value.count("-") <= 1 else None
    if isinstance(value, float) and abs(value) < _MOST and value == int(value):
        value = int(value)
    return value if isinstance(value, int) and abs(value) < _MOST else None


def flag(value: object) -> bool | None:
    """True or false; also as 0, 1 or word."""
    if isinstance(value, bool):
        return value
    if value in (0, "0", "false"):
        return False
    return True if value in (1, "1", "true") else None


def sub_type(value: object) -> int | str:
    """A number or a word; empty when there is none."""
    number = whole(value)
    return text(value, 64) if number is None else number


def thing(value: object) -> Json:
    """An object, empty for anything else."""
    return value if isinstance(value, dict) else {}


def things(value: object, most: int) -> list[Json]:
    """The objects of a list, at most so many."""
    if not isinstance(value, list):
        return []
    return [item for item in value[:most] if isinstance(item, dict)]


def scalars(values: Mapping[str, object], most: int = 64) -> dict[str, Scalar]:
    """What is no list, no object and not null, at most so many of them."""
    found: dict[str, Scalar] = {}
    for key, value in values.items():
        if len(found) >= most:
            break
        if len(key) > 64:
            continue
        if isinstance(value, int | float) and abs(value) < _MOST:  # True and False are numbers, too
            found[key] = value
        elif isinstance(value, str):
            found[key] = url(value) if key.endswith("_url") else text(value)
    return found
