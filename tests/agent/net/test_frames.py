from __future__ import annotations

import pytest
from harness.raw_websocket import masked, parse
from hypothesis import given
from hypothesis import strategies as st

from agent.net.frames import Excess, FrameMeter, binary_frame, close_frame, is_close, masked_ping, text_frame

SIZES = st.one_of(
    st.integers(0, 300), st.sampled_from([125, 126, 127, 65535, 65536, 70000]), st.integers(60000, 66000)
)


@given(SIZES)
def test_wsproto_reads_what_we_build(size: int) -> None:
    payload = b"a" * size
    assert b"".join(part for _, part in parse(text_frame(payload))) == payload
    assert parse(binary_frame(payload))[0][0] == 2


@given(st.text(max_size=200))
def test_text_survives(text: str) -> None:
    assert parse(text_frame(text.encode())) == [(1, text.encode())]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_the_shortest_length_form_is_used(size: int) -> None:
    header = 2 if size < 126 else 4 if size < 65536 else 10
    assert len(text_frame(bytes(size))) == header + size


def test_close_frames() -> None:
    assert close_frame(1001, "") == b"\x88\x02\x03\xe9"
    assert close_frame(1000, "x", empty=True) == b"\x88\x00"
    assert len(close_frame(1000, "ü" * 200)) <= 127
    assert close_frame(1000, "", masked=True)[1] == 0x82
    assert is_close(close_frame(1000, ""))
    assert not is_close(text_frame(b"x"))
    assert masked_ping()[:2] == b"\x89\x80"


def fed(meter: FrameMeter, data: bytes, cuts: list[int]) -> Excess | None:
    position = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        if (excess := meter.feed(data[position:cut])) is not None:
            return excess
        position = cut
    return None


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.lists(st.integers(0, 2000), max_size=8))
def test_the_meter_does_not_care_how_bytes_are_cut(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(masked(1, bytes(size)) for size in sizes)
    excess = fed(FrameMeter(max_message_bytes=150, max_fragments=9), data, cuts)
    assert (excess is not None) == (max(sizes) > 150)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_give_an_excess_or_nothing(data: bytes, cuts: list[int]) -> None:
    excess = fed(FrameMeter(max_message_bytes=100, max_fragments=3), data, cuts)
    assert excess is None or (excess.code == 1009 and excess.offset >= 0)


def test_fragments_add_up_and_control_frames_do_not_count() -> None:
    meter = FrameMeter(max_message_bytes=10, max_fragments=3)
    assert meter.feed(masked(1, b"12345", fin=False) + masked(9, b"ping!") + masked(0, b"67890")) is None
    assert meter.feed(masked(1, b"1234567890")) is None
    good = masked(1, b"12345", fin=False)
    excess = meter.feed(good + masked(0, b"678901"))
    assert excess == Excess(offset=len(good), code=1009, reason="message larger than 10 bytes")


def test_the_first_header_is_enough() -> None:
    excess = FrameMeter(max_message_bytes=65536, max_fragments=3).feed(masked(1, bytes(65537))[:14])
    assert excess is not None
    assert FrameMeter(max_message_bytes=65536, max_fragments=3).feed(masked(1, bytes(65536))) is None


def test_empty_fragments_count() -> None:
    meter = FrameMeter(max_message_bytes=10, max_fragments=3)
    assert meter.feed(masked(1, b"", fin=False) + masked(0, b"", fin=False) * 2) is None
    assert meter.feed(masked(0, b"", fin=False)) == Excess(0, 1009, "message in more than 3 fragments")


def test_nothing_behind_a_close_is_looked_at() -> None:
    meter = FrameMeter(max_message_bytes=10, max_fragments=3)
    assert meter.feed(masked(8, b"") + masked(1, bytes(100))) is None
    assert meter.close_seen
