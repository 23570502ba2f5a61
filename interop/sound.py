"""Speech to say at the door, and how alike two recordings are; espeak-ng and opus-tools do the sound."""

from __future__ import annotations

import base64
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import numpy
from numpy.typing import NDArray

RATE_HZ = 16_000
WINDOW_S = 0.25
SLACK_S = 0.04
FINER = 4
SENTENCE = "Good morning. I have a parcel for the second floor, and it needs a signature, please."

Samples = NDArray[numpy.float64]


def missing_tools(*names: str) -> list[str]:
    """Which of these programs are not on this machine."""
    return [name for name in names if shutil.which(name) is None]


def speak(path: Path, text: str = SENTENCE, voice: str = "en") -> Path:
    """A WAV file of 16 kHz in which somebody says the text."""
    raw = path.with_suffix(".raw.wav")
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(raw), text], check=True)
    with wave.open(str(raw)) as source:
        rate = source.getframerate()
        pcm = numpy.frombuffer(source.readframes(source.getnframes()), dtype="<i2").astype(numpy.float64)
    at = numpy.arange(int(len(pcm) * RATE_HZ / rate)) * rate / RATE_HZ
    sound = numpy.interp(at, numpy.arange(len(pcm)), pcm) * 0.6
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE_HZ)
        target.writeframes(sound.astype("<i2").tobytes())
    return path


def samples(path: Path) -> Samples:
    """A 16 kHz mono recording as numbers of -1..1; Ogg Opus goes through opusdec."""
    if path.suffix in (".opus", ".ogg"):
        decoded = path.with_suffix(".decoded.wav")
        command = ["opusdec", "--quiet", "--rate", str(RATE_HZ), str(path), str(decoded)]
        subprocess.run(command, check=True)
        path = decoded
    with wave.open(str(path)) as source:
        assert source.getframerate() == RATE_HZ
        assert source.getnchannels() == 1
        pcm = source.readframes(source.getnframes())
    return numpy.frombuffer(pcm, dtype="<i2").astype(numpy.float64) / 32768


def opus_of(path: Path, frame_ms: int = 20) -> Path:
    """An Ogg Opus file of a WAV file, by opusenc."""
    target = path.with_suffix(f".{frame_ms}.opus")
    command = ["opusenc", "--quiet", "--speech", "--bitrate", "32", "--framesize", str(frame_ms)]
    subprocess.run([*command, str(path), str(target)], check=True)
    return target


def packets_of(path: Path) -> Path:
    """The Opus packets of an Ogg file, one a line in base64."""
    data, packets, partial, place = path.read_bytes(), [], b"", 0
    while place < len(data):
        segments = data[place + 26]
        laces = data[place + 27 : place + 27 + segments]
        place += 27 + segments
        for lace in laces:
            partial += data[place : place + lace]
            place += lace
            if lace < 255:
                packets.append(partial)
                partial = b""
    target = path.with_suffix(".packets")
    target.write_text("\n".join(base64.b64encode(packet).decode() for packet in packets[2:]))
    return target


def alikeness(said: Samples, heard: Samples, slack_s: float = SLACK_S) -> float:
    """The correlation of what was said with what was heard, aligned and weighted by energy; 1 is the same.

    Aligned as a whole first, then each quarter of a second within `slack_s`: two sound cards have two clocks,
    and a jitter buffer that was filled in one go plays a little faster until its delay is back to normal.
    """
    silence = numpy.zeros(int((slack_s + WINDOW_S) * RATE_HZ))
    said, heard = _finer(said), _finer(numpy.concatenate((silence, heard, silence)))
    size = 1 << (len(said) + len(heard)).bit_length()
    spectrum = numpy.fft.rfft(heard, size) * numpy.conj(numpy.fft.rfft(said, size))
    cross = numpy.fft.irfft(spectrum, size)
    lag = int(numpy.argmax(cross))
    lag = lag - size if lag > size // 2 else lag
    window, slack = int(WINDOW_S * RATE_HZ * FINER), int(slack_s * RATE_HZ * FINER)
    weighted = total = 0.0
    for start in range(0, len(said) - window, window):
        piece = said[start : start + window]
        energy = float(piece @ piece)
        first = start + lag - slack
        if first < 0 or first + window + 2 * slack > len(heard):
            total += energy  # what is not there is unlike
            continue
        around = heard[first : first + window + 2 * slack]
        products = _correlate(around, piece)
        powers = numpy.cumsum(numpy.concatenate(([0.0], around**2)))
        norms = numpy.sqrt((powers[window:] - powers[:-window]) * energy)
        weighted += energy * float(numpy.max(products / numpy.maximum(norms, 1e-9)))
        total += energy
    return weighted / total if total else 0.0


def _finer(sound: Samples) -> Samples:
    """At four times the rate: a delay is no whole number of samples, and half of one is much at 4 kHz."""
    return numpy.fft.irfft(numpy.fft.rfft(sound), FINER * len(sound)) * FINER


def _correlate(around: Samples, piece: Samples) -> Samples:
    """numpy.correlate(around, piece, "valid"), by way of the spectrum."""
    size = len(around) + len(piece)
    spectrum = numpy.fft.rfft(around, size) * numpy.conj(numpy.fft.rfft(piece, size))
    return numpy.fft.irfft(spectrum, size)[: len(around) - len(piece) + 1]


def loudness_db(sound: Samples) -> float:
    """The level of the loud half of a recording, dBFS: pauses say nothing about loudness."""
    window = int(0.02 * RATE_HZ)
    blocks = sound[: len(sound) // window * window].reshape(-1, window)
    powers = numpy.sort((blocks**2).mean(axis=1))[::-1]
    return float(10 * numpy.log10(powers[: max(1, len(powers) // 4)].mean() + 1e-12))


def codec_header(rate_hz: int, frames: int, frame_ms: int) -> str:
    """As it stands on the wire."""
    return base64.b64encode(struct.pack("<HBB", rate_hz, frames, frame_ms)).decode()
