"""Rows hold every event, and any bytes are an event or MalformedMessage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cbor2
import pytest
from harness.journals import EVENTS, VOICE_EVENTS, entries
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.rows import decode_body, entry_row, gap_row
from agent.model.errors import MalformedMessage
from agent.model.events import AccessDenied, AnyEvent, ButtonPressed
from agent.model.records import Entry, Gap, Unknown

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("event", [*EVENTS, *VOICE_EVENTS], ids=lambda event: type(event).__name__)
def test_every_event_comes_back(event: AnyEvent) -> None:
    row = entry_row(entries([event])[0])
    assert decode_body(row.body) == event
    assert "/" not in row.type


def test_the_sample_has_every_event() -> None:
    assert {type(event) for event in (*EVENTS, *VOICE_EVENTS)} == set(AnyEvent.__args__)


@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [
        ("lock_changed", "door"),
        ("action_accepted", "door"),
        ("action_refused", "call"),
        ("agent_started", None),
    ],
)
def test_the_endpoint_is_told(kind: str, endpoint: str | None) -> None:
    rows = [entry_row(entry) for entry in entries(EVENTS)]
    assert next(row for row in rows if row.type == kind).endpoint == endpoint


def test_text_that_is_no_unicode_is_kept_escaped() -> None:
    event = AccessDenied(worker="web", peer="p", account="x\ud800y", reason="r")
    decoded = decode_body(entry_row(entries([event])[0]).body)
    assert decoded == AccessDenied(worker="web", peer="p", account="x\\ud800y", reason="r")
    row = entry_row(entries([ButtonPressed(endpoint="\udfff")])[0])
    assert row.endpoint == "\\udfff"


@dataclass
class Odd:
    """Nothing that an event may hold."""

    value: object


@pytest.mark.parametrize("value", [object(), Odd(object()), lambda: None])
def test_an_event_that_is_no_data_is_told(value: object) -> None:
    event = ButtonPressed(endpoint=cast(Any, value))
    with pytest.raises(MalformedMessage):
        entry_row(entries([event])[0])


@pytest.mark.parametrize("at_ns", [1 << 70, -(1 << 70)])
def test_an_absurd_clock_fits_the_column(at_ns: int) -> None:
    row = entry_row(Entry(boot_id="b", seq=1, at_ns=at_ns, event=EVENTS[0]))
    assert -(1 << 63) <= row.at_ns < 1 << 63
    assert -(1 << 63) <= gap_row(Gap(first=1, last=2), boot_id="b", at_ns=at_ns).at_ns < 1 << 63


def test_a_newer_event_is_shown_raw() -> None:
    body = cbor2.dumps({"type": "lock_changed/9", "mood": "sulking"})
    assert decode_body(body) == Unknown(raw={"type": "lock_changed/9", "mood": "sulking"})


@pytest.mark.parametrize(
    "body",
    [
        None,
        "text",
        b"",
        b"\xff",
        cbor2.dumps([]),
        cbor2.dumps({"type": 5}),
        cbor2.dumps({"type": "lock_changed/1"}),
        cbor2.dumps({"type": "lock_changed/1", "endpoint": "door", "state": "ajar"}),
        cbor2.dumps({"type": "new/1", "what": cbor2.CBORTag(4000, 1)}),
        b"\xa2\x64type\x65new/1\x61x" + b"\x81" * 5000 + b"\x00",
        # An array that contains itself, by a shared reference.
        b"\xa2\x64type\x65new/1\x61x\xd8\x1c\x81\xd8\x1d\x00",
    ],
)
def test_what_is_no_event_is_malformed(body: object) -> None:
    with pytest.raises(MalformedMessage):
        decode_body(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_malformed(body: bytes) -> None:
    try:
        decode_body(body)
    except MalformedMessage:
        pass


@given(st.dictionaries(st.text(), PLAIN, max_size=5), st.sampled_from(EVENTS), st.booleans())
def test_any_map_is_an_event_or_malformed(extra: dict[str, Any], event: AnyEvent, known: bool) -> None:
    plain = {**cbor2.loads(cast(bytes, entry_row(entries([event])[0]).body)), **extra}
    plain["type"] = plain["type"] if known else "new/1"
    try:
        decode_body(cbor2.dumps(plain))
    except MalformedMessage:
        pass


@given(st.sampled_from(EVENTS), st.data())
def test_a_flipped_byte_is_an_event_or_malformed(event: AnyEvent, data: st.DataObject) -> None:
    body = bytearray(cast(bytes, entry_row(entries([event])[0]).body))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_body(bytes(body))
    except MalformedMessage:
        pass
