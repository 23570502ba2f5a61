"""Entries and gaps as rows of the journal's one table, and back. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import cbor2
import msgspec

from agent.model.actions import target
from agent.model.errors import MalformedMessage
from agent.model.events import ActionAccepted, ActionFailed, ActionRefused, AnyEvent
from agent.model.records import Entry, Gap, Unknown, from_plain, to_plain

GAP_TYPE = "gap"


class Row(NamedTuple):
    """One row of `entries`; `boot_id` stands for its number in `boots`."""

    boot_id: str
    seq: int
    gap_last: int | None
    at_ns: int
    type: str
    endpoint: str | None
    body: bytes | None


def entry_row(entry: Entry) -> Row:
    """The row of an entry.

    Text that UTF-8 cannot hold (a lone surrogate) is stored with it escaped, rather than not at all.
    Raises: MalformedMessage for an event that is no plain data, which is a bug of whoever published it.
    """
    try:
        plain = to_plain(entry.event)
        try:
            body = cbor2.dumps(plain)
        except UnicodeEncodeError:
            plain = _escaped(plain)
            body = cbor2.dumps(plain)
        kind = plain["type"]
    except (TypeError, ValueError, LookupError, RecursionError, cbor2.CBORError) as error:
        raise MalformedMessage("event", f"not storable: {type(error).__name__}") from error
    endpoint = _endpoint(entry.event)
    return Row(
        entry.boot_id,
        entry.seq,
        None,
        _storable_ns(entry.at_ns),
        type_of(kind),
        endpoint if endpoint is None else _escaped(endpoint),
        body,
    )


def gap_row(gap: Gap, *, boot_id: str, at_ns: int) -> Row:
    """The row that says that entries are missing; `at_ns` is when that was found."""
    return Row(boot_id, gap.first, gap.last, _storable_ns(at_ns), GAP_TYPE, None, None)


def decode_body(body: object) -> AnyEvent | Unknown:
    """The event of a row's body; `Unknown` for one of a newer version.

    Raises: MalformedMessage, and nothing else, for anything that is not such an event, including an
    unknown one that JSON could not show.
    """
    if not isinstance(body, bytes):
        raise MalformedMessage("body", "expected bytes")
    try:
        plain = cbor2.loads(body)
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise MalformedMessage("body", f"not CBOR: {type(error).__name__}") from error
    event = from_plain(plain)
    if isinstance(event, Unknown):
        try:
            msgspec.json.encode(event.raw)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise MalformedMessage("body", f"not plain: {type(error).__name__}") from error
    return event


def type_of(tag: str) -> str:
    """A tag without its version: `lock_changed` of `lock_changed/1`."""
    return tag.partition("/")[0]


def _storable_ns(at_ns: int) -> int:
    """A time that fits a 64-bit column, whatever the clock says."""
    return max(-(1 << 63), min(at_ns, (1 << 63) - 1))


def _endpoint(event: AnyEvent) -> str | None:
    match event:
        case ActionAccepted() | ActionRefused() | ActionFailed():
            return target(event.action)
        case _:
            endpoint: str | None = getattr(event, "endpoint", None)
            return endpoint


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_escaped(key): _escaped(item) for key, item in value.items()}
        case list() | tuple():
            return [_escaped(item) for item in value]
        case _:
            return value
