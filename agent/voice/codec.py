"""The C codec, for the rest of the agent: nobody else imports `native`.

PCM is mono, signed 16 bit, in the byte order of the machine, as bytes.
"""

from __future__ import annotations

from native import (
    PACKET_MAX_BYTES,
    PCM_SAMPLE_BYTES,
    Codec,
    CodecError,
    CodecSettings,
    Features,
    Gain,
    Level,
    Meter,
    PacketHeader,
    Resampler,
    Signal,
    Status,
    features,
    packet_us,
    parse_packet,
)

__all__ = [
    "PACKET_MAX_BYTES",
    "PCM_SAMPLE_BYTES",
    "Codec",
    "CodecError",
    "CodecSettings",
    "Features",
    "Gain",
    "Level",
    "Meter",
    "PacketHeader",
    "Resampler",
    "Signal",
    "Status",
    "features",
    "packet_us",
    "parse_packet",
]
