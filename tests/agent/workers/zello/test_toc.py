from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.zello.packets import CodecHeader
from agent.workers.zello.toc import collapsed, duration_us, true_header


@pytest.mark.parametrize(
    ("payload", "us"),
    [
        (b"\x48\x00", 20_000),  # the makers' client at 16 kHz
        (b"\x58\x00", 60_000),  # its sample recording
        (b"\x6b\x03\x00", 60_000),  # hybrid, three frames of 20 ms, announced as one of 60
        (b"\xfb\x83\x00", 60_000),  # the example programs
        (b"\xbb\x83\x00", 60_000),
        (b"\x80\x00", 2500),
        (b"\x48", 20_000),  # silence of a sender with DTX
        (b"\x59\x00\x00", 120_000),
        (b"\x4a\x00", 40_000),
        (b"\xe3\x30", 120_000),
    ],
)
def test_the_first_bytes_tell_the_time(payload: bytes, us: int) -> None:
    assert duration_us(payload) == us


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x4b", b"\x4b\x00", b"\x4b\x07", b"\x59\x00", b"\x4a", bytes(1277), b"\xe3\x31"],
)
def test_what_no_opus_packet_is(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        duration_us(payload)


@given(payload=st.binary(max_size=1500))
def test_any_bytes_are_a_duration_or_malformed(payload: bytes) -> None:
    try:
        us = duration_us(payload)
    except MalformedMessage:
        return
    assert 2500 <= us <= 120_000
    header = true_header(payload, CodecHeader(44_100, 7, 200))
    assert header.frames_per_packet == 1
    assert 2 <= header.frame_ms <= 120
    assert header.sample_rate_hz in (8000, 12_000, 16_000, 24_000, 48_000)


@given(rate=st.integers(1, 65_535), frames=st.integers(1, 255), frame_ms=st.integers(1, 255))
def test_any_claim_can_be_told_in_its_collapsed_form(rate: int, frames: int, frame_ms: int) -> None:
    header = collapsed(CodecHeader(rate, frames, frame_ms), 20)
    assert header.frames_per_packet == 1
    assert header.frame_ms == (frames * frame_ms if frames * frame_ms <= 120 else 20)


def test_a_rate_that_opus_has_is_kept() -> None:
    assert true_header(b"\x48", CodecHeader(24_000, 3, 60)) == CodecHeader(24_000, 1, 20)
    assert true_header(b"\x48", CodecHeader(22_050, 1, 20)) == CodecHeader(16_000, 1, 20)
