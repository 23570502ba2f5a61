"""The sounds that the door makes itself, as PCM at 16 kHz: computed at the first use and kept.

Each begins and ends at zero and stays below -6 dBFS.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from functools import cache

SAMPLE_RATE_HZ = 16_000
PEAK = 0.45  # of full scale: -6.9 dBFS

_ATTACK_S = 0.004
_RELEASE_S = 0.03

# A struck bar of metal: partials as (ratio to the fundamental, share, how much faster it dies away).
_BELL = ((1.0, 1.0, 1.0), (2.0, 0.35, 1.7), (3.01, 0.2, 2.6), (4.2, 0.1, 4.0))
_BEEP = ((1.0, 1.0, 1.0), (2.0, 0.12, 1.0))
_BUZZ = tuple((float(n), 1.0 / n, 1.0) for n in range(1, 8))

_Partials = tuple[tuple[float, float, float], ...]


@cache
def ring() -> bytes:
    """Ding-dong: somebody pressed the bell."""
    return _mix(2.4, [_note(0.0, 659.26, 1.4, 0.38, _BELL), _note(0.7, 523.25, 1.7, 0.5, _BELL)])


@cache
def accepted() -> bytes:
    """Two rising notes: come in."""
    return _mix(0.42, [_note(0.0, 783.99, 0.16, 0.5, _BEEP), _note(0.17, 1046.5, 0.25, 0.35, _BEEP)])


@cache
def refused() -> bytes:
    """Two low buzzes: no."""
    return _mix(0.62, [_note(0.0, 146.83, 0.22, 2.0, _BUZZ), _note(0.32, 130.81, 0.3, 2.0, _BUZZ)])


@cache
def announcement() -> bytes:
    """Three rising notes: something is about to be said."""
    notes = (523.25, 659.26, 783.99)
    return _mix(1.3, [_note(0.28 * n, hz, 0.74, 0.22, _BELL) for n, hz in enumerate(notes)])


@cache
def hangup() -> bytes:
    """Two falling notes: the other side is gone."""
    return _mix(0.46, [_note(0.0, 587.33, 0.18, 0.4, _BEEP), _note(0.2, 440.0, 0.26, 0.3, _BEEP)])


def _note(
    start_s: float, hz: float, length_s: float, decay_s: float, partials: _Partials
) -> tuple[int, list[float]]:
    """One note as (first sample, samples); swells in and dies away without a step."""
    length = round(length_s * SAMPLE_RATE_HZ)
    attack = round(_ATTACK_S * SAMPLE_RATE_HZ)
    release = round(_RELEASE_S * SAMPLE_RATE_HZ)
    samples = [0.0] * length
    for ratio, share, haste in partials:
        step = 2 * math.pi * hz * ratio / SAMPLE_RATE_HZ
        fall = math.exp(-haste / (decay_s * SAMPLE_RATE_HZ))
        level = share
        for n in range(length):
            samples[n] += level * math.sin(step * n)
            level *= fall
    for n in range(attack):
        samples[n] *= n / attack
    for n in range(release):
        samples[length - 1 - n] *= n / release
    return round(start_s * SAMPLE_RATE_HZ), samples


def _mix(length_s: float, notes: Iterable[tuple[int, list[float]]]) -> bytes:
    mixed = [0.0] * round(length_s * SAMPLE_RATE_HZ)
    for first, samples in notes:
        for n, sample in enumerate(samples, first):
            mixed[n] += sample
    scale = PEAK * 32767 / max(map(abs, mixed))
    return array("h", [round(sample * scale) for sample in mixed]).tobytes()
