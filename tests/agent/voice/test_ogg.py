from __future__ import annotations

import io
import os
import shutil
import subprocess
import wave
from functools import cache
from pathlib import Path

import pytest
from harness.sound import align, speech
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.voice.codec import Codec, parse_packet
from agent.voice.ogg import (
    FILE_MAX_BYTES,
    OggOpusWriter,
    page_checksum,
    parse_ogg_opus,
    read_ogg_opus,
)

SAID_S = 3.5


@cache
def payloads(frame_us: int = 20_000) -> list[bytes]:
    codec = Codec(16_000, frame_us)
    said = speech(SAID_S)
    pieces = [said[at : at + codec.frame_bytes] for at in range(0, len(said), codec.frame_bytes)]
    whole = [piece for piece in pieces if len(piece) == codec.frame_bytes]
    return [parse_packet(codec.encode_packet(1, n, piece))[1] for n, piece in enumerate(whole)]


def written(packets: list[bytes], *, close: bool = True) -> bytes:
    file = io.BytesIO()
    writer = OggOpusWriter(file, serial=0x1234, title="Front door")
    for packet in packets:
        writer.write(packet)
    if close:
        writer.close()
    return file.getvalue()


def pages(data: bytes) -> list[tuple[int, int, int]]:
    """(flags, granule position, bytes) of each page."""
    found = []
    at = 0
    while at < len(data):
        segments = data[at + 26]
        length = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        found.append((data[at + 5], int.from_bytes(data[at + 6 : at + 14], "little", signed=True), length))
        at += length
    return found


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip(f"no {program} here (Debian: opus-tools)")
    assert path is not None
    return path


# ----- by ourselves -----


@pytest.mark.parametrize("frame_us", [2_500, 20_000, 40_000, 60_000])
def test_what_was_written_is_read(frame_us: int, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes(written(payloads(frame_us)))
    recording = read_ogg_opus(path)
    assert list(recording.packets) == payloads(frame_us)
    assert recording.duration_us == frame_us * len(payloads(frame_us))
    assert (recording.sample_rate_hz, recording.channels, recording.pre_skip_samples) == (16_000, 1, 312)


def test_a_page_holds_a_second_and_tells_where_it_is() -> None:
    assert [(flags, granule) for flags, granule, _ in pages(written(payloads()))] == [
        (2, 0),
        (0, 0),
        (0, 312 + 48_000),
        (0, 312 + 96_000),
        (0, 312 + 144_000),
        (4, 312 + 168_000),
    ]


@pytest.mark.parametrize("packets", [0, 1, 50, 51])
def test_the_last_page_says_so(packets: int) -> None:
    data = written(payloads()[:packets])
    flags, granule, _ = pages(data)[-1]
    assert (flags, granule) == (4, 312 + packets * 960)
    assert list(parse_ogg_opus(data).packets) == payloads()[:packets]


def test_a_power_cut_loses_about_a_second() -> None:
    data = written(payloads()[:120], close=False)
    recording = parse_ogg_opus(data)
    assert list(recording.packets) == payloads()[:100]
    # Wherever the disk stopped: what is whole is read.
    first, second = (sum(length for _, _, length in pages(data)[:count]) for count in (2, 3))
    for end in range(first, second, 97):
        assert parse_ogg_opus(data[:end]).packets == ()


def test_large_packets_are_laced_and_pages_are_not_overfilled() -> None:
    # One frame of 2.5 ms each, as large as Opus allows: code 0, then any bytes.
    large = [bytes((0x80,)) + bytes(length) for length in (253, 254, 255, 509, 1274) * 100]
    assert list(parse_ogg_opus(written(large)).packets) == large


def test_refuses_what_is_no_packet_or_another_duration() -> None:
    writer = OggOpusWriter(io.BytesIO(), packet_us=20_000)
    writer.write(payloads()[0])
    with pytest.raises(LocalProtocolError, match="not an Opus packet"):
        writer.write(b"")
    with pytest.raises(LocalProtocolError, match="60000 us among those of 20000"):
        writer.write(payloads(60_000)[0])
    with pytest.raises(LocalProtocolError, match="bytes"):
        writer.write(bytes(70_000))
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(payloads()[0])


def test_the_checksum_is_oggs() -> None:
    # An independent, slow one: a bit at a time, as RFC 3533 describes it.
    page = b"OggS" + bytes(range(200))
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)
            register &= 0xFFFFFFFF
    assert page_checksum(page) == register


# ----- strangers' files -----


def test_other_streams_beside_it_are_passed_over() -> None:
    mine = written(payloads()[:60])
    other = bytearray(written(payloads()[60:70]).replace((0x1234).to_bytes(4, "little"), b"abcd"))
    lengths = [length for _, _, length in pages(bytes(other))]
    at = 0
    for length in lengths:
        other[at + 22 : at + 26] = bytes(4)
        checksum = page_checksum(bytes(other[at : at + length]))
        other[at + 22 : at + 26] = checksum.to_bytes(4, "little")
        at += length
    first = pages(mine)[0][2]
    mixed = mine[:first] + bytes(other[: lengths[0]]) + mine[first:] + bytes(other[lengths[0] :])
    assert list(parse_ogg_opus(mixed).packets) == payloads()[:60]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no stream"),
        (b"RIFF" + bytes(40), "no page at byte 0"),
        (written([])[:60], "no OpusTags"),
        (bytes(FILE_MAX_BYTES + 1), "larger than"),
        (written(payloads()[:5])[:-20] + b"x" + written(payloads()[:5])[-19:], "damaged"),
    ],
)
def test_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        parse_ogg_opus(data)


def test_a_missing_page_is_noticed() -> None:
    data = written(payloads())
    ends = [sum(length for _, _, length in pages(data)[:count]) for count in range(7)]
    with pytest.raises(MalformedMessage, match="page 4 where 3 should be"):
        parse_ogg_opus(data[: ends[3]] + data[ends[4] :])


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for candidate in (data, b"OggS" + data, written(payloads()[:2]) + data):
        try:
            parse_ogg_opus(candidate)
        except MalformedMessage:
            pass


@given(st.data())
def test_any_damage_with_a_true_checksum(data: st.DataObject) -> None:
    file = bytearray(written(payloads()[:60]))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    at = 0
    while at + 27 <= len(file):
        segments = file[at + 26]
        end = min(at + 27 + segments + sum(file[at + 27 : at + 27 + segments]), len(file))
        file[at + 22 : at + 26] = bytes(4)
        file[at + 22 : at + 26] = page_checksum(bytes(file[at:end])).to_bytes(4, "little")
        at = end
    try:
        parse_ogg_opus(bytes(file[: data.draw(st.integers(0, len(file)))]))
    except MalformedMessage:
        pass


# ----- by others -----


@pytest.mark.parametrize("frame_us", [20_000, 60_000])
def test_opusinfo_has_nothing_to_complain_about(frame_us: int, tmp_path: Path) -> None:
    path = tmp_path / "a.opus"
    path.write_bytes(written(payloads(frame_us)))
    done = subprocess.run([need("opusinfo"), path], capture_output=True, text=True, timeout=20, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "WARNING" not in text.upper()
    assert "Front door" in text
    assert "Playback length: 0m:03.4" in text or "Playback length: 0m:03.5" in text, text


def test_opusdec_hears_what_was_said_and_nothing_of_the_delay(tmp_path: Path) -> None:
    path, decoded = tmp_path / "a.opus", tmp_path / "a.wav"
    path.write_bytes(written(payloads()))
    subprocess.run(
        [need("opusdec"), "--quiet", "--no-dither", "--rate", "16000", path, decoded], check=True, timeout=20
    )
    with wave.open(str(decoded)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        heard = file.readframes(file.getnframes())
    assert len(heard) / 32_000 == pytest.approx(SAID_S, abs=0.01)
    match = align(speech(SAID_S), heard, max_lag_s=0.1)
    assert match.correlation > 0.85
    assert abs(match.lag_s) < 0.001


def test_reads_what_opusenc_wrote(tmp_path: Path) -> None:
    source, path = tmp_path / "a.wav", tmp_path / "a.opus"
    with wave.open(str(source), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speech(SAID_S))
    subprocess.run([need("opusenc"), "--quiet", "--framesize", "60", source, path], check=True, timeout=20)
    recording = read_ogg_opus(path)
    assert recording.sample_rate_hz == 16_000
    assert recording.duration_us == pytest.approx(SAID_S * 1e6, abs=130_000)
