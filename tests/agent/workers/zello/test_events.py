from __future__ import annotations

import json
from typing import Any

import pytest
from harness.zello_rows import Row, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.zello import events
from agent.workers.zello.events import (
    ChannelStatus,
    ErrorTold,
    ImageAnnounced,
    LocationReceived,
    Reply,
    StreamStarted,
    StreamStopped,
    TextReceived,
    UnknownEvent,
    decode_told,
    encode_told,
)
from agent.workers.zello.packets import CodecHeader

ROWS = rows("events")


def meant(row: Row) -> Any:
    fields = dict(row.with_)
    if "codec" in fields:
        fields["codec"] = CodecHeader(*fields["codec"])
    return getattr(events, row.is_)(**fields)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_a_server_says(row: Row) -> None:
    assert decode_told(row.data) == meant(row)
    assert decode_told(row.data.decode()) == meant(row)


@pytest.mark.parametrize("row", [row for row in ROWS if row.both], ids=str)
def test_what_we_say(row: Row) -> None:
    assert json.loads(encode_told(meant(row))) == row.plain


def test_every_event_has_rows_both_ways() -> None:
    kinds: list[type] = [Reply, ChannelStatus, StreamStarted, StreamStopped, ErrorTold]
    kinds += [ImageAnnounced, TextReceived, LocationReceived, UnknownEvent]
    assert {row.is_ for row in ROWS if row.both} == {kind.__name__ for kind in kinds}


@pytest.mark.parametrize("row", [row for row in ROWS if row.both], ids=str)
def test_events_have_no_seq_and_replies_no_command(row: Row) -> None:
    """Clients take anything with a seq for the answer to a request."""
    plain = json.loads(encode_told(meant(row)))
    assert ("seq" in plain) != ("command" in plain)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("no JSON", "hello"),
        ("a list", "[]"),
        ("null", "null"),
        ("neither seq nor command", "{}"),
        ("seq of another kind", '{"seq":"1","success":true}'),
        ("command of another kind", '{"command":5}'),
        ("a stream without its number", '{"command":"on_stream_start","codec_header":"gD4BPA=="}'),
        ("a stop without its number", '{"command":"on_stream_stop","stream_id":null}'),
        ("a number beyond 32 bit", '{"command":"on_stream_stop","stream_id":4294967296}'),
        ("an image without its number", '{"command":"on_image"}'),
        ("a text without text", '{"command":"on_text_message","message_id":1}'),
        ("a place that is none", '{"command":"on_location","message_id":1,"latitude":1}'),
        ("a place off the globe", '{"command":"on_location","message_id":1,"latitude":91,"longitude":0}'),
    ],
)  # fmt: skip
def test_what_is_no_event(row: str, text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode_told(text)


def test_a_refresh_token_is_in_no_repr() -> None:
    assert "hidden" not in repr(Reply(seq=1, refresh_token="hidden"))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    try:
        decode_told(data)
    except MalformedMessage:
        pass


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = sorted({key for row in ROWS for key in row.plain})
NAMES = sorted({row.plain.get("command", "on_nothing") for row in ROWS})


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8), st.none() | st.sampled_from(NAMES))
def test_any_fields(fields: dict[str, Any], name: str | None) -> None:
    plain = fields if name is None else {**fields, "command": name}
    try:
        told = decode_told(json.dumps(plain))
    except MalformedMessage:
        return
    assert repr(told)
    # What could be read can be sent on.
    assert decode_told(encode_told(told)) is not None


name = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
IDS = st.integers(0, 2**32 - 1)
CODEC = st.builds(CodecHeader, st.integers(1, 65_535), st.integers(1, 255), st.integers(1, 255))
SIDES = st.integers(0, 16_384)
WHAT_WE_MAY_SAY = st.one_of(
    st.builds(
        Reply, seq=IDS, error=name, refresh_token=name, stream_id=st.none() | IDS, image_id=st.none() | IDS
    ),
    st.builds(
        ChannelStatus,
        channel=name,
        online=st.booleans(),
        users_online=st.integers(0, 1000),
        images=st.booleans(),
        texts=st.booleans(),
        locations=st.booleans(),
    ),
    st.builds(
        ChannelStatus,
        channel=name,
        online=st.just(False),
        error=name.filter(bool),
        error_type=st.sampled_from(["unknown", "configuration"]),
    ),
    st.builds(
        StreamStarted,
        stream_id=IDS,
        channel=name,
        sender=name,
        codec=CODEC,
        packet_ms=st.integers(0, 1000),
        recipient=name,
    ),
    st.builds(StreamStopped, stream_id=IDS),
    st.builds(ErrorTold, error=name.filter(bool)),
    st.builds(
        ImageAnnounced,
        message_id=IDS,
        channel=name,
        sender=name,
        width=SIDES,
        height=SIDES,
        source=st.sampled_from(["camera", "library"]),
        recipient=name,
    ),
    st.builds(TextReceived, message_id=IDS, channel=name, sender=name, text=name, recipient=name),
    st.builds(
        LocationReceived,
        message_id=IDS,
        channel=name,
        sender=name,
        latitude=st.floats(-90, 90),
        longitude=st.floats(-180, 180),
        accuracy_m=st.floats(0, 1e6),
        address=name,
        recipient=name,
    ),
)


@settings(deadline=None, max_examples=300)
@given(WHAT_WE_MAY_SAY)
def test_there_and_back(told: Any) -> None:
    assert decode_told(encode_told(told)) == told
