"""Messages of Portero IO."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import get_args

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.errors import MalformedFrame
from hw.io_firmware import Firmware
from hw.io_frame import MAX_PAYLOAD, Deframer, encode_frame
from hw.io_wire import (
    MAX_CHANNELS,
    Ack,
    Beat,
    DeviceMessage,
    End,
    Ended,
    Hello,
    HostMessage,
    InputAck,
    InputChanged,
    Kind,
    Message,
    Nack,
    Reason,
    SetOutput,
    State,
    Welcome,
    decode_device,
    decode_host,
    encode,
)

# The examples of docs/portero-io.md, byte by byte.
TABLE: list[tuple[Message, str]] = [
    (Hello(1, 0x1234ABCD), "83 01 01 1A1234ABCD"),
    (SetOutput(0x70001, 3, 0, True, 5000), "86 02 1A00070001 03 00 F5 191388"),
    (SetOutput(0x70001, 4, 0, False, 0), "86 02 1A00070001 04 00 F4 00"),
    (Beat(0x70001, 9, 8), "84 03 1A00070001 09 08"),
    (InputAck(0x70001, 1), "83 04 1A00070001 01"),
    (End(0x70001), "82 05 1A00070001"),
    (
        Welcome(1, 0x1234ABCD, 0x70001, "porch", "1.0", 7, (Kind.RELAY, Kind.INPUT, Kind.LAMP), 2, 30000),
        "8A 11 01 1A1234ABCD 1A00070001 65706F726368 63312E30 07 83010203 02 197530",
    ),
    (Ack(0x70001, 3), "83 12 1A00070001 03"),
    (Nack(0x70001, 3, Reason.BAD_TIME), "84 13 1A00070001 03 03"),
    (InputChanged(0x70001, 1, 1, True), "85 14 1A00070001 01 01 F5"),
    (State(0x70001, 8, 9, 3), "85 15 1A00070001 08 09 03"),
    (Ended(0x70001), "82 16 1A00070001"),
]
DOCUMENT = Path(__file__).parents[2] / "docs" / "portero-io.md"
numbers = st.integers(0, 2**32 - 1)
sessions = st.integers(0, 2**48 - 1)
channels = st.integers(0, MAX_CHANNELS - 1)
host_messages: st.SearchStrategy[HostMessage] = st.one_of(
    st.builds(Hello, numbers, numbers),
    st.builds(SetOutput, sessions, numbers, channels, st.booleans(), numbers),
    st.builds(Beat, sessions, numbers, numbers),
    st.builds(InputAck, sessions, numbers),
    st.builds(End, sessions),
)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=32)
device_messages: st.SearchStrategy[DeviceMessage] = st.one_of(
    st.builds(
        Welcome, numbers, numbers, sessions, texts, texts, numbers,
        st.lists(st.sampled_from(Kind), max_size=MAX_CHANNELS).map(tuple), numbers, numbers,
    ),
    st.builds(Ack, sessions, numbers),
    st.builds(Nack, sessions, numbers, st.sampled_from(Reason)),
    st.builds(InputChanged, sessions, numbers, channels, st.booleans()),
    st.builds(State, sessions, numbers, numbers, numbers),
    st.builds(Ended, sessions),
)  # fmt: skip


@pytest.mark.parametrize(("message", "payload"), TABLE)
def test_table(message: Message, payload: str) -> None:
    data = bytes.fromhex(payload)
    assert encode(message) == data
    ours, others = (decode_host, decode_device)[:: 1 if isinstance(message, HostMessage) else -1]
    assert ours(data) == message
    with pytest.raises(MalformedFrame):
        others(data)


def test_the_table_has_every_message() -> None:
    assert {type(message) for message, _ in TABLE} == {*get_args(HostMessage), *get_args(DeviceMessage)}


def test_the_conversation_of_the_document_is_what_the_reference_says() -> None:
    text = DOCUMENT.read_text()
    lines = text[text.index("```frames") :].split("```")[1].splitlines()[1:]
    firmware = Firmware((Kind.RELAY, Kind.INPUT, Kind.LAMP), device="porch", firmware="1.0", boots=7)
    waiting: list[bytes] = []
    seen: list[str] = []
    for line in lines:
        side, digits = re.fullmatch(r"(host|device) +((?:[0-9A-F]{2} )+) +.*", line).groups()  # type: ignore[union-attr]
        data = bytes.fromhex(digits)
        (payload,) = Deframer().feed(data)
        seen.append(side)
        if side == "host":
            assert waiting == [], "everything that the device said stands there"
            assert encode_frame(encode(decode_host(payload))) == data
            waiting += firmware.receive(data, 1.0)
        else:
            if isinstance(decode_device(payload), InputChanged):
                waiting += firmware.move(1, True, 1.0)
                waiting = [one for one in waiting if one != waiting[0]]  # the state
            assert waiting.pop(0) == data
    assert seen.count("host") == 6


@given(host_messages)
def test_what_the_host_says_round_trips(message: HostMessage) -> None:
    assert decode_host(encode(message)) == message


@given(device_messages)
def test_what_the_device_says_round_trips(message: DeviceMessage) -> None:
    payload = encode(message)
    assert len(payload) <= MAX_PAYLOAD
    assert decode_device(payload) == message
    assert Deframer().feed(encode_frame(payload)) == [payload]


@pytest.mark.parametrize(
    "payload",
    [
        "", "80", "01", "8301", "82051A00070001 00", "8305 00 00", "8105", "820500FF", "8217 00",
        "82 05 20", "82 05 C24100", "82 05 FA00000000", "82 05 F6", "82 05 A0", "82 05 4100", "9F 05 00 FF",
        "82 05 5F FF", "82 05 1B0001000000000000", "82 05 1BFFFFFFFFFFFFFFFF", "82 05 1C", "82 05 1A0000",
        "86 02 00 03 20 F5 00", "86 02 00 03 1820 F5 00", "86 02 00 03 00 01 00", "84 02 00 03 00",
        "82 05 7BFFFFFFFFFFFFFFFF", "82 05 9BFFFFFFFFFFFFFFFF", "82 05 D81C00", "82 05 C48201 02",
    ],
)  # fmt: skip
def test_what_is_malformed(payload: str) -> None:
    for decode in (decode_host, decode_device):
        with pytest.raises(MalformedFrame):
            decode(bytes.fromhex(payload))


def test_depth_and_size() -> None:
    for payload in (b"\x81" * 200 + b"\0", b"\x82" * 249, b"\x81" * MAX_PAYLOAD * 2, b"\x84\x82" * 100):
        with pytest.raises(MalformedFrame):
            decode_host(payload)
    for text in ("63FFFFFF", "62C328"):
        with pytest.raises(MalformedFrame):
            decode_device(bytes.fromhex(f"8A 11 01 00 00 {text} 60 00 80 00 00"))


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.integers(-(2**64), 2**64) | st.booleans() | st.text(max_size=5) | st.none() | st.floats(),
        lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.integers(0, 9), inner, max_size=3),
    ).map(cbor2.dumps)
)
def test_any_bytes_are_a_message_or_malformed(payload: bytes) -> None:
    for decode in (decode_host, decode_device):
        try:
            message = decode(payload)
        except MalformedFrame:
            continue
        assert decode(encode(message)) == message


def test_many_bytes_of_chance_are_a_message_or_malformed() -> None:
    rng = random.Random(5)
    known = [bytes.fromhex(payload) for _, payload in TABLE]
    for _ in range(20_000):
        payload = bytearray(rng.choice(known))
        for _ in range(rng.randrange(1, 4)):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        for decode in (decode_host, decode_device):
            try:
                decode(bytes(payload))
            except MalformedFrame:
                pass
