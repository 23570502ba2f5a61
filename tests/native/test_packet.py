from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import native
from native import Codec, CodecError, PacketHeader, Status, packet_us, parse_packet
from native._voice import ffi, lib

U32 = st.integers(0, 2**32 - 1)


def packets() -> st.SearchStrategy[bytes]:
    """Any bytes, and bytes that get past the header."""
    audio = st.builds(lambda rest: b"\x01" + rest, st.binary(max_size=200))
    return st.binary(max_size=200) | audio


def read_with_c(packet: bytes) -> tuple[PacketHeader, bytes] | Status:
    out: Any = ffi.new("struct dv_packet *")
    held = ffi.from_buffer(packet)
    status = lib.dv_packet_parse(ffi.cast("const uint8_t *", held), len(packet), out)  # type: ignore[arg-type]
    if status != Status.OK:
        return Status(status)
    payload = ffi.buffer(out.payload, out.payload_len)[:]
    return PacketHeader(out.header.stream_id, out.header.packet_id), payload


def read_with_python(packet: bytes) -> tuple[PacketHeader, bytes] | Status:
    try:
        return parse_packet(packet)
    except CodecError as error:
        return error.status


@given(packets())
def test_c_and_python_parse_alike(packet: bytes) -> None:
    assert read_with_c(packet) == read_with_python(packet)


@pytest.mark.parametrize("length", [0, 9, 10, native.PACKET_MAX_BYTES, native.PACKET_MAX_BYTES + 1])
def test_c_and_python_draw_the_same_limits(length: int) -> None:
    packet = b"\x01" * length
    expected: object = {
        0: Status.TOO_SHORT,
        9: Status.TOO_SHORT,
        native.PACKET_MAX_BYTES + 1: Status.TOO_LONG,
    }.get(length, (PacketHeader(0x01010101, 0x01010101), packet[9:]))
    assert read_with_c(packet) == expected
    assert read_with_python(packet) == expected


@given(U32, U32, st.binary(min_size=1, max_size=50))
def test_parse_reads_what_struct_packs(stream_id: int, packet_id: int, payload: bytes) -> None:
    packet = struct.pack(">BII", 1, stream_id, packet_id) + payload
    assert parse_packet(packet) == (PacketHeader(stream_id, packet_id), payload)


def decode(codec: Codec, packet: bytes) -> tuple[PacketHeader, bytes] | Status:
    try:
        return codec.decode_packet(packet)
    except CodecError as error:
        return error.status


def duration_us(packet: bytes) -> int | Status:
    try:
        return packet_us(packet)
    except CodecError as error:
        return error.status


@given(packets())
def test_packet_us_is_what_decoding_gives(packet: bytes) -> None:
    match duration_us(packet), decode(Codec(48_000), packet):
        case Status() as refused, decoded:
            assert decoded is refused
        case expected, (_, bytes(pcm)):
            assert len(pcm) * 1_000_000 == expected * 48_000 * 2
        case _, status:
            assert status is Status.PAYLOAD  # the TOC is good, what follows is not


@pytest.mark.parametrize("config", range(32))
def test_packet_us_knows_every_toc(config: int) -> None:
    # An empty frame is legal: the sender had nothing to say.
    one = bytes([1, *bytes(8), config << 3])
    assert packet_us(one) * 48_000 * 2 == len(Codec(48_000).decode_packet(one)[1]) * 1_000_000
    two = bytes([1, *bytes(8), config << 3 | 1])
    assert packet_us(two) == 2 * packet_us(one)
