"""hw/audio_wav.py: files that keep time."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from hw.audio import open_sink, open_source
from hw.audio_wav import mono, read_sound, spread
from hw.errors import HardwareError
from hw.ports import AudioFormat

PERIOD = array("h", range(320)).tobytes()
SILENCE = bytes(640)


def write_wav(path: Path, frames: bytes, *, rate_hz: int = 16000, channels: int = 1, width: int = 2) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(frames)
    return f"wav:{path}"


async def test_a_file_is_played_in_real_time_then_silence(tmp_path: Path, autojump_clock: MockClock) -> None:
    source = await open_source(write_wav(tmp_path / "a.wav", PERIOD + PERIOD[:100]))
    assert source.format == AudioFormat(16000, 320)
    began = trio.current_time()
    assert [await source.read() for _ in range(3)] == [PERIOD, PERIOD[:100] + bytes(540), SILENCE]
    assert trio.current_time() - began == pytest.approx(0.06)
    await trio.sleep(5)
    assert await source.read() == SILENCE
    assert source.xruns == 1
    source.close()
    with pytest.raises(HardwareError, match="is closed"):
        await source.read()


async def test_a_file_has_the_rate_it_has_and_stereo_is_mixed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    frames = array("h", [100, 300] * 882).tobytes()
    source = await open_source(write_wav(tmp_path / "a.wav", frames, rate_hz=44100, channels=2))
    assert source.format == AudioFormat(44100, 882)
    assert array("h", await source.read()).tolist() == [200] * 882


async def test_a_written_file_can_be_read_each_second_and_at_the_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "out.wav"
    sink = await open_sink(f"wav:{path}")
    assert read_sound(path) == (16000, b"")
    began = trio.current_time()
    for _ in range(53):
        await sink.write(PERIOD)
        assert sink.delay_s < 0.0601
    assert trio.current_time() - began == pytest.approx(52 * 0.02)
    assert read_sound(path) == (16000, PERIOD * 50)
    sink.close()
    sink.close()
    assert read_sound(path) == (16000, PERIOD * 53)
    assert sink.xruns == 0
    assert sink.delay_s == 0
    with pytest.raises(HardwareError, match="is closed"):
        await sink.write(PERIOD)


async def test_only_whole_periods_are_written(tmp_path: Path) -> None:
    sink = await open_sink(f"wav:{tmp_path / 'a.wav'}")
    with pytest.raises(ValueError, match="not one period"):
        await sink.write(PERIOD[:-2])
    sink.close()


async def test_files_that_will_not_do_say_why(tmp_path: Path) -> None:
    empty, short = tmp_path / "empty.wav", tmp_path / "short.wav"
    empty.touch()
    short.write_bytes(b"RIFF\x10\x00\x00\x00WAVEfmt ")
    for device, reason in {
        f"wav:{tmp_path / 'none.wav'}": "No such file",
        f"wav:{tmp_path}": "Is a directory",
        f"wav:{empty}": "is no WAV file",
        f"wav:{short}": "is no WAV file",
        write_wav(tmp_path / "8.wav", b"\x80" * 100, width=1): "16 bit",
        write_wav(tmp_path / "6.wav", bytes(1200), channels=6): "16 bit",
        write_wav(tmp_path / "4k.wav", bytes(100), rate_hz=4000): "16 bit",
    }.items():
        with pytest.raises(HardwareError, match=reason):
            await open_source(device)
    with pytest.raises(HardwareError, match="No such file"):
        await open_sink(f"wav:{tmp_path / 'none' / 'a.wav'}")


@settings(max_examples=150)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_sound_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, riff: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.wav"
    path.write_bytes(b"RIFF\x00\x01\x00\x00WAVEfmt \x10\x00\x00\x00" + junk if riff else junk)
    try:
        rate_hz, sound = read_sound(path)
    except HardwareError:
        return
    assert rate_hz > 0
    assert len(sound) % 2 == 0


@given(st.lists(st.integers(-32768, 32767)), st.integers(1, 8))
def test_what_was_spread_over_channels_mixes_back(samples: list[int], channels: int) -> None:
    pcm = array("h", samples).tobytes()
    assert mono(spread(pcm, channels), channels) == pcm
