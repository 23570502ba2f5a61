from __future__ import annotations

import itertools
import math
from array import array

import pytest
from harness.sound import largest_step, samples_of, speech
from hypothesis import given
from hypothesis import strategies as st

from agent.voice.splice import cross_fade, fade_out, shorten

FRAME = 640


def tone(hz: float, samples: int, rate_hz: int = 16_000) -> bytes:
    return array(
        "h", [round(10_000 * math.sin(2 * math.pi * hz * n / rate_hz)) for n in range(samples)]
    ).tobytes()


def test_a_cross_fade_begins_as_the_old_and_ends_as_the_new() -> None:
    faded = samples_of(cross_fade(array("h", [1000] * 80).tobytes(), array("h", [-1000] * 320).tobytes()))
    assert len(faded) == 320
    assert (faded[0], faded[40], set(faded[80:])) == (1000, 0, {-1000})
    assert all(later <= earlier for earlier, later in itertools.pairwise(faded))


def test_fading_out_ends_at_nothing() -> None:
    faded = samples_of(fade_out(array("h", [20_000] * 320).tobytes()))
    assert faded[0] == 20_000
    assert abs(faded[-1]) < 100


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("hz", [90.0, 131.0, 220.0, 300.0])
def test_a_tone_is_cut_by_whole_periods_and_goes_on(hz: float, rate_hz: int) -> None:
    sound = tone(hz, rate_hz // 50 * 3, rate_hz)
    shorter = shorten(sound, rate_hz)
    cut_s = (len(sound) - len(shorter)) / 2 / rate_hz
    assert 0.0025 <= cut_s <= 0.0135
    periods = cut_s * hz
    assert abs(periods - round(periods)) < 0.08
    # What neighbouring samples differ by is what a tone of this pitch makes them differ by.
    assert largest_step(shorter) < 1.3 * largest_step(sound)
    assert shorter[-200:] == sound[-200:]


def test_a_voice_is_cut_without_clicks() -> None:
    said = speech(2.0)
    for at in range(0, len(said) - FRAME, FRAME):
        piece = said[at : at + FRAME]
        shorter = shorten(piece, 16_000)
        assert 80 <= len(piece) - len(shorter) <= 432
        assert shorter[:2] == piece[:2]
        assert largest_step(shorter) <= 1.5 * largest_step(piece) + 200


@given(
    st.binary(max_size=1300).map(lambda data: data[: len(data) // 2 * 2]),
    st.sampled_from([8_000, 16_000, 48_000]),
)
def test_any_sound(pcm: bytes, rate_hz: int) -> None:
    shorter = shorten(pcm, rate_hz)
    assert len(shorter) % 2 == 0
    assert len(shorter) <= len(pcm)
    assert len(cross_fade(pcm, shorter)) == len(shorter)
