from __future__ import annotations

import base64
from typing import Any

import pytest
from harness.zello_rows import Row, rows
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.workers.zello.packets import (
    HEADER_BYTES,
    MAX_IMAGE_BYTES,
    MAX_VOICE_BYTES,
    CodecHeader,
    ImagePacket,
    OtherPacket,
    VoicePacket,
    decode_codec_header,
    decode_packet,
    encode_codec_header,
    image_packet,
    voice_packet,
)

HEADERS = [
    ("gD4BPA==", CodecHeader(16_000, 1, 60)),
    ("gD4BFA==", CodecHeader(16_000, 1, 20)),
    ("wF0BPA==", CodecHeader(24_000, 1, 60)),
    ("gLsBFA==", CodecHeader(48_000, 1, 20)),
    ("QB8BFA==", CodecHeader(8_000, 1, 20)),
    ("gD4CFA==", CodecHeader(16_000, 2, 20)),
]


@pytest.mark.parametrize("row", rows("packets"), ids=str)
def test_binary_messages(row: Row) -> None:
    fields: dict[str, Any] = row.with_
    match row.is_:
        case "VoicePacket":
            packet = decode_packet(row.data)
            assert isinstance(packet, VoicePacket)
            payload = bytes.fromhex(fields["payload"])
            assert (packet.stream_id, packet.packet_id, packet.payload) == (
                fields["stream_id"], fields["packet_id"], payload,
            )  # fmt: skip
            assert packet.data == row.data
            if row.both:
                assert voice_packet(packet.stream_id, packet.packet_id, payload) == row.data
        case "ImagePacket":
            jpeg = bytes.fromhex(fields["jpeg"])
            assert decode_packet(row.data) == ImagePacket(fields["image_id"], fields["part"], jpeg)
            assert image_packet(fields["image_id"], fields["part"], jpeg) == row.data
        case "OtherPacket":
            assert decode_packet(row.data) == OtherPacket(fields["kind"])
        case _:
            with pytest.raises(MalformedMessage):
                decode_packet(row.data)


def test_the_largest_that_is_taken() -> None:
    voice = b"\x01" + bytes(MAX_VOICE_BYTES - 1)
    image = bytes([2, 0, 0, 0, 1, 0, 0, 0, 1]) + bytes(MAX_IMAGE_BYTES)
    assert isinstance(decode_packet(voice), VoicePacket)
    assert isinstance(decode_packet(image), ImagePacket)
    for larger in (voice + b"\0", image + b"\0"):
        with pytest.raises(MalformedMessage, match="at most"):
            decode_packet(larger)


@pytest.mark.parametrize(
    ("stream_id", "packet_id", "payload"), [(1, 1, b""), (2**32, 1, b"x"), (1, -1, b"x")]
)
def test_voice_that_we_never_send(stream_id: int, packet_id: int, payload: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        voice_packet(stream_id, packet_id, payload)


@pytest.mark.parametrize(("image_id", "jpeg"), [(2**32, b"x"), (1, b"")])
def test_images_that_we_never_send(image_id: int, jpeg: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        image_packet(image_id, "full", jpeg)


@pytest.mark.parametrize(("text", "header"), HEADERS)
def test_codec_headers(text: str, header: CodecHeader) -> None:
    assert decode_codec_header(text) == header
    assert decode_codec_header(text.rstrip("=")) == header
    assert encode_codec_header(header) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        b"gD4BPA==",
        "",
        "gD4B",
        "gD4BPDw8",
        "?D4BPA==",
        "gD4BPA==" * 3,
        "AAABPA==",
        "gD4APA==",
        "gD4BAA==",
        "é" * 8,
    ],
)
def test_codec_headers_that_are_none(text: object) -> None:
    with pytest.raises(MalformedMessage):
        decode_codec_header(text)


@pytest.mark.parametrize(
    "header", [(65_536, 1, 20), (16_000, 256, 20), (16_000, 1, -1), (0, 1, 20), (16_000, 1, 0)]
)
def test_codec_headers_that_we_never_send(header: tuple[int, int, int]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_codec_header(CodecHeader(*header))


def test_the_announced_duration_counts_all_frames() -> None:
    assert CodecHeader(16_000, 3, 20).packet_ms == 60


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40))
@example(b"\x02" + bytes(8))
def test_any_bytes(data: bytes) -> None:
    try:
        packet = decode_packet(data)
    except MalformedMessage:
        return
    assert len(data) >= HEADER_BYTES
    if isinstance(packet, VoicePacket) and packet.payload:
        assert voice_packet(packet.stream_id, packet.packet_id, packet.payload) == data
    if isinstance(packet, ImagePacket) and packet.jpeg:
        assert image_packet(packet.image_id, packet.part, packet.jpeg) == data


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.text(max_size=20),
        st.binary(max_size=6).map(lambda raw: base64.b64encode(raw).decode()),
        st.integers(),
    )
)
def test_any_codec_header(text: object) -> None:
    try:
        header = decode_codec_header(text)
    except MalformedMessage:
        return
    assert decode_codec_header(encode_codec_header(header)) == header


@settings(deadline=None)
@given(st.integers(1, 65_535), st.integers(1, 255), st.integers(1, 255))
def test_codec_headers_there_and_back(rate_hz: int, frames: int, frame_ms: int) -> None:
    header = CodecHeader(rate_hz, frames, frame_ms)
    assert decode_codec_header(encode_codec_header(header)) == header
