"""Sound for tests: something like a voice, and an ear that tells whether it is the same again.

PCM is mono, signed 16 bit, in the byte order of the machine. Plain Python: seconds of sound, not minutes.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from operator import mul
from typing import NamedTuple

PATTERN_S = 0.5
COARSE_HZ = 4_000


class Match(NamedTuple):
    """How what was heard fits what was said.

    lag_s: how much later it was heard. correlation: -1 to 1, over what both have. gain_db: how much louder.
    """

    lag_s: float
    correlation: float
    gain_db: float


@cache
def speech(duration_s: float, sample_rate_hz: int = 16_000, seed: int = 1) -> bytes:
    """Something that codecs take for a voice: syllables of a wandering pitch, hisses, short pauses.

    Peak about -4 dBFS. Never the same twice within itself, so that it can be found in time.
    """
    rng = random.Random(seed)
    count = round(duration_s * sample_rate_hz)
    samples = [0.0] * count
    at = 0
    while at < count:
        length = round(rng.uniform(0.12, 0.3) * sample_rate_hz)
        _syllable(samples, at, length, sample_rate_hz, rng)
        at += length + round(rng.choice((0.0, 0.02, 0.05, 0.2)) * sample_rate_hz)
    scale = 20_000 / max(1e-9, *map(abs, samples))
    return array("h", [round(sample * scale) for sample in samples]).tobytes()


def _syllable(samples: list[float], at: int, length: int, rate_hz: int, rng: random.Random) -> None:
    hiss = rng.random() < 0.2
    pitch_hz = rng.uniform(95, 220)
    glide = rng.uniform(-0.2, 0.2)
    formants = ((rng.uniform(300, 800), 80, 1.0), (rng.uniform(900, 2200), 110, 0.6), (2600, 160, 0.3))
    coefficients = []
    for centre_hz, width_hz, share in formants:
        radius = math.exp(-math.pi * width_hz / rate_hz)
        turn = 2 * radius * math.cos(2 * math.pi * min(centre_hz, 0.45 * rate_hz) / rate_hz)
        coefficients.append((turn, -radius * radius, share * (1 - radius)))
    memory = [[0.0, 0.0] for _ in coefficients]
    phase = 0.0
    for n in range(min(length, len(samples) - at)):
        phase += pitch_hz * (1 + glide * n / length) / rate_hz
        source = rng.uniform(-0.3, 0.3) if hiss else rng.uniform(-0.02, 0.02)
        if phase >= 1:
            phase -= 1
            source += 0.0 if hiss else 3.0
        total = 0.0
        for (a1, a2, gain), state in zip(coefficients, memory, strict=True):
            value = gain * source + a1 * state[0] + a2 * state[1]
            state[1], state[0] = state[0], value
            total += value
        samples[at + n] += total * math.sin(math.pi * n / length)


def noise(duration_s: float, sample_rate_hz: int = 16_000, level_dbfs: float = -50.0, seed: int = 1) -> bytes:
    """White noise of that level."""
    rng = random.Random(seed)
    peak = 32767 * 10 ** (level_dbfs / 20) * math.sqrt(3)
    return array(
        "h", [round(rng.uniform(-peak, peak)) for _ in range(round(duration_s * sample_rate_hz))]
    ).tobytes()


def align(
    said: bytes,
    heard: bytes,
    sample_rate_hz: int = 16_000,
    *,
    min_lag_s: float = -0.1,
    max_lag_s: float = 1.0,
) -> Match:
    """Find `said` in `heard`: by the loudest half second of it, then by the sample.

    A silent or too short piece matches nothing: correlation 0.
    """
    reference, signal = samples_of(said), samples_of(heard)
    stride = max(sample_rate_hz // COARSE_HZ, 1)
    coarse, rough = _thinned(reference, stride), _thinned(signal, stride)
    hop = max(round(0.1 * COARSE_HZ), 1)
    width = min(round(PATTERN_S * COARSE_HZ), len(coarse))
    starts = range(0, len(coarse) - width + 1, hop)
    if not starts or width < hop:
        return Match(0.0, 0.0, 0.0)
    begin = max(starts, key=lambda start: _energy(coarse[start : start + width]))
    pattern = coarse[begin : begin + width]
    rate_hz = sample_rate_hz / stride
    first_lag, last_lag = round(min_lag_s * rate_hz), round(max_lag_s * rate_hz)
    # Silence around it: every lag has as much to compare.
    before = max(-first_lag - begin, 0)
    rough = [0] * before + rough + [0] * max(begin + last_lag + width - len(rough), 0)
    best_lag, best = 0, 0.0
    energy = [0, *accumulate(map(mul, rough, rough))]
    for lag in range(first_lag, last_lag + 1):
        start = before + begin + lag
        product = sum(map(mul, pattern, rough[start : start + width]))
        score = product * abs(product) / (energy[start + width] - energy[start] + 1)
        if score > best:
            best_lag, best = lag, score
    fine = [_match(reference, signal, lag, sample_rate_hz) for lag in _around(best_lag * stride, stride)]
    return max(fine, key=lambda match: match.correlation)


def follow(
    said: bytes,
    heard: bytes,
    sample_rate_hz: int = 16_000,
    *,
    min_lag_s: float = -0.1,
    max_lag_s: float = 1.0,
    window_s: float = 0.5,
    wander_s: float = 0.03,
) -> Match:
    """As `align`, for sound whose delay changes on its way: by stretches, each up to `wander_s` off the last.

    The first two seconds have to be there. lag_s is that of the last stretch; correlation and gain are means
    over the energy of what was said.
    """
    start = said[: 4 * sample_rate_hz]
    lag = align(start, heard, sample_rate_hz, min_lag_s=min_lag_s, max_lag_s=max_lag_s).lag_s
    step = 2 * round(window_s * sample_rate_hz)
    total = correlation = heard_energy = 0.0
    for at in range(0, len(said) - step + 1, step):
        offset = at + 2 * round(lag * sample_rate_hz)
        before = 2 * round(wander_s * sample_rate_hz)
        begin = max(offset - before, 0)
        stretch = heard[begin : offset + step + before]
        if len(stretch) < step // 2:
            break
        shift = (offset - begin) / 2 / sample_rate_hz
        match = align(
            said[at : at + step],
            stretch,
            sample_rate_hz,
            min_lag_s=max(shift - wander_s, 0.0),
            max_lag_s=shift + wander_s,
        )
        energy = float(_energy(samples_of(said[at : at + step])))
        total += energy
        correlation += energy * match.correlation
        heard_energy += energy * 10 ** (match.gain_db / 10)
        if match.correlation > 0.5:
            lag += match.lag_s - shift
    if total == 0:
        return Match(0.0, 0.0, 0.0)
    return Match(lag, correlation / total, 10 * math.log10(max(heard_energy / total, 1e-12)))


def samples_of(pcm: bytes) -> array[int]:
    return array("h", pcm)


def rms_dbfs(pcm: bytes) -> float:
    """The level; -120 for silence."""
    samples = samples_of(pcm)
    mean = _energy(samples) / max(len(samples), 1)
    return 10 * math.log10(mean / 32768**2) if mean > 0 else -120.0


def peak_dbfs(pcm: bytes) -> float:
    peak = max(map(abs, samples_of(pcm)), default=0)
    return 20 * math.log10(peak / 32768) if peak else -120.0


def largest_step(pcm: bytes) -> int:
    """Between two neighbouring samples: a click is a large one."""
    samples = samples_of(pcm)
    return max((abs(b - a) for a, b in pairwise(samples)), default=0)


def _around(lag: int, stride: int) -> range:
    return range(lag - stride, lag + stride + 1)


def _thinned(samples: Sequence[int], stride: int) -> list[int]:
    if stride == 1:
        return list(samples)
    parts = [samples[n::stride] for n in range(stride)]
    return [sum(group) // stride for group in zip(*parts, strict=False)]


def _energy(samples: Sequence[int]) -> int:
    return sum(map(mul, samples, samples))


def _match(said: array[int], heard: array[int], lag: int, sample_rate_hz: int) -> Match:
    first, second = (said, heard[lag:]) if lag >= 0 else (said[-lag:], heard)
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    e1, e2 = _energy(first), _energy(second)
    if e1 == 0 or e2 == 0:
        return Match(lag / sample_rate_hz, 0.0, 0.0)
    correlation = sum(map(mul, first, second)) / math.sqrt(e1 * e2)
    return Match(lag / sample_rate_hz, correlation, 10 * math.log10(e2 / e1))
