"""Tones for codecs: what goes in, and how loud it is when it comes out."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from native import Codec


def sine(samples: int, start: int, sample_rate_hz: int, tone_hz: float = 440.0) -> bytes:
    step = 2 * math.pi * tone_hz / sample_rate_hz
    return array("h", (round(8_000 * math.sin(step * (start + i))) for i in range(samples))).tobytes()


def energy(pcm: bytes) -> float:
    samples = array("h", pcm)
    return sum(float(sample) * sample for sample in samples) / len(samples)


@dataclass(frozen=True)
class Talk:
    """Half a second of a tone, and the packets a codec made of it."""

    frames: list[bytes]
    packets: list[bytes]


def talk(codec: Codec, stream_id: int = 22_695) -> Talk:
    count = 500_000 // codec.frame_us
    frames = [sine(codec.frame_samples, n * codec.frame_samples, codec.sample_rate_hz) for n in range(count)]
    return Talk(frames, [codec.encode_packet(stream_id, n, frame) for n, frame in enumerate(frames)])
