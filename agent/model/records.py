"""Entries of the event log, and their plain form for CBOR and JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.model.events import AnyEvent


class Entry(Struct, frozen=True, kw_only=True):
    """An event with its place in history.

    seq: consecutive from 1, resuming after the last one stored; identity is (boot_id, seq), because a
    power cut can take an unflushed tail whose numbers are then given again.
    at_ns: UTC nanoseconds, as the clock said it; it may jump.
    """

    boot_id: str
    seq: int
    at_ns: int
    event: AnyEvent


class Gap(Struct, frozen=True, kw_only=True):
    """Entries first..last (inclusive) are gone for this reader."""

    first: int
    last: int


class Unknown(Struct, frozen=True, kw_only=True):
    """An event stored by a newer version: kept and shown, never guessed at."""

    raw: dict[str, Any]


def to_plain(event: AnyEvent) -> dict[str, Any]:
    """The event as a tagged dict of str, int, float, bool, None, list and dict."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain


def from_plain(plain: object) -> AnyEvent | Unknown:
    """The event of a tagged dict; `Unknown` for a tag of another version.

    Raises: MalformedMessage when it is no tagged dict or its fields do not fit.
    """
    if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
        raise MalformedMessage("event", "expected a tagged map")
    if plain["type"] not in _TAGS:
        return Unknown(raw=plain)
    try:
        event: AnyEvent = msgspec.convert(plain, AnyEvent)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise MalformedMessage("event", str(error)) from error
    return event


_TAGS = frozenset(cls.__struct_config__.tag for cls in AnyEvent.__args__)
