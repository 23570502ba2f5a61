"""What a voice packet tells before it is decoded: whose it is, where it belongs, how long it lasts.

In Python on purpose: nine bytes are unpacked here in half the time of a call into C.

Source: Zello Channel API, "Stream data", for the header; RFC 6716 for the Opus payload.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from native._voice import lib
from native.status import CodecError, Status

PACKET_MAX_BYTES: Final = lib.DV_PACKET_MAX_BYTES
PACKET_MAX_US: Final = 120_000

_HEADER_BYTES: Final = lib.DV_HEADER_BYTES
_PACKET_MIN_BYTES: Final = lib.DV_PACKET_MIN_BYTES
_TYPE_AUDIO: Final = 1
# By the upper five bits of the TOC: speech, both coders at once, music.
_FRAME_US: Final = (
    (10_000, 20_000, 40_000, 60_000) * 3 + (10_000, 20_000) * 2 + (2_500, 5_000, 10_000, 20_000) * 4
)

unpack_ids = struct.Struct(">xII").unpack_from  # the type byte is looked at by itself


class PacketHeader(msgspec.Struct, frozen=True, gc=False):
    """Whose sound it is and where in the stream it belongs; both 32 bit, unsigned."""

    stream_id: int
    packet_id: int


def parse_packet(packet: bytes) -> tuple[PacketHeader, bytes]:
    """The header of a voice packet and a copy of its Opus payload, which is not looked at.

    Raises: CodecError for TOO_SHORT, TOO_LONG or TYPE, as `dv_packet_parse` would.
    """
    if len(packet) < _PACKET_MIN_BYTES:
        raise CodecError(Status.TOO_SHORT)
    if len(packet) > PACKET_MAX_BYTES:
        raise CodecError(Status.TOO_LONG)
    if packet[0] != _TYPE_AUDIO:
        raise CodecError(Status.TYPE)
    stream_id, packet_id = unpack_ids(packet)
    return PacketHeader(stream_id, packet_id), packet[_HEADER_BYTES:]


def packet_us(packet: bytes) -> int:
    """Microseconds of sound in a voice packet, 2500..120000, as the TOC of its Opus payload says.

    The payload behind the TOC and the count of frames is not looked at.

    Raises: CodecError for TOO_SHORT, TOO_LONG, TYPE, or PAYLOAD when it is no Opus packet.
    Source: RFC 6716, section 3.1 and 3.2.5.
    """
    if len(packet) < _PACKET_MIN_BYTES:
        raise CodecError(Status.TOO_SHORT)
    if len(packet) > PACKET_MAX_BYTES:
        raise CodecError(Status.TOO_LONG)
    if packet[0] != _TYPE_AUDIO:
        raise CodecError(Status.TYPE)
    toc = packet[_HEADER_BYTES]
    match toc & 3:
        case 0:
            frames = 1
        case 1 | 2:
            frames = 2
        case _:
            frames = packet[_HEADER_BYTES + 1] & 0x3F if len(packet) > _PACKET_MIN_BYTES else 0
    duration_us = frames * _FRAME_US[toc >> 3]
    if not 0 < duration_us <= PACKET_MAX_US:
        raise CodecError(Status.PAYLOAD)
    return duration_us
