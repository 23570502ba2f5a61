"""Zello's binary messages and the codec header: bytes to values and back.

    voice  u8 1 | u32 stream id   | u32 packet id | one Opus packet
    image  u8 2 | u32 image id    | u32 part (1 full, 2 thumbnail) | JPEG

Numbers are big-endian. Source: Zello Channel API, "Stream data", "Image data"; codec header: "start_stream".
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final, Literal

from msgspec import Struct

from agent.model.errors import LocalProtocolError, MalformedMessage

HEADER_BYTES: Final = 9
MAX_VOICE_BYTES: Final = 4096
MAX_IMAGE_BYTES: Final = 1024 * 1024
VOICE: Final = 1
IMAGE: Final = 2
_HEADER: Final = struct.Struct(">BII")
_CODEC: Final = struct.Struct("<HBB")
_MAX_CODEC_CHARS = 16

ImagePart = Literal["full", "thumbnail"]
_PARTS: dict[int, ImagePart] = {1: "full", 2: "thumbnail"}
_PART_NUMBERS = {name: number for number, name in _PARTS.items()}


class VoicePacket(Struct, frozen=True, gc=False):
    """One Opus packet of a stream; `data` is the whole message, header included."""

    stream_id: int
    packet_id: int
    data: bytes

    @property
    def payload(self) -> bytes:
        """The Opus packet; empty when a sender forgot it."""
        return self.data[HEADER_BYTES:]


class ImagePacket(Struct, frozen=True, gc=False):
    """One whole part of an image."""

    image_id: int
    part: ImagePart
    jpeg: bytes


class OtherPacket(Struct, frozen=True, gc=False):
    """A binary message of a type that nobody has documented."""

    kind: int


def decode_packet(data: bytes) -> VoicePacket | ImagePacket | OtherPacket:
    """A binary message. Raises: MalformedMessage when it is too short or too long for what it says to be."""
    if len(data) < HEADER_BYTES:
        raise MalformedMessage("packet", f"expected at least {HEADER_BYTES} bytes, got {len(data)}")
    kind, stream, number = _HEADER.unpack_from(data)
    if kind == VOICE:
        if len(data) > MAX_VOICE_BYTES:
            raise MalformedMessage(
                "voice packet", f"expected at most {MAX_VOICE_BYTES} bytes, got {len(data)}"
            )
        return VoicePacket(stream, number, data)
    if kind == IMAGE:
        part = _PARTS.get(number)
        if part is None:
            raise MalformedMessage("image packet", f"expected part 1 or 2, got {number}")
        if len(data) > HEADER_BYTES + MAX_IMAGE_BYTES:
            raise MalformedMessage(
                "image packet", f"expected at most {MAX_IMAGE_BYTES} bytes, got {len(data)}"
            )
        return ImagePacket(stream, part, data[HEADER_BYTES:])
    return OtherPacket(kind)


def voice_packet(stream_id: int, packet_id: int, payload: bytes) -> bytes:
    """A voice message. Raises: LocalProtocolError for ids beyond 32 bit or an empty payload."""
    return _message(VOICE, stream_id, packet_id, payload)


def image_packet(image_id: int, part: ImagePart, jpeg: bytes) -> bytes:
    """An image message. Raises: LocalProtocolError as above."""
    return _message(IMAGE, image_id, _PART_NUMBERS[part], jpeg)


def _message(kind: int, first: int, second: int, payload: bytes) -> bytes:
    if not payload:
        raise LocalProtocolError("a message of Zello has a payload")
    try:
        return _HEADER.pack(kind, first, second) + payload
    except struct.error as error:
        raise LocalProtocolError(f"ids of 32 bit, got {first} and {second}") from error


class CodecHeader(Struct, frozen=True):
    """What a sender announces of its stream; often wrong, so that time is told by each packet's own TOC."""

    sample_rate_hz: int = 16_000
    frames_per_packet: int = 1
    frame_ms: int = 20

    @property
    def packet_ms(self) -> int:
        """Sound per packet, if the sender tells the truth."""
        return self.frames_per_packet * self.frame_ms


def decode_codec_header(text: object) -> CodecHeader:
    """From base64. Raises: MalformedMessage when it is not base64 of four bytes, or holds a zero."""
    if not isinstance(text, str) or len(text) > _MAX_CODEC_CHARS:
        raise MalformedMessage("codec_header", "expected a short base64 text")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedMessage("codec_header", "not base64") from error
    if len(raw) != _CODEC.size:
        raise MalformedMessage("codec_header", f"expected 4 bytes, got {len(raw)}")
    rate, frames, frame_ms = _CODEC.unpack(raw)
    if not (rate and frames and frame_ms):
        raise MalformedMessage("codec_header", "rate, frames and duration are above zero")
    return CodecHeader(rate, frames, frame_ms)


def encode_codec_header(header: CodecHeader) -> str:
    """As base64 with padding. Raises: LocalProtocolError when a field does not fit, or is zero."""
    if not (header.sample_rate_hz and header.frames_per_packet and header.frame_ms):
        raise LocalProtocolError(f"codec header with a zero: {header}")
    try:
        return base64.b64encode(
            _CODEC.pack(header.sample_rate_hz, header.frames_per_packet, header.frame_ms)
        ).decode("ascii")
    except struct.error as error:
        raise LocalProtocolError(f"codec header out of range: {header}") from error
