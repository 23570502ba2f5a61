from __future__ import annotations

import itertools
import math
import random
import shutil
import subprocess
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native import PCM_CEILING, CodecError, Gain, Level, Meter, Resampler, Status

RATE_HZ = 16_000
FULL_SCALE = 32_767


def sine(samples: int, tone_hz: float, rate_hz: int = RATE_HZ, amplitude: float = 8_000.0) -> bytes:
    step = 2 * math.pi * tone_hz / rate_hz
    return array("h", (round(amplitude * math.sin(step * i)) for i in range(samples))).tobytes()


def hiss(samples: int, deviation: float, seed: int = 1) -> bytes:
    noise = random.Random(seed)
    return array(
        "h", (max(-FULL_SCALE, min(FULL_SCALE, round(noise.gauss(0, deviation)))) for _ in range(samples))
    ).tobytes()


def peak(pcm: bytes) -> int:
    return max(map(abs, array("h", pcm)), default=0)


def pieces(pcm: bytes, sizes: list[int]) -> list[bytes]:
    """The sound in pieces of these many samples, the last of whatever is left."""
    cut = []
    for size in sizes:
        cut.append(pcm[: size * 2])
        pcm = pcm[size * 2 :]
    return [*cut, pcm]


def status_of(call: Any, *arguments: Any) -> Status:
    with pytest.raises(CodecError) as caught:
        call(*arguments)
    return caught.value.status


# ----- gain -----


def test_gain_of_nothing_changes_nothing() -> None:
    pcm = sine(3_200, 300.0, amplitude=PCM_CEILING)
    assert Gain(RATE_HZ, 0.0).apply(pcm) == pcm


@pytest.mark.parametrize("gain_db", [-40.0, -6.0, 0.1, 6.0, 10.0])
def test_gain_is_what_was_asked_for(gain_db: float) -> None:
    pcm = array("h", sine(1_600, 440.0, amplitude=5_000))
    factor = 10 ** (gain_db / 20)
    louder = array("h", Gain(RATE_HZ, gain_db).apply(pcm.tobytes()))
    assert all(abs(after - before * factor) <= 1.5 for before, after in zip(pcm, louder, strict=True))


@given(
    st.lists(st.integers(-32_768, 32_767), max_size=600),
    st.lists(st.integers(0, 200), max_size=5),
    st.floats(-40, 40),
)
def test_nothing_passes_the_ceiling(samples: list[int], sizes: list[int], gain_db: float) -> None:
    gain = Gain(RATE_HZ, gain_db)
    pcm = array("h", samples).tobytes()
    louder = b"".join(gain.apply(piece) for piece in pieces(pcm, sizes))
    assert len(louder) == len(pcm)
    assert peak(louder) <= PCM_CEILING
    assert all(before * after >= 0 for before, after in zip(samples, array("h", louder), strict=True))


def test_full_scale_and_20_db_more_neither_wraps_nor_flattens() -> None:
    gain = Gain(RATE_HZ, 20.0)
    pcm = sine(RATE_HZ, 220.0, amplitude=FULL_SCALE)
    louder = array("h", b"".join(gain.apply(piece) for piece in pieces(pcm, [320] * 50)))
    assert peak(louder.tobytes()) <= PCM_CEILING
    assert sum(abs(value) > PCM_CEILING - 30 for value in louder[RATE_HZ // 2 :]) < RATE_HZ // 2 // 20


def test_a_changed_gain_arrives_without_a_click() -> None:
    gain = Gain(RATE_HZ, 10.0)
    first = gain.apply(sine(3_200, 50.0, amplitude=3_000))
    gain.set_gain_db(-10.0)
    second = gain.apply(sine(3_200, 50.0, amplitude=3_000))
    sound = array("h", first + second)
    assert max(abs(b - a) for a, b in itertools.pairwise(sound)) < 800
    assert peak(second[-640:]) < 1_000


def test_gain_takes_more_than_one_call_of_c() -> None:
    pcm = bytes(2) * (2**20 + 17)
    assert Gain(RATE_HZ, 3.0).apply(pcm) == pcm


@pytest.mark.parametrize("gain_db", [40.1, -40.1, math.nan, math.inf, -math.inf, 1e308])
def test_gain_refuses(gain_db: float) -> None:
    assert status_of(Gain, RATE_HZ, gain_db) is Status.ARGUMENT
    assert status_of(Gain().set_gain_db, gain_db) is Status.ARGUMENT


# ----- meter -----


def test_meter_tells_the_level() -> None:
    level = Meter(RATE_HZ).measure(sine(RATE_HZ, 1_000.0, amplitude=3_276.8))
    assert level.peak_dbfs == pytest.approx(-20.0, abs=0.02)
    assert level.rms_dbfs == pytest.approx(-23.01, abs=0.02)
    assert Meter().measure(bytes(640)) == Level(-96.0, -96.0, False)
    assert Meter().measure(b"\x00\x80" * 320).peak_dbfs == 0.0


def voiced(pcm: bytes, rate_hz: int = RATE_HZ, skip_s: float = 0.0) -> float:
    """The share of 20 ms periods in which somebody speaks."""
    meter = Meter(rate_hz)
    period = rate_hz // 50 * 2
    flags = [meter.measure(pcm[at : at + period]).voice for at in range(0, len(pcm) - period + 1, period)]
    counted = flags[round(skip_s * 50) :]
    return sum(counted) / len(counted)


def syllables(rate_hz: int, duration_s: float, loudness: float) -> bytes:
    """Gliding harmonics in syllables, with pauses between words, over a little noise."""
    noise = random.Random(5)
    phase = 0.0
    pcm = array("h")
    for n in range(round(rate_hz * duration_s)):
        t = n / rate_hz
        phase += 2 * math.pi * (125 + 20 * math.sin(2 * math.pi * 2.2 * t)) / rate_hz
        envelope = max(0.0, math.sin(2 * math.pi * 3.5 * t)) if t % 1.2 < 0.9 else 0.0
        tone = sum(math.sin(k * phase) / k * (2.0 if k in {4, 5, 9} else 1.0) for k in range(1, 16))
        pcm.append(round(envelope * loudness * tone + noise.gauss(0, 20)))
    return pcm.tobytes()


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("loudness", [600, 3_500])
def test_a_voice_is_heard(rate_hz: int, loudness: float) -> None:
    assert 0.6 < voiced(syllables(rate_hz, 2.4, loudness), rate_hz) < 0.99


def test_noise_hum_and_silence_are_not() -> None:
    hum = sine(3 * RATE_HZ, 50.0, amplitude=4_000)
    assert voiced(bytes(2 * RATE_HZ)) == 0
    assert voiced(hiss(3 * RATE_HZ, 300)) == 0
    assert voiced(hiss(3 * RATE_HZ, 4_000)) == 0
    assert voiced(hum) == 0
    assert voiced(hiss(RATE_HZ, 20) + hum) == 0
    assert voiced(hiss(RATE_HZ, 20) + hiss(4 * RATE_HZ, 2_000, seed=2), skip_s=3.5) == 0


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
@pytest.mark.parametrize("speaker", ["en", "de+f3", "fr+m5"])
def test_a_synthetic_speaker_is_heard(speaker: str) -> None:
    words = "Hello, this is the parcel service. I have a delivery, can you open the door please?"
    spoken = subprocess.run(
        ["espeak-ng", "-v", speaker, "--stdout", words], capture_output=True, check=True
    ).stdout
    pcm = Resampler(22_050, RATE_HZ).process(spoken[44:])  # behind the header of a WAV file
    assert voiced(pcm) > 0.7
    assert voiced(Gain(RATE_HZ, -20).apply(pcm)) > 0.7


@given(st.lists(st.integers(1, 700), max_size=20))
@settings(max_examples=25)
def test_the_cut_does_not_matter_to_the_voice(sizes: list[int]) -> None:
    pcm = syllables(8_000, 0.5, 3_500)
    whole, cut = Meter(8_000), Meter(8_000)
    whole.measure(pcm)
    for piece in pieces(pcm, sizes):
        if piece:
            cut.measure(piece)
    assert whole.measure(bytes(2)).voice == cut.measure(bytes(2)).voice


def test_meter_refuses() -> None:
    assert status_of(Meter, 7_999) is Status.SAMPLE_RATE
    assert status_of(Meter, -1) is Status.SAMPLE_RATE
    assert status_of(Meter().measure, b"") is Status.ARGUMENT
    assert status_of(Meter().measure, bytes(3)) is Status.FRAME_SIZE
    assert status_of(Meter().measure, bytes(2**21 + 2)) is Status.TOO_LONG


# ----- resampler -----


def signal_to_noise_db(pcm: bytes, tone_hz: float, rate_hz: int) -> float:
    """The best-fitting sine against all else, once it has settled."""
    heard = array("h", pcm)[rate_hz // 20 :]
    s = [math.sin(2 * math.pi * tone_hz * i / rate_hz) for i in range(len(heard))]
    c = [math.cos(2 * math.pi * tone_hz * i / rate_hz) for i in range(len(heard))]
    ss, cc = sum(x * x for x in s), sum(x * x for x in c)
    sc = sum(x * y for x, y in zip(s, c, strict=True))
    ys = sum(x * y for x, y in zip(s, heard, strict=True))
    yc = sum(x * y for x, y in zip(c, heard, strict=True))
    determinant = ss * cc - sc * sc
    tone = ((ys * cc - yc * sc) * ys + (yc * ss - ys * sc) * yc) / determinant
    return 10 * math.log10(tone / (sum(float(y) * y for y in heard) - tone))


@pytest.mark.parametrize(
    ("rate_in_hz", "rate_out_hz"), [(16_000, 48_000), (48_000, 16_000), (44_100, 16_000)]
)
def test_a_tone_comes_out_clean(rate_in_hz: int, rate_out_hz: int) -> None:
    resampler = Resampler(rate_in_hz, rate_out_hz)
    pcm = sine(rate_in_hz // 2, 1_000.0, rate_in_hz, 20_000)
    assert signal_to_noise_db(resampler.process(pcm), 1_000.0, rate_out_hz) > 70


def test_going_down_lets_no_alias_through() -> None:
    pcm = Resampler(48_000, 16_000).process(sine(24_000, 10_000.0, 48_000, 20_000))
    assert peak(pcm[1_600:]) < 20


RATES = st.one_of(
    st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000, 192_000]), st.integers(8_000, 192_000)
)


@given(RATES, RATES, st.lists(st.integers(0, 5_000), max_size=6))
@settings(max_examples=40)
def test_length_is_exact_however_it_is_cut(rate_in_hz: int, rate_out_hz: int, sizes: list[int]) -> None:
    whole, cut = Resampler(rate_in_hz, rate_out_hz), Resampler(rate_in_hz, rate_out_hz)
    pcm = hiss(min(sum(sizes) + 10, 20_000 * rate_in_hz // rate_out_hz), 9_000)
    expected = whole.process(pcm)
    assert b"".join(cut.process(piece) for piece in pieces(pcm, sizes)) == expected
    assert abs(len(expected) / 2 - len(pcm) / 2 * rate_out_hz / rate_in_hz) <= 1


def test_a_period_of_a_sound_card_is_a_period() -> None:
    up, down = Resampler(16_000, 48_000), Resampler(48_000, 16_000)
    for _ in range(200):
        assert len(up.process(bytes(640))) == 1_920
        assert len(down.process(bytes(1_920))) == 640


@pytest.mark.parametrize("ppm", [200.0, -200.0, 10_000.0, -10_000.0])
def test_drift_gives_that_change(ppm: float) -> None:
    resampler = Resampler(16_000, 16_000)
    resampler.set_drift_ppm(ppm)
    second = bytes(2 * RATE_HZ)
    samples = sum(len(resampler.process(second)) // 2 for _ in range(20))
    assert samples == pytest.approx(20 * RATE_HZ / (1 + ppm / 1e6), abs=2 + abs(ppm) / 1e6 * 1_600)


def test_delay_is_what_it_says() -> None:
    resampler = Resampler(16_000, 48_000)
    click = resampler.process(bytes(200) + b"\x00\x40" + bytes(400))
    loudest = max(enumerate(array("h", click)), key=lambda pair: pair[1])[0]
    assert abs(loudest - (300 + resampler.delay_samples)) <= 2


def test_resampler_refuses() -> None:
    assert status_of(Resampler, 7_999, 16_000) is Status.SAMPLE_RATE
    assert status_of(Resampler, 16_000, 192_001) is Status.SAMPLE_RATE
    assert status_of(Resampler, 16_000, -1) is Status.SAMPLE_RATE
    resampler = Resampler(16_000, 48_000)
    for ppm in (10_000.1, -10_000.1, math.nan, math.inf):
        assert status_of(resampler.set_drift_ppm, ppm) is Status.ARGUMENT
    assert status_of(resampler.process, bytes(3)) is Status.FRAME_SIZE
    assert resampler.process(b"") == b""
    samples: Any = array("h", bytes(640))
    with pytest.raises(TypeError, match="pcm must be bytes, not array"):
        resampler.process(samples)
