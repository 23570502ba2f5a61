"""Frames of Portero IO."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.errors import MalformedFrame
from hw.io_frame import (
    MAX_ENCODED,
    MAX_FRAME,
    MAX_PAYLOAD,
    Deframer,
    cobs_decode,
    cobs_encode,
    decode_frame,
    encode_frame,
)

payloads = st.binary(min_size=1, max_size=MAX_PAYLOAD)
RANDOM_BYTES = 41_472_000  # an hour of 115200 baud


# By hand, from the definition of COBS: a block is its length plus one and its bytes, a zero ends it.
@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"", b"\x01"), (b"\0", b"\x01\x01"), (b"\0\0", b"\x01\x01\x01"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01"), (b"x" * 253, b"\xfe" + b"x" * 253),
        (b"x" * 255, b"\xff" + b"x" * 254 + b"\x02x"),
    ],
)  # fmt: skip
def test_cobs(data: bytes, encoded: bytes) -> None:
    assert cobs_encode(data) == encoded
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize("encoded", [b"\x02", b"\x05abc", b"\x01\x00", b"\x02\0", b"\xffabc"])
def test_what_is_no_cobs(encoded: bytes) -> None:
    with pytest.raises(MalformedFrame):
        cobs_decode(encoded)


def test_a_known_frame() -> None:
    """The check value of CRC-32, as docs/portero-io.md has it."""
    assert encode_frame(b"123456789") == bytes.fromhex("00 0E 313233343536373839 CBF43926 00")


def test_bounds() -> None:
    longest = encode_frame(b"x" * MAX_PAYLOAD)
    assert len(longest) == MAX_FRAME
    assert Deframer().feed(longest) == [b"x" * MAX_PAYLOAD]
    for payload in (b"", b"x" * (MAX_PAYLOAD + 1)):
        with pytest.raises(ValueError, match="bytes of payload"):
            encode_frame(payload)
    with pytest.raises(MalformedFrame, match="too long"):
        decode_frame(b"\x01" * (MAX_ENCODED + 1))
    for short in (b"", b"\x01\x01\x01\x01"):
        with pytest.raises(MalformedFrame, match="too short"):
            decode_frame(short)


@given(st.binary(max_size=1200))
def test_cobs_gives_back_any_bytes(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + 1 + len(data) // 254
    assert cobs_decode(encoded) == data


@given(st.binary(max_size=600))
def test_any_bytes_are_a_payload_or_malformed(data: bytes) -> None:
    try:
        payload = decode_frame(data)
    except MalformedFrame:
        return
    assert 0 < len(payload) <= MAX_PAYLOAD


@given(st.lists(st.binary(max_size=40) | payloads.map(encode_frame), max_size=8), st.data())
def test_any_split_gives_the_same(parts: list[bytes], draw: st.DataObject) -> None:
    data = b"".join(parts)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    whole, split = Deframer(), Deframer()
    told = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        told += split.feed(data[begin:end])
        assert len(split._encoded) <= MAX_ENCODED
    assert told == whole.feed(data)
    assert (split.refused, split.noise) == (whole.refused, whole.noise)


@given(st.binary(max_size=600), payloads)
def test_a_frame_is_read_after_any_noise(noise: bytes, payload: bytes) -> None:
    assert Deframer().feed(noise + encode_frame(payload))[-1] == payload


@given(payloads, st.data())
def test_a_flipped_bit_is_no_frame(payload: bytes, draw: st.DataObject) -> None:
    frame = bytearray(encode_frame(payload))
    bit = draw.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    assert Deframer().feed(bytes(frame) + encode_frame(b"next")) == [b"next"]


def test_every_flip_of_every_bit_of_a_frame() -> None:
    frame = encode_frame(bytes.fromhex("8602 1A 0001 0002 03 00 F5 1903E8".replace(" ", "")))
    for bit in range(len(frame) * 8):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        assert Deframer().feed(b"\0" + bytes(broken) + b"\0") == [], bit


def test_random_bytes_are_no_frame() -> None:
    """A checksum of 32 bits and one zero in 256 bytes: one frame of chance in 256 * 2**32 bytes."""
    assert zlib.crc32(b"123456789") == 0xCBF43926
    deframer = Deframer()
    rng = random.Random(11)
    for _ in range(RANDOM_BYTES // 100_000):
        assert deframer.feed(rng.randbytes(100_000)) == []
    assert deframer.refused > RANDOM_BYTES // 512
