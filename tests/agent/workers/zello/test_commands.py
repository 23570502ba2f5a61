from __future__ import annotations

import json
from typing import Any

import pytest
from harness.zello_rows import Row, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.workers.zello import commands
from agent.workers.zello.commands import (
    MAX_TEXT_BYTES,
    MAX_TEXT_MESSAGE_BYTES,
    Illegal,
    Keepalive,
    Logon,
    NotJson,
    Request,
    SendImage,
    SendLocation,
    SendText,
    StartStream,
    StopStream,
    decode_request,
    encode_request,
    seq_of,
)
from agent.workers.zello.packets import CodecHeader

ROWS = rows("commands")
NAMES = [
    "logon",
    "start_stream",
    "stop_stream",
    "send_image",
    "send_text_message",
    "send_location",
    "keepalive",
]


def meant(row: Row) -> Any:
    fields = dict(row.with_)
    if "codec" in fields:
        fields["codec"] = CodecHeader(*fields["codec"])
    if "channels" in fields:
        fields["channels"] = tuple(fields["channels"])
    return getattr(commands, row.is_)(**fields)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_a_client_says(row: Row) -> None:
    assert decode_request(row.data) == Request(seq=row.seq, command=meant(row))
    assert decode_request(row.data.decode()) == Request(seq=row.seq, command=meant(row))


@pytest.mark.parametrize("row", [row for row in ROWS if row.both], ids=str)
def test_what_we_say(row: Row) -> None:
    assert row.seq is not None
    assert json.loads(encode_request(meant(row), row.seq)) == row.plain


def test_every_command_has_rows_both_ways() -> None:
    assert {row.plain["command"] for row in ROWS if row.both} == set(NAMES)


@pytest.mark.parametrize("row", rows("malformed"), ids=str)
def test_what_is_no_command(row: Row) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_request(row.data)
    assert type(caught.value).__name__ == row.is_
    assert seq_of(row.data) == row.seq


def test_the_longest_text_arrives_however_it_is_escaped() -> None:
    text = "\x01" * MAX_TEXT_BYTES
    message = encode_request(SendText(text=text, channel="c" * 256), 1)
    assert len(message) > 6 * MAX_TEXT_BYTES
    assert decode_request(message).command == SendText(text=text, channel="c" * 256)


def test_a_longer_text_does_not() -> None:
    told = decode_request(
        json.dumps({"command": "send_text_message", "seq": 1, "text": "é" * (MAX_TEXT_BYTES // 2 + 1)})
    )
    assert isinstance(told.command, Illegal)
    with pytest.raises(NotJson, match="at most"):
        decode_request('{"command":"keepalive","x":"' + "a" * MAX_TEXT_MESSAGE_BYTES + '"}')


@pytest.mark.parametrize(
    "command",
    [
        SendText(text=""),
        SendText(text="a" * (MAX_TEXT_BYTES + 1)),
        SendImage(content_bytes=0, thumbnail_bytes=5),
        SendImage(content_bytes=5),
        StartStream(codec=CodecHeader(70_000, 1, 20)),
        StartStream(codec=CodecHeader(16_000, 0, 20)),
    ],
)
def test_what_we_never_send(command: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode_request(command, 1)


def test_secrets_are_in_no_repr() -> None:
    logon = Logon(username="ana", password="hidden-1", auth_token="hidden-2", refresh_token="hidden-3")
    assert "hidden" not in repr(logon)
    assert "hidden" not in repr(Request(seq=1, command=logon))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    try:
        decode_request(data)
    except MalformedMessage:
        pass
    seq_of(data)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=100))
def test_any_text(text: str) -> None:
    try:
        decode_request(text)
    except MalformedMessage:
        pass
    seq_of(text)


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


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8))
def test_any_fields(name: str, fields: dict[str, Any]) -> None:
    """A field of any type and size never does worse than to count as absent or to make a command illegal."""
    try:
        request = decode_request(json.dumps({**fields, "command": name}))
    except MalformedMessage:
        return
    if not isinstance(request.command, Logon):
        assert repr(request)


name = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
IDS = st.integers(0, 2**32 - 1)
CODEC = st.builds(CodecHeader, st.integers(1, 65_535), st.integers(1, 255), st.integers(1, 255))
WHAT_WE_MAY_SAY = st.one_of(
    st.builds(
        Logon,
        auth_token=name,
        refresh_token=name,
        username=name,
        password=name,
        channels=st.lists(name.filter(bool), unique=True, max_size=4).map(tuple),
        listen_only=st.booleans(),
        version=name,
        platform_type=name,
        platform_name=name,
        language=name,
    ),
    st.builds(StartStream, codec=CODEC, packet_ms=st.integers(0, 1000), channel=name, recipient=name),
    st.builds(StopStream, stream_id=st.none() | IDS, channel=name),
    st.builds(
        SendImage,
        width=st.integers(0, 16_384),
        height=st.integers(0, 16_384),
        source=st.sampled_from(["camera", "library"]),
        content_bytes=st.integers(1, 2**32 - 1),
        thumbnail_bytes=st.integers(1, 2**32 - 1),
        channel=name,
        recipient=name,
    ),
    st.builds(SendText, text=name.filter(bool), channel=name, recipient=name),
    st.builds(
        SendLocation,
        latitude=st.floats(-90, 90),
        longitude=st.floats(-180, 180),
        accuracy_m=st.floats(0, 1e6),
        address=name,
        channel=name,
        recipient=name,
    ),
    st.just(Keepalive()),
)


@settings(deadline=None, max_examples=300)
@given(WHAT_WE_MAY_SAY, IDS)
def test_there_and_back(command: Any, seq: int) -> None:
    assert decode_request(encode_request(command, seq)) == Request(seq=seq, command=command)
