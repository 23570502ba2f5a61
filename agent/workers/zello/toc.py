"""How long an Opus packet sounds, by its first bytes: what senders announce of it is often wrong.

Source: RFC 6716, section 3.1 (table 2) and section 3.4 (R1 to R5).
"""

from __future__ import annotations

from typing import Final

from agent.model.errors import MalformedMessage
from agent.workers.zello.packets import CodecHeader

MAX_PACKET_US: Final = 120_000
MAX_FRAME_BYTES: Final = 1275
_FRAME_US: Final = (
    *(10_000, 20_000, 40_000, 60_000) * 3,
    *(10_000, 20_000) * 2,
    *(2500, 5000, 10_000, 20_000) * 4,
)
_RATES_HZ: Final = (
    *(8000,) * 4,
    *(12_000,) * 4,
    *(16_000,) * 4,
    *(24_000,) * 2,
    *(48_000,) * 2,
    *(8000,) * 4,
    *(16_000,) * 4,
    *(24_000,) * 4,
    *(48_000,) * 4,
)
_OPUS_RATES_HZ: Final = frozenset(_RATES_HZ)


def duration_us(payload: bytes) -> int:
    """Microseconds of sound in one Opus packet. Raises: MalformedMessage when it is none."""
    size = len(payload)
    if not size:
        raise MalformedMessage("opus packet", "no payload")
    toc = payload[0]
    code = toc & 3
    if code == 0:
        frames = 1
        legal = size - 1 <= MAX_FRAME_BYTES
    elif code == 1:
        frames = 2
        legal = size % 2 == 1 and size - 1 <= 2 * MAX_FRAME_BYTES
    elif code == 2:
        frames = 2
        legal = 2 <= size <= 3 + 2 * MAX_FRAME_BYTES
    else:
        frames = payload[1] & 0x3F if size > 1 else 0
        legal = frames > 0
    total_us = frames * _FRAME_US[toc >> 3]
    if not legal or total_us > MAX_PACKET_US:
        raise MalformedMessage("opus packet", f"illegal table of contents {toc:#04x}, {size} bytes")
    return total_us


def true_header(payload: bytes, claimed: CodecHeader) -> CodecHeader:
    """What a sender should have announced of packets like this one: one frame of the packet's real duration.

    The rate is a hint to a decoder; one that Opus does not have becomes that of the packet's bandwidth.
    Raises: MalformedMessage as above.
    """
    ms = duration_us(payload) // 1000
    rate = claimed.sample_rate_hz
    if rate not in _OPUS_RATES_HZ:
        rate = _RATES_HZ[payload[0] >> 3]
    return CodecHeader(rate, 1, ms)


def collapsed(claimed: CodecHeader, packet_ms: int) -> CodecHeader:
    """What can be announced before there is a packet: the claim as one frame, within what a byte holds."""
    ms = claimed.packet_ms if claimed.packet_ms <= MAX_PACKET_US // 1000 else packet_ms
    rate = claimed.sample_rate_hz if claimed.sample_rate_hz in _OPUS_RATES_HZ else 16_000
    return CodecHeader(rate, 1, ms if 0 < ms <= MAX_PACKET_US // 1000 else 20)
