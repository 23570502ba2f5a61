from __future__ import annotations

import math
import struct
import wave
from array import array
from pathlib import Path

import pytest
from harness.sound import align, speech
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.voice.wav import FILE_MAX_BYTES, WavWriter, parse_wav, read_wav

SAMPLES = [0, 1, -1, 1000, -1000, 32767, -32768]
FLOAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def form(code: int, channels: int, rate_hz: int, bits: int) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * frame % 2**32, frame, bits)


def wav(fmt: bytes, sound: bytes, *before: bytes) -> bytes:
    body = b"WAVE" + chunk(b"fmt ", fmt) + b"".join(before) + chunk(b"data", sound)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pcm(*samples: int) -> bytes:
    return array("h", samples).tobytes()


ENCODINGS = {
    "8 bit": (form(1, 1, 16_000, 8), bytes((value >> 8) + 128 for value in SAMPLES), 256),
    "16 bit": (form(1, 1, 16_000, 16), struct.pack(f"<{len(SAMPLES)}h", *SAMPLES), 0),
    "24 bit": (
        form(1, 1, 16_000, 24),
        b"".join((value << 8).to_bytes(3, "little", signed=True) for value in SAMPLES),
        0,
    ),
    "32 bit": (
        form(1, 1, 16_000, 32),
        struct.pack(f"<{len(SAMPLES)}i", *(value << 16 for value in SAMPLES)),
        0,
    ),
    "float": (
        form(3, 1, 16_000, 32),
        struct.pack(f"<{len(SAMPLES)}f", *(value / 32767 for value in SAMPLES)),
        1,
    ),
}


@pytest.mark.parametrize(("fmt", "sound", "tolerance"), ENCODINGS.values(), ids=ENCODINGS)
def test_reads_every_plain_encoding(fmt: bytes, sound: bytes, tolerance: int) -> None:
    heard = array("h", parse_wav(wav(fmt, sound)))
    assert len(heard) == len(SAMPLES)
    assert all(abs(a - b) <= tolerance for a, b in zip(heard, SAMPLES, strict=True))


def test_floats_beyond_their_range_are_clipped_and_no_numbers_are_silence() -> None:
    sound = struct.pack("<5f", 2.0, -2.0, math.inf, -math.inf, math.nan)
    assert parse_wav(wav(form(3, 1, 16_000, 32), sound)) == pcm(32767, -32767, 32767, -32767, 0)


def test_stereo_becomes_the_mean() -> None:
    sound = struct.pack("<6h", 100, 300, -32768, -32768, 32767, -32767)
    assert parse_wav(wav(form(1, 2, 16_000, 16), sound)) == pcm(200, -32768, 0)


def test_the_extensible_format() -> None:
    tail = struct.pack("<HHIH", 22, 16, 4, 1) + FLOAT_TAIL
    assert parse_wav(wav(form(0xFFFE, 1, 16_000, 16) + tail, pcm(5, 6))) == pcm(5, 6)
    with pytest.raises(MalformedMessage, match="sub-format"):
        parse_wav(wav(form(0xFFFE, 1, 16_000, 16) + tail[:-1] + b"x", pcm(5, 6)))


def test_passes_over_other_chunks_of_odd_length_too() -> None:
    assert parse_wav(wav(form(1, 1, 16_000, 16), pcm(7), chunk(b"LIST", b"odd"))) == pcm(7)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 400])
def test_a_size_that_was_never_made_true_means_the_rest(size: int) -> None:
    data = bytearray(wav(form(1, 1, 16_000, 16), pcm(1, 2, 3)))
    data[40:44] = struct.pack("<I", size)
    assert parse_wav(bytes(data) + b"x") == pcm(1, 2, 3)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_ours_without_loss_of_time(rate_hz: int, tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(speech(2.0, rate_hz, seed=7))
    heard = read_wav(path)
    assert len(heard) == 2 * 32_000
    # Back to the rate it came in: the same sound at the same place.
    back = tmp_path / "heard.wav"
    with WavWriter(back, 16_000) as writer:
        writer.write(heard)
    match = align(speech(2.0, rate_hz, seed=7), read_wav(back, rate_hz), rate_hz, max_lag_s=0.05)
    assert match.correlation > 0.9
    assert abs(match.lag_s) < 0.0005


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a RIFF"),
        (b"OggS" + bytes(40), "not a RIFF"),
        (b"RIFF\x04\0\0\0WAVE", "no sound"),
        (b"RIFF\x04\0\0\0WAVE" + chunk(b"data", bytes(4)), "before its format"),
        (wav(bytes(15), b""), "too short"),
        (wav(form(1, 3, 16_000, 16), b""), "3 channels"),
        (wav(form(1, 0, 16_000, 16), b""), "0 channels"),
        (wav(form(1, 1, 4_000, 16), b""), "4000 Hz"),
        (wav(form(1, 1, 0, 16), b""), "0 Hz"),
        (wav(form(2, 1, 16_000, 4), b""), "format 2"),
        (wav(form(1, 1, 8_000, 8), bytes(8_000 * 601)), "longer than 600 s"),
        (bytes(FILE_MAX_BYTES + 1), "larger than"),
    ],
)
def test_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        parse_wav(data)


FORMATS = st.builds(
    form,
    st.sampled_from([0, 1, 3, 0xFFFE]),
    st.integers(0, 3),
    st.sampled_from([0, 7_999, 8_000, 16_000, 44_100, 192_000, 2**31]),
    st.sampled_from([0, 8, 16, 24, 32, 64]),
)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for candidate in (data, b"RIFF\0\0\0\0WAVE" + data, wav(form(1, 1, 44_100, 16), data)):
        try:
            parse_wav(candidate)
        except MalformedMessage:
            pass


@given(FORMATS, st.binary(max_size=40), st.binary(max_size=400), st.integers(0, 2**32 - 1))
def test_any_format_and_size(fmt: bytes, more: bytes, sound: bytes, size: int) -> None:
    data = wav(fmt + more, sound)
    size_at = len(data) - len(sound) - len(sound) % 2 - 4
    try:
        heard = parse_wav(data[:size_at] + struct.pack("<I", size) + data[size_at + 4 :])
    except MalformedMessage:
        return
    assert len(heard) % 2 == 0


# ----- written -----


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with WavWriter(path, 16_000) as writer:
        for _ in range(150):
            writer.write(pcm(*range(320)))
        assert writer.seconds == 3.0
    assert read_wav(path) == pcm(*range(320)) * 150
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 48_000)


def test_a_power_cut_loses_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with WavWriter(path, 16_000) as writer:
        for _ in range(150):
            writer.write(bytes(640))
        with wave.open(str(path)) as file:
            assert file.getnframes() >= 32_000


def test_refuses_half_a_sample(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav") as writer, pytest.raises(LocalProtocolError):
        writer.write(b"odd")
