from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from harness.sound import largest_step, peak_dbfs, rms_dbfs, samples_of

from agent.voice import chime

CHIMES = [chime.ring, chime.accepted, chime.refused, chime.announcement, chime.hangup]


@pytest.mark.parametrize("sound", CHIMES)
def test_is_heard_and_neither_clips_nor_clicks(sound: Callable[[], bytes]) -> None:
    pcm = sound()
    samples = samples_of(pcm)
    assert -8.0 < peak_dbfs(pcm) <= -6.0
    assert rms_dbfs(pcm) > -30.0
    assert samples[0] == samples[-1] == 0
    assert max(largest_step(pcm[:4]), largest_step(pcm[-4:])) < 150
    # Nor where its notes begin and end: no step is beyond what its own tones make.
    assert largest_step(pcm) < 9_000
    assert 0.3 <= len(samples) / chime.SAMPLE_RATE_HZ <= 3.0


@pytest.mark.parametrize("sound", CHIMES)
def test_is_computed_once(sound: Callable[[], bytes]) -> None:
    assert sound() is sound()


def test_sounds_differ() -> None:
    assert len({sound() for sound in CHIMES}) == len(CHIMES)


def crossings(pcm: bytes) -> int:
    samples = samples_of(pcm)
    return sum(a < 0 <= b for a, b in pairwise(samples))


def test_accepted_rises_and_refused_is_low() -> None:
    tenth = 2 * chime.SAMPLE_RATE_HZ // 10
    first, second = chime.accepted()[:tenth], chime.accepted()[2 * tenth : 3 * tenth]
    assert crossings(second) > 1.2 * crossings(first)
    assert crossings(chime.refused()[:tenth]) < 20
    assert crossings(chime.hangup()[:tenth]) > crossings(chime.hangup()[2 * tenth + 640 : 3 * tenth + 640])
