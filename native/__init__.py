"""The door's C library: an Opus codec whose calls make and read whole voice packets, and what sound needs."""

from native.packet import PACKET_MAX_BYTES, PACKET_MAX_US, PacketHeader, packet_us, parse_packet
from native.sound import PCM_CEILING, PCM_SAMPLE_BYTES, Gain, Level, Meter, Resampler
from native.status import CodecError, Status
from native.voice import Codec, CodecSettings, Features, Signal, features

__all__ = [
    "PACKET_MAX_BYTES",
    "PACKET_MAX_US",
    "PCM_CEILING",
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
