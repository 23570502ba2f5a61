"""Sound files in the place of a sound card: a microphone that plays one, a speaker that writes one."""

from __future__ import annotations

import contextlib
import wave
from array import array
from pathlib import Path
from typing import BinaryIO

import trio

from hw.audio_pace import CapturePace, PlaybackPace
from hw.errors import HardwareError
from hw.ports import AudioFormat

MAX_FILE_BYTES = 64 << 20
"""Of sound in a file to be played: more than half an hour at 16 kHz."""

MAX_WRITTEN_BYTES = 1 << 30
"""Of sound in a file to be written: more than nine hours at 16 kHz."""

RATES_HZ = range(8000, 192001)


def mono(pcm: bytes, channels: int) -> bytes:
    """One channel of signed 16-bit frames: the mean of two, the first of more.

    Cards with more than two microphones put the beam they computed first, or have no order to rely on.
    """
    if channels == 1:
        return pcm
    samples = array("h", pcm)
    if channels > 2:
        return samples[::channels].tobytes()
    pairs = zip(samples[::2], samples[1::2], strict=True)
    return array("h", [(left + right) >> 1 for left, right in pairs]).tobytes()


def spread(pcm: bytes, channels: int) -> bytes:
    """The same sound on every channel."""
    if channels == 1:
        return pcm
    frames = array("h", bytes(len(pcm) * channels))
    samples = array("h", pcm)
    for channel in range(channels):
        frames[channel::channels] = samples
    return frames.tobytes()


def read_sound(path: Path) -> tuple[int, bytes]:
    """The sample rate of a WAV file, and its sound as mono. Raises: HardwareError; blocks."""
    device = f"wav:{path}"
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate_hz, count = file.getparams()[:4]
            if width != 2 or channels not in (1, 2) or rate_hz not in RATES_HZ:
                raise HardwareError(device, "is not a WAV file of 16 bit, mono or stereo, 8 to 192 kHz")
            if count * channels * width > MAX_FILE_BYTES:
                raise HardwareError(device, f"is longer than {MAX_FILE_BYTES >> 20} MiB")
            frames = file.readframes(count)
    except OSError as error:
        raise HardwareError(device, error.strerror or "cannot be read") from error
    except (wave.Error, EOFError) as error:
        raise HardwareError(device, f"is no WAV file: {str(error) or 'it ends too early'}") from error
    whole = len(frames) - len(frames) % (channels * width)
    return rate_hz, mono(frames[:whole], channels)


async def open_wav_source(path: Path, period_ms: int, periods: int) -> WavSource:
    """A microphone in front of which a file is played. Raises: HardwareError."""
    rate_hz, sound = await trio.to_thread.run_sync(read_sound, path)
    return WavSource(f"wav:{path}", AudioFormat(rate_hz, rate_hz * period_ms // 1000), sound, periods)


class WavSource:
    """Plays the sound in real time from the first read on, at the file's own rate, then silence for ever."""

    def __init__(self, name: str, wav_format: AudioFormat, sound: bytes, periods: int) -> None:
        self.name = name
        self.format = wav_format
        self._sound = memoryview(sound)
        self._periods = periods
        self._pace: CapturePace | None = None
        self._closed = False

    @property
    def xruns(self) -> int:
        return 0 if self._pace is None else self._pace.xruns

    async def read(self) -> bytes:
        self._check()
        period_s = self.format.period_s
        if self._pace is None:
            self._pace = CapturePace(trio.current_time(), period_s, self._periods)
        await trio.sleep_until(self._pace.due(trio.current_time(), period_s))
        self._check()
        self._pace.took(period_s)
        size = self.format.period_bytes
        period = bytes(self._sound[:size])
        self._sound = self._sound[size:]
        return period.ljust(size, b"\0")

    def close(self) -> None:
        self._closed = True
        self._sound = memoryview(b"")

    def _check(self) -> None:
        if self._closed:
            raise HardwareError(self.name, "is closed")


async def open_wav_sink(path: Path, sample_rate_hz: int, period_ms: int, periods: int) -> WavSink:
    """A speaker that is a file, which is overwritten. Raises: HardwareError."""
    name = f"wav:{path}"

    def create() -> BinaryIO:
        # Opened here: the object of `wave` complains at its end about a file that it could not open.
        return path.open("wb")

    try:
        stream = await trio.to_thread.run_sync(create)
    except OSError as error:
        raise HardwareError(name, error.strerror or "cannot be written") from error
    wav_format = AudioFormat(sample_rate_hz, sample_rate_hz * period_ms // 1000)
    return WavSink(name, wav_format, stream, periods)


class WavSink:
    """Writes what it is given, in real time; the header is right after each second and after close."""

    def __init__(self, name: str, wav_format: AudioFormat, stream: BinaryIO, periods: int) -> None:
        self.name = name
        self.format = wav_format
        self._stream = stream
        self._file = wave.open(stream, "wb")  # noqa: SIM115 (close() closes both)
        self._file.setparams((1, 2, wav_format.sample_rate_hz, 0, "NONE", "not compressed"))
        self._file.writeframes(b"")
        self._stream.flush()
        self._closed = False
        self._pace = PlaybackPace(periods)
        self._unflushed = 0

    @property
    def xruns(self) -> int:
        return self._pace.xruns

    @property
    def delay_s(self) -> float:
        return 0.0 if self._closed else self._pace.delay_s(trio.current_time())

    async def write(self, pcm: bytes) -> None:
        if len(pcm) != self.format.period_bytes:
            raise ValueError(f"{len(pcm)} bytes are not one period of {self.format.period_bytes}")
        period_s = self.format.period_s
        await trio.sleep_until(self._pace.due(trio.current_time(), period_s))
        if self._closed:
            raise HardwareError(self.name, "is closed")
        if self._file.tell() * 2 > MAX_WRITTEN_BYTES:
            raise HardwareError(self.name, f"is full: {MAX_WRITTEN_BYTES >> 20} MiB were written")
        self._pace.put(period_s)
        try:
            self._unflushed += self.format.period_samples
            if self._unflushed < self.format.sample_rate_hz:
                self._file.writeframesraw(pcm)
            else:
                self._file.writeframes(pcm)
                self._stream.flush()
                self._unflushed = 0
        except OSError as error:
            raise HardwareError(self.name, error.strerror or "cannot be written") from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for file in (self._file, self._stream):
            with contextlib.suppress(OSError):
                file.close()
