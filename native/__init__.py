"""The door's C library: an Opus codec whose calls make and read whole voice packets."""

from native.voice import (
    PACKET_MAX_BYTES,
    PCM_SAMPLE_BYTES,
    Codec,
    CodecError,
    CodecSettings,
    PacketHeader,
    Signal,
    Status,
    parse_packet,
)

__all__ = [
    "PACKET_MAX_BYTES",
    "PCM_SAMPLE_BYTES",
    "Codec",
    "CodecError",
    "CodecSettings",
    "PacketHeader",
    "Signal",
    "Status",
    "parse_packet",
]
