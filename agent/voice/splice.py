"""Cuts that are not heard: cross-fades, and sound made shorter by a period of its own pitch.

PCM is mono, signed 16 bit, in the byte order of the machine. In Python because it is rare: once in 40 ms at
worst, while a stream catches up.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from operator import mul
from typing import Final

JOINT_S: Final = 0.005
LAG_MIN_S: Final = 0.0025
LAG_MAX_S: Final = 0.0135
_SEARCH_HZ: Final = 8_000


def cross_fade(old: bytes, new: bytes) -> bytes:
    """`new`, whose beginning comes out of `old`: as much of it as both have."""
    length = min(len(old), len(new)) // 2
    if length == 0:
        return new
    fading, rising = array("h", old[: 2 * length]), array("h", new[: 2 * length])
    mixed = [
        (a * (length - n) + b * n) // length for n, (a, b) in enumerate(zip(fading, rising, strict=True))
    ]
    return array("h", mixed).tobytes() + new[2 * length :]


def fade_out(pcm: bytes) -> bytes:
    """The same, dying away to nothing over its whole length."""
    return cross_fade(pcm, bytes(len(pcm)))


def shorten(pcm: bytes, sample_rate_hz: int) -> bytes:
    """The same sound without 2.5 to 13.5 ms of its beginning, where it repeats itself best.

    It begins as `pcm` begins and ends as it ends. What is shorter than 20 ms stays as it is.
    """
    joint = round(JOINT_S * sample_rate_hz)
    least, most = round(LAG_MIN_S * sample_rate_hz), round(LAG_MAX_S * sample_rate_hz)
    if len(pcm) < 2 * (joint + most):
        return pcm
    stride = max(sample_rate_hz // _SEARCH_HZ, 1)
    samples = array("h", pcm[: 2 * (joint + most)])[::stride].tolist()
    width = joint // stride
    pattern = samples[:width]
    energy = [0, *accumulate(sample * sample for sample in samples)]
    best_lag, best_score = least // stride, -1.0e30
    for lag in range(least // stride, most // stride):
        product = sum(map(mul, pattern, samples[lag : lag + width]))
        # The sign of the squared correlation counts: the opposite phase is the worst of all.
        score = product * abs(product) / (energy[lag + width] - energy[lag] + 1)
        if score > best_score:
            best_lag, best_score = lag, score
    cut = best_lag * stride
    return cross_fade(pcm[: 2 * joint], pcm[2 * cut :])
